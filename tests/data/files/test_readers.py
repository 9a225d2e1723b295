"""Files are read as they are meant, and what is wrong with one is said with file, row, column, value and remedy."""

import gzip
import json

import pyarrow.parquet
import pytest

from hf_rnn.data.files import json_files
from hf_rnn.data.files.readers import DataError, read_rows
from hf_rnn.data.rows.splits import load_splits


def write(tmp_path, name, content):
    """Write bytes or text and return the path."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.txt", "\ufeffone\r\n\ntwo, three", [{"text": "one"}, {"text": ""}, {"text": "two, three"}]),
        ("a.tsv.gz", gzip.compress(b"text\tlabel\na\t1\n", mtime=0), [{"text": "a", "label": "1"}]),
        ("a.csv", 'text,label\n"a, ""b""",1\nc,0\n', [{"text": 'a, "b"', "label": "1"}, {"text": "c", "label": "0"}]),
        ("a.csv", "\ufefftext,label\r\na,1\r\n", [{"text": "a", "label": "1"}]),
        ("a.csv", 'text,label\n"two\nlines",1\n', [{"text": "two\nlines", "label": "1"}]),
        ("a.tsv", 'text\tlabel\nhe said "hi\t1\n"\t0\n', [{"text": 'he said "hi', "label": "1"}, {"text": '"', "label": "0"}]),
        ("a.jsonl", '{"text": "a"}\n\n{"text": "b"}\r\n', [{"text": "a"}, {"text": "b"}]),
        ("a.json", '[{"text": "a"}]', [{"text": "a"}]),
        ("a.json", '{"data": [{"text": "a"}]}', [{"text": "a"}]),
        (
            "a.conll",
            "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\n\nPeter NNP B-PER\n",
            [
                {"column_0": ["EU", "rejects"], "column_1": ["NNP", "VBZ"], "column_2": ["B-ORG", "O"]},
                {"column_0": ["Peter"], "column_1": ["NNP"], "column_2": ["B-PER"]},
            ],
        ),
        ("a.bio", "# id = 1\r\nNew York\tB-LOC\r\n# 1\tO\r\n", [{"column_0": ["New York", "# 1"], "column_1": ["B-LOC", "O"]}]),
    ],
)
def test_reads(tmp_path, name, content, rows):
    """Quotes, byte-order marks, CRLF, blank lines and document marks are handled as each format means them."""
    assert list(read_rows(write(tmp_path, name, content))) == rows


