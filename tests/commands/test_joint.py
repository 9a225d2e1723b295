"""Tags and the intent of a row in one pass: exact, learnt together, predicted, exported."""

import json

import pytest
import torch
from runs import TINY, predictions
from tiny import assert_close, build, gradients, rows_and_batches
from torch import nn
from transformers import AutoModelForTokenClassification, pipeline

from hf_rnn import RnnForTokenClassification
from hf_rnn.commands import cli, token_classification
from hf_rnn.inference.loading import load
from hf_rnn.onnx import export, runtime

INTENTS = ["ask", "tell"]
EAGER = "--per_device_train_batch_size 8 --embedding_dropout 0 --input_dropout 0 --hidden_dropout 0 --classifier_dropout 0".split()
SENTENCES = [
    {"tokens": ["play", "a", "song"], "tags": ["O", "O", "B-thing"], "intent": "music"},
    {"tokens": ["play", "jazz"], "tags": ["O", "B-thing"], "intent": "music"},
    {"tokens": ["book", "a", "table"], "tags": ["O", "O", "B-place"], "intent": "booking"},
    {"tokens": ["book", "dinner", "now"], "tags": ["O", "B-place", "O"], "intent": "booking"},
]


@pytest.mark.parametrize("settings", [{}, {"word_pooling": "mean", "use_crf": True}, {"pooling": "attention"}])
def test_row_alone_equals_row_in_batch(settings):
    """Intent logits, the loss of both together and its gradient are those of rows by themselves, in every layout."""
    model = build(RnnForTokenClassification, intents=INTENTS, **settings).train()
    intents = torch.tensor([0, 1, -100, 1, 0])
    for rows, ids, mask, order, places in rows_and_batches():
        tags = torch.full_like(ids, -100)
        for index, row in enumerate(order):
            tags[index, places[index]] = rows[row] % 3
        together = model(ids, mask, labels=tags, intents=intents[order])
        alone = torch.cat([model(row[None]).intent_logits for row in rows])
        assert_close(together.intent_logits, alone[order])
        expected = model(ids, mask, labels=tags).loss + nn.functional.cross_entropy(alone, intents)
        assert_close(together.loss, expected)
        assert_close(gradients(together.loss, model), gradients(expected, model))


def test_accumulated_batches_equal_one():
    """With the number of tags of both batches, losses of halves add up to that of the whole where each has its share of tags."""
    model = build(RnnForTokenClassification, intents=INTENTS)
    ids, tags, intents = torch.randint(1, 20, (4, 5)), torch.randint(0, 3, (4, 5)), torch.tensor([0, 1, 1, 0])
    whole = model(ids, labels=tags, intents=intents).loss
    halves = [model(ids[part], labels=tags[part], intents=intents[part], num_items_in_batch=20).loss for part in (slice(2), slice(2, 4))]
    assert_close(sum(halves), whole)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train on a few sentences; return the folder and the metrics."""
    folder = tmp_path_factory.mktemp("joint")
    (folder / "data.jsonl").write_text("\n".join(json.dumps(row) for row in SENTENCES * 20))
    files = [argument for split in ("train", "validation", "test") for argument in (f"--{split}_file", str(folder / "data.jsonl"))]
    more = ["--intent_column_name", "intent", "--num_train_epochs", "20", "--learning_rate", "0.01", "--use_crf", "true", *EAGER]
    steps = ["--do_train", "--do_eval", "--do_predict", "--word_vocab_size", "0", "--output_dir", str(folder / "model")]
    tiny = [argument if argument != "1500" else "60" for argument in TINY]
    return folder, token_classification.main([*files, *tiny, *more, *steps])


def test_both_are_learnt(trained):
    """Metrics, predictions and card speak of both; a pipeline tags and `predict` gives the intent."""
    folder, metrics = trained
    assert metrics["test_f1"] == metrics["test_intent_accuracy"] == metrics["test_exact_match"] == 1
    rows = predictions(folder / "model")
    assert all(row["intent"] == row["predicted_intent"] for row in rows)
    assert {row["intent"] for row in rows} == {"music", "booking"}
    card = (folder / "model" / "README.md").read_text()
    assert "in `intent_logits`: booking, music" in card
    assert "type: intent_accuracy" in card
    predictor = load(str(folder / "model"))
    assert predictor.model.config.intents == ["booking", "music"]
    assert predictor.predict([["play", "a", "song"]]) == [
        {"tokens": ["play", "a", "song"], "tags": ["O", "O", "B-thing"], "intent": "music"}
    ]
    assert pipeline("token-classification", model=predictor.model, tokenizer=predictor.tokenizer)("play a song")[-1]["entity"] == "B-thing"


def test_evaluation_and_another_head(trained, tmp_path):
    """A checkpoint evaluates by its own intents; loaded without them, it is a plain tagger."""
    folder, metrics = trained
    arguments = ["--model_name_or_path", str(folder / "model"), "--validation_file", str(folder / "data.jsonl"), "--use_cpu", "true"]
    more = ["--intent_column_name", "intent", "--do_eval", "--output_dir", str(tmp_path)]
    assert token_classification.main([*arguments, *more])["eval_intent_accuracy"] == metrics["eval_intent_accuracy"]
    plain = AutoModelForTokenClassification.from_pretrained(folder / "model", intents=None)
    assert plain(torch.tensor([[1, 2]])).intent_logits is None


@pytest.mark.thorough
def test_exports_both(trained, tmp_path):
    """The graph gives both logits."""
    model = load(str(trained[0] / "model")).model
    assert export.export_onnx(model, tmp_path) <= 1e-5
    exported = runtime.OnnxRnnForTokenClassification.from_pretrained(tmp_path)
    ids = torch.tensor([[5, 6, 7]])
    assert torch.allclose(exported(ids).intent_logits, model(ids).intent_logits, atol=1e-5)


def test_unknown_intents_are_said(trained, tmp_path, capsys):
    """A column that is not there, and an intent that training lacks."""
    folder, _ = trained
    (tmp_path / "odd.jsonl").write_text(json.dumps({**SENTENCES[0], "intent": "odd"}))
    arguments = [
        "token-classification",
        "--train_file",
        str(folder / "data.jsonl"),
        "--do_train",
        "--do_eval",
        "--output_dir",
        str(tmp_path),
    ]
    assert cli.main([*arguments, "--use_cpu", "true", "--intent_column_name", "nowhere"]) == 1
    assert "lacks column 'nowhere'" in capsys.readouterr().err
    odd = ["--validation_file", str(tmp_path / "odd.jsonl"), "--intent_column_name", "intent"]
    assert cli.main([*arguments, "--use_cpu", "true", *odd]) == 1
    assert "label 'odd' does not occur in the train split" in capsys.readouterr().err
