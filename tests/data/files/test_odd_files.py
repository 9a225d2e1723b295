"""Files as people have them: read for what they mean, or refused in a line that leads on. What is read in silence is what was meant."""

import bz2
import gzip
import json
import lzma
import zipfile

import pytest

from hf_rnn.data.files import conll, excel, json_files, lines, opening, tables
from hf_rnn.data.files.readers import DataError, read_rows
from hf_rnn.data.files.reading import ReadingOptions

ROWS = [{"text": "good, warm", "label": "pos"}, {"text": "bad", "label": "neg"}, {"text": "fine", "label": "pos"}]
TABLE = 'text,label\n"good, warm",pos\nbad,neg\nfine,pos\n'
LINES = "\n".join(map(json.dumps, ROWS))


@pytest.fixture
def told(monkeypatch):
    """Return what is said while files are read."""
    said = []
    for module in (conll, excel, json_files, lines, opening, tables):
        monkeypatch.setattr(module.logger, "warning_once", said.append)
    return said


def book(*rows, merged=()):
    """Return a writer of a sheet."""

    def write(path):
        openpyxl = pytest.importorskip("openpyxl")
        made = openpyxl.Workbook()
        for row in rows:
            made.active.append(row)
        for area in merged:
            made.active.merge_cells(area)
        made.save(path)

    return write


SHEET = [["text", "label"], *([row["text"], row["label"]] for row in ROWS)]
LATIN = "text;label\ncafé noir;pos\n"

READ = [
    # compressed
    ("a.csv.bz2", bz2.compress(TABLE.encode()), {}, ROWS, None),
    ("a.csv.xz", lzma.compress(TABLE.encode()), {}, ROWS, None),
    ("a.csv", bz2.compress(TABLE.encode()), {}, ROWS, None),
    ("a.jsonl.BZ2", bz2.compress(LINES.encode()), {}, ROWS, None),
    # titles and comments above the header
    ("a.csv", f"Reviews 2024,\n,\n{TABLE}", {}, ROWS, "below 2 lines of a title"),
    ("a.csv", f"# exported\n# by hand\n\n{TABLE}", {}, ROWS, "below 3 lines of a title"),
    ("a.csv", f"Reviews\n{TABLE}".replace(",pos", ";pos").replace(",neg", ";neg").replace("t,l", "t;l"), {}, ROWS, "below 1 lines"),
    ("a.xlsx", book(["Reviews 2024"], [], *SHEET), {}, ROWS, "in row 3, below a title"),
    ("a.csv", "text\nhello there\nx\n", {}, [{"text": "hello there"}, {"text": "x"}], None),
    ("a.csv", "notes\nhello there\nx\n", {}, [{"notes": "hello there"}, {"notes": "x"}], None),
    (
        "a.csv",
        f"{TABLE}\ufefftext,label\nlast,neg\n",
        {},
        [*ROWS, {"text": "last", "label": "neg"}],
        "line 5: the header stands there again",
    ),
    (
        "a.csv",
        "text,label\nhttp://a?b;c,x\nhttp://d?e;f,y\n",
        {},
        [{"text": "http://a?b;c", "label": "x"}, {"text": "http://d?e;f", "label": "y"}],
        None,
    ),
    ("a.csv", 'text, label\n"a, b", "x"\n"c", "y"\n', {}, [{"text": "a, b", "label": "x"}, {"text": "c", "label": "y"}], None),
    ("a.csv", 'text,label\n"he said, ""so""", x\n', {}, [{"text": 'he said, "so"', "label": " x"}], None),
    # labels of fastText before a tab
    (
        "a.txt",
        "__label__pos\tgood film\n__label__neg bad\n",
        {},
        [{"text": "good film", "label": "pos"}, {"text": "bad", "label": "neg"}],
        "labels of fastText",
    ),
    ("a.conll", "a B-X\n" * 101, {}, [{"column_0": ["a"] * 101, "column_1": ["B-X"] * 101}], "all 101 tokens are one sentence"),
    # merged cells, formulas
    (
        "a.xlsx",
        book(["label", "text"], ["pos", "a"], [None, "b"], ["neg", "c"], merged=["A2:A3"]),
        {},
        [{"label": "pos", "text": "a"}, {"label": "pos", "text": "b"}, {"label": "neg", "text": "c"}],
        None,
    ),
    ("a.xlsx", book(["text", "n"], ["a", "=1+1"]), {}, [{"text": "a", "n": ""}], "1 formulas have no stored value"),
    # columns without names
    ("a.csv", ",text,,label\n0,a,,x\n", {}, [{"unnamed_0": "0", "text": "a", "unnamed_2": "", "label": "x"}], None),
    # encodings and separators that are told
    ("a.csv", LATIN.encode("cp1252"), {"encoding": "latin-1"}, [{"text": "café noir", "label": "pos"}], "semicolons"),
    ("a.csv", b"text\ncaf\xe9\ncaf\xc3\xa9\n", {"encoding": "utf-8"}, [{"text": "caf\ufffd"}, {"text": "café"}], "line 2: bytes that are"),
    ("a.csv", b"\xef\xbb\xbftext\na\n", {"encoding": "utf8"}, [{"text": "a"}], None),
    ("a.csv", "text^label\na^b, c\n", {"separator": "^"}, [{"text": "a", "label": "b, c"}], None),
    ("a.tsv", "text;label\na;b\n", {"separator": ";"}, [{"text": "a", "label": "b"}], None),
    ("a.csv", 'text~label\n"a~b"~c\n', {"separator": "~"}, [{"text": "a~b", "label": "c"}], None),
    # JSON under the other name, and in the shapes that pandas writes
    ("a.json", LINES, {}, ROWS, None),
    ("a.json", json.dumps(ROWS[0]), {}, ROWS[:1], None),
    ("a.jsonl", json.dumps(ROWS), {}, ROWS, None),
    ("a.jsonl", json.dumps(ROWS, indent=1), {}, ROWS, None),
    ("a.json", json.dumps({"columns": ["text", "label"], "data": [list(row.values()) for row in ROWS]}), {}, ROWS, None),
    ("a.json", json.dumps({f"id{index}": row for index, row in enumerate(ROWS)}), {}, ROWS, None),
    ("a.json", json.dumps({name: {str(i): row[name] for i, row in enumerate(ROWS)} for name in ROWS[0]}), {}, ROWS, None),
    (
        "a.json",
        json.dumps({"text": ["a", "b"], "meta": [{"x": 1}, {"x": 2}]}),
        {},
        [{"text": "a", "meta": {"x": 1}}, {"text": "b", "meta": {"x": 2}}],
        None,
    ),
    (
        "a.jsonl",
        '{"text": "a", "label": NaN}\n{"text": "b", "label": "x"}',
        {},
        [{"text": "a", "label": None}, {"text": "b", "label": "x"}],
        None,
    ),
]