def test_conllu_skips_what_is_no_word(tmp_path):
    """Multi-word tokens, empty nodes and comments are not words; every column is there."""
    lines = [
        "# text = vámonos",
        "1-2\tvámonos" + "\t_" * 8,
        "1\tvamos\tir\tVERB" + "\t_" * 6,
        "2\tnos\tnosotros\tPRON" + "\t_" * 6,
        "2.1\tx" + "\t_" * 8,
    ]
    (row,) = read_rows(write(tmp_path, "a.conllu", "\n".join(lines)))
    assert row["form"] == ["vamos", "nos"]
    assert row["upos"] == ["VERB", "PRON"]
    assert list(row) == ["id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc", "raw_text", "offsets"]
    assert (row["raw_text"], row["offsets"]) == ("vámonos", [[0, 7], [0, 7]])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "the file is empty, expected a header"),
        ("a.csv", "text,label\n", "the file holds no rows"),
        ("a.conll", "\n\n", "the file holds no rows"),
        ("a.csv", "text,text\na,b\n", r"line 1: column name 'text' stands 2 times in the header \['text', 'text'\]"),
        ("a.csv", "text,label\na,1\nb\n", r"row 2 \(line 3\): 1 values for 2 columns .* \['b'\]"),
        ("a.csv", 'text,label\n"a,1\n', r"row 1 .*unexpected end of data. Close the quote"),
        ("a.tsv", "text\tlabel\na\t1\tx\n", r"row 1 \(line 2\): 3 values for 2 columns"),
        (
            "a.tsv",
            b"text\tlabel\nok\t1\n\xb0\xa1\t0\n",
            "line 3: byte 0xb0 at position 0 is not UTF-8. Convert the file, for example with `iconv",
        ),
        ("a.txt.gz", gzip.compress(b"ok\n\xb0\xa1\n", mtime=0), "line 2: byte 0xb0 at position 0 is not UTF-8"),
        ("a.txt.gz", "plain", "not a whole gzip file .* drop the ending .gz"),
        ("a.txt.gz", gzip.compress(b"cut off " * 99, mtime=0)[:-9], "not a whole gzip file"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', r"line 2: not JSON \(.* at column \d+\): '{\"a\":'"),
        ("a.jsonl", "[1]\n", r"line 1: expected an object .* got '\[1\]'"),
        ("a.json", '{"a": 1}\n{"a": 2\n', "line 2: not JSON"),
        ("a.json", '{"a":\n1}\n{"a": 2}\n', "line 3: not JSON .* an object a line as .jsonl"),
        ("a.json", "[1]", "expected a list of objects"),
        ("a.conll", "a O\nb X O\n", "line 2: 3 columns where the sentence's first token has 2"),
        ("a.conll", "alone\n", "line 1: expected a token and a tag, got 'alone'"),
        ("a.conllu", "1\ta\tb\n", "line 1: CoNLL-U has 10 columns separated by tabs, got 3"),
        ("a.csv", 'text,label\n"a"b,1\n', r"row 1 \(line 2\): ',' expected after '\"'. Double the quotes"),
        ("a.csv", '"text', "line 1: unexpected end of data. Close the quote"),
        ("a.jsonl", '{"a": ' + "[" * 10**5 + "\n", "line 1: nested too deep to be read. Flatten it"),
        ("a.jsonl", '{"a": ' + "9" * 5000 + "}\n", "line 1: a number with thousands of digits. Write it in quotes"),
        ("a.jsonl", '{"a": 1, "b": {"c": 1, "c": 2}}\n', "line 1: the name 'c' stands twice in one object"),
        ("a.json", '[{"a": 1}, 2]', "row 1: expected a list of objects .* got '2'"),
        ("a.json", "[" * 10**5, "nested too deep"),
        ("a.parquet", "none", "no whole parquet file .*Write it again"),
        ("a.parquet.gz", "none", "drop the ending .gz"),
        ("a.docx", "", r"the ending must be one of .*'.csv'.* got '.docx'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, content, message):
    """Each error names the file and the place."""
    path = write(tmp_path, name, content)
    with pytest.raises(DataError, match=message) as error:
        list(read_rows(path))
    assert path in str(error.value)


def test_missing_file(tmp_path):
    """The path is named."""
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder.csv: this is a folder"):
        list(read_rows(str(tmp_path / "folder.csv")))
    with pytest.raises(DataError, match=r"nowhere.csv: there is no such file"):
        list(read_rows("nowhere.csv"))


def test_lone_surrogates_are_replaced(tmp_path, monkeypatch):
    """JSON can spell half of a character: the rest of the file is read, and the number of such strings is told."""
    told = []
    monkeypatch.setattr(json_files.logger, "warning_once", told.append)
    rows = [
        {"text": "a\ud800b", "tokens": ["\udfff", "ok"]},
        {"text": "\U0001f600 \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")},
    ]
    path = write(tmp_path, "a.jsonl", "\n".join(json.dumps(row) for row in rows))
    assert list(read_rows(path)) == [{"text": "a\ufffdb", "tokens": ["\ufffd", "ok"]}, {"text": "\U0001f600 \U0001f600"}]
    path = write(tmp_path, "a.json", json.dumps(rows))
    assert [row["text"] for row in read_rows(path)] == ["a\ufffdb", "\U0001f600 \U0001f600"]
    assert len(set(told)) == 2
    assert all("2 strings hold lone surrogates" in message for message in told)


def test_large_cells_and_parquet(tmp_path):
    """A cell of any size is a cell; parquet is read row by row, and one that is none is said to be none."""
    (row,) = read_rows(write(tmp_path, "a.csv", "text,label\n" + "x" * 200_000 + ",1\n"))
    assert len(row["text"]) == 200_000
    table = pyarrow.table({"text": ["a", "b"], "label": [1, 0]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert list(read_rows(str(tmp_path / "a.parquet"))) == [{"text": "a", "label": 1}, {"text": "b", "label": 0}]
    assert load_splits(files={"train": str(tmp_path / "a.parquet")})["train"]["label"][:] == [1, 0]


@pytest.mark.parametrize(
    "content",
    [
        {"n": 2, "x": [{"text": "a", "label": 1}, {"text": "b", "label": 2}]},
        {"text": {"0": "a", "1": "b"}, "label": {"0": 1, "1": 2}},
        {"text": ["a", "b"], "label": [1, 2]},
    ],
)
def test_json_by_columns(tmp_path, content):
    """What pandas writes column by column is rows."""
    assert list(read_rows(write(tmp_path, "a.json", json.dumps(content)))) == [{"text": "a", "label": 1}, {"text": "b", "label": 2}]


def test_types_of_parquet(tmp_path):
    """Categories and long strings, as pandas and polars write them, are texts."""
    columns = {"text": pyarrow.array(["a", "b"], pyarrow.large_string()), "label": pyarrow.array(["x", "y"]).dictionary_encode()}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    assert load_splits(files={"train": str(tmp_path / "a.parquet")})["train"][:] == {"text": ["a", "b"], "label": ["x", "y"]}


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("blank_first.csv", b"\n\r\ntext,label\ngood,a\n", [{"text": "good", "label": "a"}]),
        ("blank_first.tsv", b"\n\ntext\tlabel\ngood, well\ta\n", [{"text": "good, well", "label": "a"}]),
        ("two_marks.csv", b"\xef\xbb\xbf\xef\xbb\xbftext,label\ngood,a\n", [{"text": "good", "label": "a"}]),
        ("marks.jsonl", b'\xef\xbb\xbf{"text":"a"}\n\xef\xbb\xbf{"text":"b"}\n', [{"text": "a"}, {"text": "b"}]),
    ],
)
def test_what_files_put_together_have_left(tmp_path, name, content, rows):
    """Blank lines before a header and marks of byte order inside are no data."""
    (tmp_path / name).write_bytes(content)
    assert list(read_rows(str(tmp_path / name))) == rows


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("blank.csv", b"   \n  \n", "the file is empty, expected a header line"),
        (
            "lfs.csv",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n",
            "a pointer of Git LFS to it. Fetch",
        ),
        ("page.csv", b"<!DOCTYPE html><html><body>404</body>\n</html>\n", "a web page. Download the file itself"),
    ],
)
def test_what_is_no_data(tmp_path, name, content, message):
    """It is told what it is, not read."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_rows(str(tmp_path / name)))
