"""The card of a run says what the run did, validates, and lets nothing from the data become markup."""

from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from transformers.trainer_utils import PredictionOutput

from hf_rnn import RnnConfig, RnnForSequenceClassification
from hf_rnn.arguments import CardArguments, DataArguments, RnnTrainingArguments
from hf_rnn.sharing.cards import TEMPLATE, code, escape
from hf_rnn.training.finishing import finish
from hf_rnn.training.provenance import describe_data
from hf_rnn.training.trainer import RnnTrainer

pytestmark = pytest.mark.lowest

LABELS = ["<script>alert(1)</script>", "| a |", "good\nbad", "*x* [y](z) `code`"]


@pytest.fixture
def card(tmp_path):
    """Write the card of a run that did not need to run, and read it back."""
    torch.manual_seed(0)
    config = RnnConfig(
        vocab_size=10, hidden_size=8, id2label=dict(enumerate(LABELS)), label2id={label: i for i, label in enumerate(LABELS)}
    )
    arguments = RnnTrainingArguments(output_dir=str(tmp_path / "my-model"), use_cpu=True)
    trainer = RnnTrainer(model=RnnForSequenceClassification(config), args=arguments)
    (tmp_path / "my-model").mkdir(exist_ok=True)
    (tmp_path / "my-model" / "curves.png").write_bytes(b"")
    metrics = {"test_accuracy": 0.87654, "test_runtime": 3.0}
    data = DataArguments(train_file="/somewhere/private/train `of` <b>.tsv", validation_share=0.1)
    source = CardArguments(
        title="A <b>title</b>", language=["ko"], license="apache-2.0", dataset_title="some | data", dataset_license="cc0-1.0"
    )
    outputs = {"test": PredictionOutput(np.zeros(1), None, metrics)}
    example = 'it\'s "odd" </code> | text'
    finish(trainer, source, example, describe_data(data, []), outputs, task="text-classification", metric="accuracy")
    return ModelCard.load(tmp_path / "my-model" / "README.md")


def test_metadata(card):
    """Pipeline tag, library and the result as the Hub's model index reads it."""
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "transformers"
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split, result.dataset_name) == (
        "accuracy",
        0.87654,
        "test",
        "some | data",
    )
    assert result.dataset_type == "some-data"
    assert (card.data.language, card.data.license, card.data.model_name) == (["ko"], "apache-2.0", "A <b>title</b>")


def test_content(card):
    """Model, data, scores, settings and pictures that exist; no folder of the author's machine, no placeholder."""
    text = card.text
    for part in (
        "2-layer bidirectional LSTM",
        "| test\\_accuracy | 0.8765 |",
        "| learning\\_rate | 0.002 |",
        "curves.png",
        "10% of the training rows",
        "import hf_rnn",
        "trust_remote_code=True",
        "The data: cc0-1.0.",
        "The model: apache-2.0.",
        "parameters, 0.0 MiB on disk",
        "Texts of 20 tokens, 1 CPU thread",
        "A &lt;b&gt;title&lt;/b&gt;",
        "`train 'of' <b>.tsv`",
        "('it\\'s \"odd\" </code> | text')",
    ):
        assert part in text
    for part in ("/somewhere", "confusion_matrix.png", "{{", "}}", "More Information Needed", "runtime"):
        assert part not in text


def test_labels_are_inert(card):
    """Markup in label names is text."""
    for raw in ("<script", "| a |", "*x*", "[y](z)", "`code`"):
        assert raw not in card.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;, \\| a \\|, good bad, \\*x\\* \\[y\\](z) \\`code\\`" in card.text


def test_escape():
    """One line, no markup."""
    assert escape("a|b\n<i>") == "a\\|b &lt;i&gt;"
    assert code("a_b`c\nd<i>") == "`a_b'c d<i>`"


def test_the_template_is_where_readers_look_for_it():
    """`model_cards/template.md` is the file that the package renders."""
    assert (Path(__file__).parents[2] / "model_cards" / "template.md").read_text() == TEMPLATE.read_text()
