"""Rows are written by the ending of the file, and read back as they were."""

import json

import pytest
from odd_texts import KNOWN

from hf_rnn.data.files.errors import DataError
from hf_rnn.data.files.readers import read_rows
from hf_rnn.data.files.writers import check_ending, write_rows

ROWS = [{"id": number, "text": text, "score": number / 7, "spans": [[0, 1, "PER"]], "more": None} for number, text in enumerate(KNOWN)]


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".parquet"])
def test_values_come_back(ending, tmp_path):
    """With their types; a name that a row lacks is a column of a table all the same."""
    write_rows(tmp_path / f"out{ending}", lambda: [{**row, "spans": [[0, 1]]} for row in ROWS] + [{"id": 5, "last": "x"}])
    read = list(read_rows(str(tmp_path / f"out{ending}")))
    assert [{name: cell for name, cell in row.items() if cell is not None} for row in read[:-1]] == [
        {"id": row["id"], "text": row["text"], "score": row["score"], "spans": [[0, 1]]} for row in ROWS
    ]
    assert {name: cell for name, cell in read[-1].items() if cell is not None} == {"id": 5, "last": "x"}


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_tables_come_back(ending, tmp_path):
    """As text, with any ends of lines and quotes in cells; lists as JSON."""
    write_rows(tmp_path / f"out{ending}", lambda: ROWS)
    read = list(read_rows(str(tmp_path / f"out{ending}")))
    assert [row["text"] for row in read] == [row["text"] for row in ROWS]
    assert [(row["id"], row["score"], row["more"]) for row in read] == [(str(row["id"]), str(row["score"]), "") for row in ROWS]
    assert all(span == {"start": 0, "end": 1, "label": "PER", "quote": None} for row in read for span in row["spans"])


def test_what_no_table_holds_is_spelled(tmp_path):
    """A parquet column of values of several kinds, or of objects without names, is text: JSON but for what is text already."""
    cells = [5, "five", [5], None, {}, 2**70]
    write_rows(tmp_path / "out.parquet", lambda: [{"mixed": cell, "hollow": [{}], "large": 2**70} for cell in cells])
    read = list(read_rows(str(tmp_path / "out.parquet")))
    assert [row["mixed"] for row in read] == ["5", "five", "[5]", None, "{}", str(2**70)]
    assert {row["hollow"] for row in read} == {"[{}]"}
    assert {json.loads(row["large"]) for row in read} == {2**70}


def test_nothing_is_written_as_nothing(tmp_path):
    """No rows are an empty list, an empty file, or a table without columns."""
    for ending in (".jsonl", ".json", ".csv", ".parquet"):
        write_rows(tmp_path / f"out{ending}", list)
    assert json.loads((tmp_path / "out.json").read_text()) == []
    assert (tmp_path / "out.jsonl").read_text() == ""


def test_other_endings_are_refused():
    """In one line that names what can be written."""
    assert check_ending("a.JSONL", "output_file") == ".jsonl"
    with pytest.raises(DataError, match=r"`output_file` 'a.xlsx': the ending must be one of .*'.parquet'.*, got '.xlsx'. Pass another"):
        check_ending("a.xlsx", "output_file")
    with pytest.raises(DataError, match=r"must be one of \('.json',\), got ''"):
        check_ending("a", "output_file", (".json",))
