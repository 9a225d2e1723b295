"""Columns of JSON rows have one kind, whatever row shows it, and what has none is located."""

import json

import pytest

from hf_rnn.data.files.readers import DataError
from hf_rnn.data.rows.splits import load_splits


def load(tmp_path, rows, streaming=False):
    """Write rows as JSON lines and load them."""
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return list(load_splits(files={"train": str(tmp_path / "a.jsonl")}, streaming=streaming)["train"])


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        ({"text": "b", "label": 1.5}, {"text": "b", "label": 1.5, "tags": None}),
        ({"text": "b"}, {"text": "b", "label": None, "tags": None}),
        ({"text": None, "label": 2, "tags": ["x", None]}, {"text": None, "label": 2, "tags": ["x", None]}),
        ({"label": 2, "text": "b", "tags": {"a": {}, "b": [{"c": 1}]}}, {"text": "b", "label": 2, "tags": {"a": {}, "b": [{"c": 1}]}}),
    ],
)
def test_late_rows_decide_too(tmp_path, late, expected):
    """A missing key is an empty cell, in the first row as in the last; a value beyond the first 1,000 rows counts."""
    rows = [*({"text": "a", "label": index} for index in range(1500)), late]
    *_, last = load(tmp_path, rows)
    assert last == {name: value for name, value in expected.items() if name in late or name != "tags"}
    first, *_ = load(tmp_path, [late, *rows[:1500]])
    assert first["text"] == expected["text"]


@pytest.mark.parametrize(
    ("late", "message"),
    [
        ({"text": "b", "label": "x"}, "row 1500, column 'label': text where others of the column hold whole number. Write all .*: 'x'"),
        ({"text": ["b"], "label": 1}, r"row 1500, column 'text': a list of text where others of the column hold text.*\['b'\]"),
        ({"text": {"b": 1}, "label": 1}, "row 1500, column 'text': an object where others"),
        ({"text": "b", "label": True}, "row 1500, column 'label': truth value where others of the column hold whole number"),
        ({"text": "b", "label": 2**63}, "row 1500, column 'label': a whole number beyond 64 bits. Write it in quotes"),
        ({"text": "b", "label": 1, "x": ["a", 1]}, "row 1500, column 'x': whole number where others of the column hold text"),
        ({"text": "b", "label": 1, "x": json.loads("[" * 30 + "]" * 30)}, "row 1500, column 'x': .*nested more than 20 deep"),
    ],
)
def test_what_differs_is_located(tmp_path, late, message):
    """File, row, column, value and remedy, wherever the row stands."""
    with pytest.raises(DataError, match=f"a.jsonl, {message}"):
        load(tmp_path, [*({"text": "a", "label": index} for index in range(1500)), late])


def test_streams_have_the_columns_of_their_first_row(tmp_path):
    """A cell that a row lacks is empty."""
    assert load(tmp_path, [{"text": "a", "label": 1}, {"text": "b", "more": 1}], streaming=True)[1] == {"text": "b", "label": None}
