"""Data sets in memory that hold exports of annotation tools are judged as files of them are."""

import json

import pytest
from datasets import Dataset

import hf_rnn
from hf_rnn.data.files.readers import read_rows
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
