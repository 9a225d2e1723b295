"""Whatever rows hold, they are read and encoded, or one line says what is wrong with which: hypothesis looks for others."""

import csv
import gzip
import io
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_rnn.data.files.column_types import infer_features
from hf_rnn.data.files.readers import READERS, DataError, read_rows
from hf_rnn.data.rows.encoding import encode_texts, encode_tokens
from hf_rnn.data.rows.labels import collect_labels
from hf_rnn.data.rows.splits import load_splits
from hf_rnn.data.tokenizers.training import train_tokenizer

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["\ud800", "nan", "--5", "٣", "", "O", "1e999"]),
)
CELLS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=6
)
NAMES = st.sampled_from(["text", "label", "tokens", "tags", "x"])
ROWS = st.lists(st.dictionaries(NAMES, CELLS, max_size=4), max_size=6)


@pytest.fixture(scope="module")
def tokenizer():
    """Return a tokenizer of characters."""
    return train_tokenizer(iter(["a b c d e", "f g"]), "char", 50)


def check_message(error, name=""):
    """A message is one line, names the file, and no text in it is endless."""
    message = str(error)
    assert name in message and len(message.splitlines()) == 1 and len(message) < 2000, message


def check_rows(rows, path, tokenizer):
    """Read rows from a file of JSON lines, choose labels, and encode them for every task."""
    path.write_text("\n".join(json.dumps(row) for row in rows))
    try:
        read = list(read_rows(str(path)))
        assert len(read) == len(rows)
        infer_features(str(path), read)
    except DataError as error:
        check_message(error)
        return
    for problem in ("single_label_classification", "multi_label_classification", "regression"):
        _encode(read, "text", "label", tokenizer, problem_type=problem)
    _encode(read, "tokens", "tags", tokenizer)


def _encode(rows, column, label_column, tokenizer, **options):
    """Every row is encoded, or refused."""
    batch = {name: [row.get(name) for row in rows] for name in (column, label_column)}
    try:
        labels = {}
        if options.get("problem_type") != "regression":
            names = collect_labels({"train": _Rows(batch[label_column], label_column)}, label_column, {"train": None}, False)
            labels = {label: index for index, label in enumerate(names)}
        common = {"tokenizer": tokenizer, "label2id": labels, "names": None, "max_length": 20, "split": "train", **options}
        if column == "text":
            encoded = encode_texts(batch, range(len(rows)), text_column=column, label_column=label_column, **common)
        else:
            encoded = encode_tokens(batch, range(len(rows)), token_column=column, tag_column=label_column, **common)
    except DataError as error:
        check_message(error)
        return
    assert len(encoded["input_ids"]) == len(encoded["labels"]) == len(rows)
    assert all(len(ids) <= 20 for ids in encoded["input_ids"])


class _Rows(list):
    """Cells as a stream of rows."""

    def __init__(self, cells, name):
        super().__init__({name: cell} for cell in cells)


QUICK = settings(max_examples=60, deadline=None)
LONG = settings(max_examples=10_000, deadline=None)


@QUICK
@given(ROWS)
@example([{"text": "a", "label": []}, {"text": "\ud800", "label": {"a": 1}}])
@example([{"tokens": "a b", "tags": "OX"}, {"tokens": ["a"], "tags": [["O"]]}])
def test_any_rows(tmp_path_factory, tokenizer, rows):
    """Rows of anything."""
    check_rows(rows, tmp_path_factory.getbasetemp() / "rows.jsonl", tokenizer)


@pytest.mark.slow
@LONG
@given(ROWS)
def test_any_rows_at_length(tmp_path_factory, tokenizer, rows):
    """The same, ten thousand times."""
    check_rows(rows, tmp_path_factory.getbasetemp() / "rows.jsonl", tokenizer)


CONTENT = st.binary(max_size=60) | st.text(alphabet='ab,"\t\n\r{}[]:1#O- \ufeff\x00', max_size=60).map(str.encode)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*READERS, ".parquet"]), CONTENT, st.booleans())
def test_any_bytes(tmp_path_factory, suffix, content, compressed):
    """Files of any kind that hold anything are read, or refused by name."""
    path = tmp_path_factory.getbasetemp() / f"any{suffix}{'.gz' if compressed else ''}"
    path.write_bytes(gzip.compress(content) if compressed and content[:1] != b"a" else content)
    try:
        assert list(read_rows(str(path)))
    except DataError as error:
        check_message(error, path.name)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=5), min_size=2, max_size=2),
        min_size=1,
    )
)
def test_tables_come_back(tmp_path_factory, rows):
    """What Python's own writer writes as csv is read as it was, through the data set too."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["text", "label"], *rows])
    path = tmp_path_factory.getbasetemp() / "table.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    expected = [dict(zip(("text", "label"), row, strict=True)) for row in rows]
    assert list(read_rows(str(path))) == expected
    assert list(load_splits(files={"train": str(path)})["train"]) == expected
