"""Files are read as they are meant, and what is wrong with one is said with file, row, column, value and remedy."""

import gzip

import pytest

from hf_rnn.data.readers import DataError, read_rows


def write(tmp_path, name, content):
    """Write bytes or text and return the path."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.txt", "\ufeffone\r\n\ntwo, three", [{"text": "one"}, {"text": ""}, {"text": "two, three"}]),
        ("a.tsv.gz", gzip.compress(b"text\tlabel\na\t1\n"), [{"text": "a", "label": "1"}]),
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
        ("a.bio", "New York\tB-LOC\r\n# 1\tO\r\n", [{"column_0": ["New York"], "column_1": ["B-LOC"]}]),
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
        ("a.txt.gz", gzip.compress(b"ok\n\xb0\xa1\n"), "line 2: byte 0xb0 at position 0 is not UTF-8"),
        ("a.txt.gz", "plain", "not a whole gzip file .* drop the ending .gz"),
        ("a.txt.gz", gzip.compress(b"cut off " * 99)[:-9], "not a whole gzip file"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', r"line 2: not JSON \(.* at column \d+\): '{\"a\":'"),
        ("a.jsonl", "[1]\n", r"line 1: expected an object .* got '\[1\]'"),
        ("a.json", '{"a": 1}\n{"a": 2}\n', "not JSON .* name the file .jsonl"),
        ("a.json", "[1]", "expected a list of objects"),
        ("a.conll", "a O\nb X O\n", "line 2: 3 columns where the sentence's first token has 2"),
        ("a.conll", "alone\n", "line 1: expected a token and a tag, got 'alone'"),
        ("a.conllu", "1\ta\tb\n", "line 1: CoNLL-U has 10 columns separated by tabs, got 3"),
        ("a.xlsx", "", r"the ending must be one of .*'.csv'.* got '.xlsx'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, content, message):
    """Each error names the file and the place."""
    path = write(tmp_path, name, content)
    with pytest.raises(DataError, match=message) as error:
        list(read_rows(path))
    assert path in str(error.value)


def test_missing_file():
    """The path is named."""
    with pytest.raises(DataError, match=r"nowhere.csv: there is no such file"):
        list(read_rows("nowhere.csv"))
