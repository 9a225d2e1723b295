"""Data sets in memory that hold exports of annotation tools are judged as files of them are."""

import json
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset

import hf_rnn
from hf_rnn.data.files.readers import DataError, read_rows
from hf_rnn.training.rows import files_of, is_export

CHOICE = {"type": "choices", "from_name": "mood", "to_name": "text"}
TASKS = [
    {"data": {"text": text}, "annotations": [{"result": [{**CHOICE, "value": {"choices": [label]}}]}], "meta": None}
    for text, label in (("good film", "good"), ("bad film", "bad"))
]
CATS = [{"text": "good film", "cats": {"good": 1.0, "bad": 0.0}}, {"text": "bad film", "cats": {"bad": 1.0}}]
ACCEPTED = [{"text": f"{label} film", "options": [{"id": "good"}, {"id": "bad"}], "accept": [label]} for label in ("good", "bad")]


@pytest.mark.parametrize("rows", [TASKS, CATS, ACCEPTED])
def test_exports(rows, tmp_path):
    """Their classes are found, whatever empty places the table has; rows of another kind stay a data set."""
    given = Dataset.from_list(rows)
    assert is_export(given) and not is_export(Dataset.from_dict({"text": ["a"], "label": ["b"]})) and not is_export(rows)
    with files_of({"train": given}) as files:
        read = list(read_rows(files["train_file"]))
    assert [(row["text"], row["label"]) for row in read] == [("good film", "good"), ("bad film", "bad")]
    assert not any(None in row.values() for row in map(json.loads, map(json.dumps, read)))


def test_training_reads_them(tmp_path):
    """`hf_rnn.train` learns the classes of such a data set."""
    sizes = {"embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 60, "linear_size": 0, "use_cpu": True}
    result = hf_rnn.train(train=Dataset.from_list(TASKS * 4), do_eval=False, output_dir=str(tmp_path / "run"), num_train_epochs=1, **sizes)
    assert result.task.labels == ("bad", "good")


FRAME = {"text": ["good", "bad"], "label": ["x", "y"]}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (pd.DataFrame(FRAME).assign(day=pd.Timestamp("2024-01-02"), raw=[b"a", b"b"]), {"day": "2024-01-02 00:00:00"}),
        (pd.DataFrame(FRAME).assign(month=pd.Period("2024-01"), price=[Decimal("1.50")] * 2), {"month": "2024-01", "price": "1.50"}),
        (pd.DataFrame(FRAME).set_index("text"), {}),
        (pd.DataFrame(FRAME, index=["a", "b"]), {}),
        (pa.table(FRAME), {}),
        ({**FRAME, "tags": [{"b", "a"}, set()]}, {"tags": ["a", "b"]}),
        ([dict(zip(FRAME, row, strict=True)) for row in zip(*FRAME.values(), strict=True)], {}),
    ],
)
def test_what_is_in_memory(rows, expected):
    """Whatever types its columns have: what JSON has nothing for is left out, but for texts that stand for it."""
    with files_of({"train": rows}) as files:
        first = next(read_rows(files["train_file"]))
    assert {name: cell for name, cell in first.items() if cell is not None} == {"text": "good", "label": "x", **expected}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pd.DataFrame([["a", "b", "c"]], columns=["text", "label", "label"]), "`train` has two columns called 'label'. Rename one"),
        (pd.DataFrame({("a", "text"): ["x"]}), "columns of several levels"),
        ({"text": ["a", "b"], "label": ["x"]}, "columns of different lengths: {'text': 2, 'label': 1}"),
        ([], "got list of nothing"),
    ],
)
def test_what_is_no_rows(rows, message):
    """It is refused by name."""
    with pytest.raises(DataError, match=message), files_of({"train": rows}):
        pass


def test_a_dictionary_of_splits():
    """Stands for its splits, as a `DatasetDict` does; those that are called otherwise count too."""
    rows = [{"text": "good film", "label": "x"}, {"text": "bad film", "label": "y"}] * 3
    with pytest.raises(DataError, match="The validation split lacks the column 'text' of the train split"):
        hf_rnn.train(train={"train": rows, "val": [{"sentence": "good", "label": "x"}]}, output_dir="never")
