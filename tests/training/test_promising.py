"""A precision that is promised is saved, kept, and told; answers are the same whoever gives them."""

import json

import pytest
import torch
from transformers import pipeline

import hf_rnn
from hf_rnn.commands import cli
from hf_rnn.inference.loading import load
from hf_rnn.linear.classifier import ClassifierFit
from hf_rnn.onnx.standalone import predictor_settings

SMALL = {"vocab_size": 60, "embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "use_cpu": True, "disable_tqdm": True}
SMALL |= {"per_device_train_batch_size": 32, "num_train_epochs": 1, "word_vocab_size": 0}
# a quarter of the rows says nothing of its label
ROWS = [
    {"text": f"film {number % 97}" if number % 4 == 0 else f"{word} film {number % 97}", "label": word}
    for number in range(400)
    for word in ("good", "bad")
]
TAGGED = [{"tokens": ["fly", "to", city, "now"], "tags": ["O", "O", "B-place", "O"]} for _ in range(150) for city in ("Seoul", "Rome")]


@pytest.fixture(scope="module")
def promised(tmp_path_factory):
    """Train a classifier that promises something."""
    folder = tmp_path_factory.mktemp("promised") / "m"
    return hf_rnn.train(train=ROWS, validation=ROWS[:300], test=ROWS[300:500], output_dir=str(folder), promise=0.95, **SMALL)


def test_it_is_saved_and_kept(promised):
    """Rows that say nothing are left to people, others are right; metrics tell it, and how calibrated the scores are."""
    promise = promised.model.config.promise
    assert promise["precision"] == promise["confidence"] == 0.95 and promise["rows"] == 300
    assert 0.75 <= promise["answered"] < 0.8 and 0.75 <= promised.metrics["test_answered"] < 0.8
    assert promised.metrics["test_answered_precision"] >= 0.95
    assert {"eval_ece", "eval_ece_by_chance", "eval_brier", "test_ece"} <= set(promised.metrics)
    saved = json.loads((promised.folder / "test_results.json").read_text())
    assert {"test_answered", "test_ece"} <= set(saved)
    card = (promised.folder / "README.md").read_text()
    assert "reliability.png" in card and "a share of 0.95" in card and (promised.folder / "reliability.png").is_file()


def test_answers_below_the_threshold(promised, tmp_path):
    """Have no label, but what it would have been; scores are those of the stock pipeline; a threshold of the caller goes first."""
    loaded = load(str(promised.folder))
    sure, *others = loaded.predict(["good film 3", *(f"film {number}" for number in range(97))])
    left = [answer for answer in others if answer["label"] is None]
    assert sure["label"] == sure["best"] == "good" and len(left) > 70
    unsure = left[0]
    assert unsure["best"] in ("good", "bad")
    stock = pipeline("text-classification", model=str(promised.folder))([sure["text"], unsure["text"]])
    assert [answer["score"] for answer in (sure, unsure)] == pytest.approx([answer["score"] for answer in stock], abs=1e-5)
    assert predictor_settings(loaded.model.config, loaded.tokenizer).threshold == loaded.model.config.promise["threshold"]
    for threshold, expected in (("0", unsure["best"]), ("1", None)):
        output = tmp_path / f"{threshold}.jsonl"
        (tmp_path / "texts.txt").write_text(unsure["text"] + "\n")
        files = ["--input_file", str(tmp_path / "texts.txt"), "--output_file", str(output), "--threshold", threshold]
        assert cli.main(["predict", "--model_name_or_path", str(promised.folder), *files]) == 0
        assert json.loads(output.read_text())["label"] == expected


def test_a_model_that_goes_on_has_promised_nothing(promised, tmp_path):
    """What was promised for other weights is gone, unless it is promised again."""
    options = {name: value for name, value in SMALL.items() if name != "vocab_size"}
    again = hf_rnn.train(train=ROWS[:60], output_dir=str(tmp_path / "m"), model_name_or_path=str(promised.folder), **options)
    assert again.model.config.promise is None
    assert set(again.predictor("good film")[0]) == {"text", "label", "score"}


@pytest.mark.parametrize("options", [{}, {"promise": 0.9}])
def test_rows_that_a_promise_stands_on_stay_unseen(options, tmp_path, monkeypatch):
    """The linear part learns from validation rows in the end only where nothing was promised by them."""
    refits = []
    monkeypatch.setattr(ClassifierFit, "refit", lambda *parts: refits.append(parts))
    hf_rnn.train(train=ROWS[:300], output_dir=str(tmp_path / "m"), validation_share=0.3, **SMALL, **options)
    assert len(refits) == (0 if options else 1)


def test_what_cannot_be_promised_is_said(tmp_path, caplog):
    """Too few rows, and rows that do not show it: nothing is saved, and the line says what it takes."""
    few = hf_rnn.train(train=ROWS[:200], validation=ROWS[:40], output_dir=str(tmp_path / "a"), promise=0.97, **SMALL)
    assert few.model.config.promise is None
    assert "97% takes 99 validation rows at least, all of them right, and there are 40. Pass more" in caplog.text
    noise = [{"text": "film", "label": label} for label in ("good", "bad")] * 60
    hf_rnn.train(train=noise, validation=noise, output_dir=str(tmp_path / "b"), promise=0.97, **SMALL)
    assert "120 validation rows do not show 97% with 95% confidence: of the surer half" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"promise": 1.5}, "`promise` must be above 0 and below 1, got 1.5"),
        ({"promise": 0.9, "do_eval": False}, "`promise` is found on validation rows"),
        ({"promise": 0.9, "problem_type": "multi_label_classification"}, "`promise` is there for one label a row and for spans"),
    ],
)
def test_wrong_calls(options, message, tmp_path):
    """Are refused before anything is trained."""
    with pytest.raises(ValueError, match=message):
        hf_rnn.train(train=ROWS[:40], output_dir=str(tmp_path / "m"), **{**SMALL, **options})


def test_spans_keep_promises(tmp_path):
    """Spans of token taggers that are not sure enough are left out of answers to texts; tags stay."""
    options = {**SMALL, "promise": 0.9, "validation": TAGGED[:100], "test": TAGGED[:60]}
    result = hf_rnn.train("token-classification", train=TAGGED, output_dir=str(tmp_path / "m"), **options)
    promise = result.model.config.promise
    assert promise["rows"] == 100 and result.metrics["test_answered_precision"] >= 0.9
    text = "fly to Rome now"
    assert [span["word"] for span in result.predictor(text)[0]["spans"]] == ["Rome"]
    with torch.no_grad():
        strict = hf_rnn.inference.predictor.Predictor(result.model, result.tokenizer, threshold=1.0)(text)[0]
    assert strict["tags"] == ["O", "O", "B-place", "O"] and strict["spans"] == []


def test_several_labels_and_numbers(tmp_path):
    """Of several labels each has a score that is compared; numbers have none."""
    rows = [{"text": f"{word} {number}", "label": [word], "value": number} for number in range(12) for word in ("good", "bad")]
    options = {**SMALL, "linear_size": 0, "validation": rows[:8]}
    several = hf_rnn.train(train=rows, output_dir=str(tmp_path / "a"), problem_type="multi_label_classification", **options)
    assert 0 <= several.metrics["eval_brier"] <= 1 and (several.folder / "reliability.png").is_file()
    options |= {"label_column_name": "value", "problem_type": "regression"}
    numbers = hf_rnn.train(train=rows, output_dir=str(tmp_path / "b"), **options)
    assert "eval_ece" not in numbers.metrics and not (numbers.folder / "reliability.png").exists()
