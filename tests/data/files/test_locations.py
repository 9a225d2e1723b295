"""Errors name the file and the line of a row."""

import gzip
import json
import pickle
import re

import numpy as np
import pytest

from hf_rnn.commands import cli
from hf_rnn.data.files.cells import place
from hf_rnn.data.files.errors import DataError, Place, name_rows
from hf_rnn.data.files.locations import Places
from hf_rnn.data.files.readers import locate_row, read_rows

FILES = {
    "a.txt": "zero\none\ntwo\n",
    "a.csv": 'text,label\nzero,a\n\n"one\n more",b\ntwo,c\n',
    "a.tsv": "text\tlabel\nzero\ta\none\tb\ntwo\tc\n",
    "a.jsonl": '{"text": "zero"}\n\n{"text": "out", "answer": "reject", "spans": []}\n{"text": "one"}\n{"text": "two"}\n',
    "a.conll": "zero O\n\none O\nmore O\n\ntwo O\n",
    "a.json": '[{"text": "zero"}, {"text": "one"}, {"text": "two"}]',
}
LINES = {
    "a.txt": ["line 1", "line 2", "line 3"],
    "a.csv": ["line 2", "lines 3 to 5", "line 6"],
    "a.tsv": ["line 2", "line 3", "line 4"],
    "a.jsonl": ["line 1", "line 4", "line 5"],
    "a.conll": ["lines 1 to 2", "lines 3 to 5", "line 6"],
    "a.json": ["row 0", "row 1", "row 2"],
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("compressed", [False, True])
def test_lines(name, compressed, tmp_path):
    """Every row is found where it stands, also behind blank lines and rows that are left out."""
    path = tmp_path / (f"{name}.gz" if compressed else name)
    content = FILES[name].encode()
    path.write_bytes(gzip.compress(content) if compressed else content)
    assert len(list(read_rows(str(path)))) == 3
    assert [locate_row(str(path), row).removeprefix(f"{path}, ") for row in range(3)] == LINES[name]
    assert locate_row(str(path), 9) == f"{path}, row 9"


def test_rows_that_were_held_out(tmp_path):
    """Numbers of rows of both parts of a split are turned back into lines of its file; other errors pass as they are."""
    (tmp_path / "a.txt").write_text("\n".join("abcdef"))
    places = Places({"train": str(tmp_path / "a.txt"), "validation": None})
    places.carve(np.array([False, True, False, False, True, False]))
    for where, expected in (
        (place("train", 1, "text"), f"{tmp_path}/a.txt, line 3 (train row 1), column 'text': bad"),
        (Place("validation", 1), f"{tmp_path}/a.txt, line 5 (validation row 1): bad"),
        (Place("validation", 0, others=(1,)), f"{tmp_path}/a.txt, line 2 (validation row 0), and 1 more rows (line 5): bad"),
        (Place("validation", 7), "validation row 7: bad"),
        (Place("test", 1), "test row 1: bad"),
        ("train row 1", "train row 1: bad"),
        (None, "bad"),
    ):
        with pytest.raises(DataError) as caught, places.named():
            raise DataError("bad", where)
        assert str(caught.value) == expected == str(pickle.loads(pickle.dumps(caught.value)))


def test_rows_are_named_in_runs():
    """Neighbours stand together, and a fault in very many rows does not fill the screen."""
    assert name_rows([1, 3, 4, 5, 9]) == "rows 1, 3 to 5, 9"
    assert name_rows(range(0, 5000, 2)).endswith("1996, 1998, ...")


ROWS = [{"text": f"{word} film", "label": word} for word in ("good", "bad") * 10]
TAGGED = [{"tokens": ["in", "Seoul"], "tags": ["O", "B-X"]}] * 20


@pytest.mark.parametrize(
    ("command", "rows", "bad", "message"),
    [
        ("text-classification", ROWS, {"text": "x", "label": None}, r", line 13 \(train row 12\), column 'label': the label is missing"),
        ("text-classification", ROWS, {"label": "good"}, r", line 13 \(train row 12\), column 'text': expected text, got None"),
        ("token-classification", TAGGED, {"tokens": ["a"], "tags": ["O", "O"]}, r", line 13 \(train row 12\): 1 tokens .* but 2 tags"),
        ("language-model", ROWS, {"label": "x"}, r", line 13 \(train row 12\), column 'text': expected text, got None"),
        ("train-tokenizer", ROWS, {"text": None}, r", line 13 \(train row 12\), column 'text': expected text, got None"),
        ("learning-curve", ROWS, {"text": "x"}, r", line 13 \(train row 12\), column 'label': the label is missing"),
        ("distill", ROWS, {"text": "x"}, r", line 13 \(test row 12\), column 'label': the label is missing"),
    ],
)
def test_commands(command, rows, bad, message, tmp_path, capsys):
    """Commands that read files say where a row stands, before anything is trained."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows[:12], bad, *rows[12:]]))
    option = "--train_files" if command == "language-model" else "--train_file"
    more = {"distill": ["--teacher", "x"], "train-tokenizer": []}.get(command, ["--do_train"])
    more = [] if command == "learning-curve" else more
    tests = ["--test_file", str(path)] if command in ("learning-curve", "distill") else []
    assert cli.main([command, option, str(path), *tests, *more, "--output_dir", str(tmp_path / "out")]) == 1
    assert f"error: {path}" in (said := capsys.readouterr().err)
    assert re.search(message, said), said
