"""Tables are read whatever separates and quotes their cells; tables with a token a row become sentences."""

import pytest

from hf_rnn.data.files import tables
from hf_rnn.data.files.headers import describe_header
from hf_rnn.data.files.readers import DataError, locate_row, read_rows
from hf_rnn.data.files.reading import ReadingOptions
from hf_rnn.data.files.rows import TEXT_COLUMNS
from hf_rnn.data.rows.splits import choose_column, load_splits


def write(tmp_path, name, content):
    """Write text and return the path."""
    (tmp_path / name).write_bytes(content.encode("utf-8"))
    return str(tmp_path / name)


ROWS = [{"text": "good, warm", "label": "1"}, {"text": 'a "b" c', "label": "0"}]


@pytest.mark.parametrize(
    ("name", "content", "separator"),
    [
        ("a.csv", 'text;label\ngood, warm;1\n"a ""b"" c";0\n', "semicolons"),
        ("a.csv", 'text\tlabel\ngood, warm\t1\n"a ""b"" c"\t0\n', "tabs"),
        ("a.csv", 'text|label\ngood, warm|1\n"a ""b"" c"|0\n', "pipes"),
        ("a.csv", 'text\tlabel\ngood, warm\t1\na "b" c\t0\n', "tabs"),
        ("a.tsv", 'text;label\ngood, warm;1\n"a ""b"" c";0\n', "semicolons"),
        ("a.tsv", 'text\tlabel\ngood, warm\t1\n"a ""b"" c"\t0\n', None),
        ("a.tsv", '"text"\t"label"\n"good, warm"\t"1"\n"a ""b"" c"\t"0"\n', None),
        ("a.csv", 'text,label\n"good, warm",1\n"a \\"b\\" c",0\n', None),
        ("a.csv", 'sep=;\ntext;label\ngood, warm;1\n"a ""b"" c";0\n', None),
        ("a.csv", '"sep=|"\r\ntext|label\r\ngood, warm|1\r\n"a ""b"" c"|0\r\n', None),
        ("a.csv", "'text','label'\n'good, warm','1'\n'a \"b\" c','0'\n", None),
        ("a.csv", 'text,label,,\n"good, warm",1,,\n"a ""b"" c",0,,\n', None),
        ("a.csv", ' text , label\r\r\n"good, warm",1\r\r\n"a ""b"" c",0\r\r\n', None),
    ],
)
def test_separators_and_quotes(tmp_path, monkeypatch, name, content, separator):
    """The whole file tells, and what its ending does not tell is said."""
    told = []
    monkeypatch.setattr(tables.logger, "warning_once", told.append)
    assert list(read_rows(write(tmp_path, name, content))) == ROWS
    assert [separator in line for line in {*told}] == [True] * bool(separator)


def test_separators_in_texts_are_none(tmp_path):
    """A semicolon in a text is a character where commas separate, also in one column; quotes in a table of tabs are characters."""
    assert next(read_rows(write(tmp_path, "a.csv", "text,label\nso; so,1\nbad,0\n"))) == {"text": "so; so", "label": "1"}
    assert [row["text"] for row in read_rows(write(tmp_path, "b.csv", "text\nso; so\nbad\n"))] == ["so; so", "bad"]
    rows = list(read_rows(write(tmp_path, "a.tsv", 'text\tlabel\n"hello"\t1\nhe said "hi"\t0\n')))
    assert [row["text"] for row in rows] == ['"hello"', 'he said "hi"']


def test_a_broken_row_is_named_by_the_right_separator(tmp_path):
    """One bad row of many does not make the file one of another kind."""
    path = write(tmp_path, "a.csv", "text;label\n" + "a, b;1\n" * 20 + "c;1;2\n")
    with pytest.raises(DataError, match=r"row 21 \(line 22\): 3 values for 2 columns"):
        list(read_rows(path))


def test_headers_that_were_misread(tmp_path):
    """What the header looks like is said; usual names are found in capitals."""
    path = write(tmp_path, "a.csv", "the rude waiter came again,bad\nour kind waiter,good\n")
    splits = load_splits(files={"train": path})
    with pytest.raises(DataError, match="looks like a row rather than a header: add a line"):
        choose_column(splits["train"], "train", None, TEXT_COLUMNS, "text_column_name")
    assert "separated by semicolons" in describe_header(["text;label"])
    assert "--sentence_column_name" in describe_header(["Word", "Tag"])
    assert ".conll" in describe_header(["text"])
    assert describe_header(["id", "body"]) == ""
    splits = load_splits(files={"train": write(tmp_path, "b.csv", "Text,LABEL\na,1\n")})
    assert choose_column(splits["train"], "train", None, TEXT_COLUMNS, "text_column_name") == "Text"


SENTENCES = [["Petra", "flew"], ["Mina"]], [["B-PER", "O"], ["B-PER"]]


@pytest.mark.parametrize(
    "content",
    [
        "Sentence #,Word,POS,Tag\nSentence: 1,Petra,NN,B-PER\n,flew,VB,O\nSentence: 2,Mina,NN,B-PER\n",
        "sentence_id;token;tag\n0;Petra;B-PER\n0;flew;O\n1;Mina;B-PER\n",
        "Word,Tag\nPetra,B-PER\nflew,O\n,\nMina,B-PER\n",
        "Word,Tag\nPetra,B-PER\nflew,O\n\nMina,B-PER\n",
    ],
)
def test_a_token_a_row(tmp_path, content):
    """A column of numbers parts sentences, or an empty row does; rows are found where they stand."""
    path = write(tmp_path, "a.csv", content)
    rows = list(read_rows(path))
    assert ([row["tokens"] for row in rows], [row["tags"] for row in rows]) == SENTENCES
    assert locate_row(path, 0) == f"{path}, lines 2 to 3"


def test_columns_of_tokens_are_named(tmp_path):
    """Named columns win and keep their names; a column of texts numbers nothing, and without numbers rows stay rows."""
    content = "doc,Word,POS,Tag\na,Petra,NN,B-PER\na,flew,VB,O\nb,Mina,NN,B-PER\n"
    reading = ReadingOptions(label_column="POS", sentence_column="doc")
    rows = list(read_rows(write(tmp_path, "a.csv", content), reading))
    assert rows[0] == {"tokens": ["Petra", "flew"], "POS": ["NN", "VB"], "Tag": ["B-PER", "O"]}
    assert len(list(read_rows(write(tmp_path, "b.csv", content)))) == 3
    sense = "sentence,word,label\nit runs 2,runs,go\nit runs 2,it,thing\n"
    assert len(list(read_rows(write(tmp_path, "c.csv", sense)))) == 2


def test_excel(tmp_path):
    """Cells are texts, as in a csv file of the sheet; without the package for it the way out is said."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["text", "label", None], ["good", 1.0, None], [None, None, None], [7, 0, None]):
        book.active.append(row)
    book.create_sheet("notes").append(["x"])
    book.save(tmp_path / "a.xlsx")
    path = str(tmp_path / "a.xlsx")
    assert list(read_rows(path)) == [{"text": "good", "label": "1"}, {"text": "7", "label": "0"}]
    assert load_splits(files={"train": path})["train"]["label"][:] == ["1", "0"]
    with pytest.raises(DataError, match="no whole .xlsx file"):
        list(read_rows(write(tmp_path, "b.xlsx", "none")))


def test_excel_without_its_package(tmp_path, monkeypatch):
    """The extra is named."""
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(DataError, match=r"pip install hf-rnn\[excel\]"):
        list(read_rows(write(tmp_path, "a.xlsx", "PK")))