# contents hold times, and processes of one run must name tests alike
@pytest.mark.parametrize(("name", "content", "options", "rows", "line"), READ, ids=range(len(READ)))
def test_what_is_read(tmp_path, told, name, content, options, rows, line):
    """The rows that were meant; what was left out, or found out, is said."""
    path = tmp_path / name
    content(path) if callable(content) else path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert list(read_rows(str(path), ReadingOptions(**options))) == rows
    assert any(line in each for each in told) if line else not told


REFUSED = [
    ("a.csv.zst", b"\x28\xb5\x2f\xfd", {}, "Unpack it"),
    ("a.csv", b"\x28\xb5\x2f\xfd", {}, "compressed by zstd"),
    ("a.csv.gz", gzip.compress(TABLE.encode())[:-9], {}, "not a whole gzip file"),
    ("a.csv.xz", b"text", {}, "not a whole xz file .*drop the ending .xz"),
    ("a.csv", bz2.compress(TABLE.encode())[:-9], {}, "not a whole bz2 file"),
    ("a.csv", TABLE + "\0" * 9000, {}, "Zero bytes are left by a file that was not written completely"),
    ("a.csv", "text,label\n1,a,x\n2,b,y\n", {}, "name its column in the header"),
    ("a.csv", "text,label,label\na,x,y\n", {}, "'label' stands 2 times"),
    ("a.csv", "naïve\n".encode() + b"it\x92s\n", {}, "line 2: byte 0x92 .* as 1 other lines .* pass --encoding utf-8"),
    ("a.json", '[{"text": "a"},\n{"text": "b"},\n]', {}, "line 3: not JSON .*Remove the comma before ']'"),
    ("a.jsonl", "{'text': 'a'}", {}, "JSON has double quotes"),
    ("a.json", '[ // rows\n{"text": "a"}]', {}, "JSON has no comments"),
    ("a.json", json.dumps({"train": ROWS, "test": ROWS}), {}, r"several lists of objects, \['train', 'test'\]. Write each"),
    ("a.xlsx", book(), {}, "holds no rows"),
]


# contents hold times, and processes of one run must name tests alike
@pytest.mark.parametrize(("name", "content", "options", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(tmp_path, name, content, options, message):
    """In one line that says what to do."""
    path = tmp_path / name
    content(path) if callable(content) else path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=message) as error:
        list(read_rows(str(path), ReadingOptions(**options)))
    assert len(str(error.value)) < 600 and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "utf8000"}, "`encoding` must be one that Python knows.*got 'utf8000'. Pass another --encoding"),
        ({"separator": "::"}, "`separator` must be one character, or tab, got '::'"),
        ({"separator": '"'}, "`separator` must be one character"),
    ],
)
def test_options_that_are_none(options, message):
    """They are refused before a file is opened."""
    with pytest.raises(ValueError, match=message):
        ReadingOptions(**options)


def test_a_sheet_of_another_archive_is_none(tmp_path):
    """A zip archive under the name of a sheet."""
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("a.csv", TABLE)
    with pytest.raises(DataError, match="no whole .xlsx file"):
        list(read_rows(str(tmp_path / "a.xlsx")))
