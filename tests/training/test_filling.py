"""What is left out is filled in from the rows: how many there are, and of how many classes."""

import pytest
from datasets import Dataset
from transformers import BertConfig, BertModel

from hf_rnn.distillation.training import task_options
from hf_rnn.tasks.registry import TASKS
from hf_rnn.tasks.task import Columns
from hf_rnn.training.filling import fill_defaults


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A transformer without a head."""
    folder = tmp_path_factory.mktemp("encoder")
    BertModel(BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)).save_pretrained(
        folder
    )
    return str(folder)


@pytest.mark.parametrize(
    ("task", "labels", "options", "epochs"),
    [
        ("text-classification", [str(row % 2) for row in range(3000)], {}, 3),
        ("text-classification", [str(row % 12) for row in range(3000)], {}, 4),
        ("text-classification", [["a", str(row % 11)] for row in range(3000)], {"problem_type": "multi_label_classification"}, 4),
        # numbers are no classes, and of tags there are enough in a sentence
        ("text-classification", [float(row % 12) for row in range(3000)], {"problem_type": "regression"}, 3),
        ("token-classification", [[str(row % 12)] for row in range(3000)], {}, 5),
    ],
)
def test_classes_are_counted(task, labels, options, epochs, encoder, tmp_path):
    """A transformer sees rows of many classes more often; numbers and tags are none."""
    texts = [["a"] if task == "token-classification" else "a"] * len(labels)
    rows = Dataset.from_dict({"text": texts, "label": labels})
    given, _, _ = task_options({"use_cpu": True, "output_dir": str(tmp_path), "model_name_or_path": encoder, **options})
    assert fill_defaults(TASKS[task], rows, Columns("text", "label"), given, more=0)["num_train_epochs"] == epochs
    assert given.training.num_train_epochs == epochs
