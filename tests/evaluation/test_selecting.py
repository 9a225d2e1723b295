"""The texts to label next: what a model is unsure of, unlike one another, in the shape of an annotation tool."""

import json

import numpy as np
import pytest

import hf_rnn
from hf_rnn.commands import cli
from hf_rnn.evaluation.selecting import choose_diverse, uncertainties
from hf_rnn.inference.loading import load

SMALL = {"vocab_size": 60, "embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "use_cpu": True, "disable_tqdm": True}
SMALL |= {"num_train_epochs": 1, "validation_share": 0.25}
ROWS = [{"text": f"{word} film {number}", "label": word} for number in range(12) for word in ("good", "bad")]
SENTENCES = [{"tokens": ["see", "Ann", "now"], "tags": ["O", "B-who", "O"]}, {"tokens": ["see", "it"], "tags": ["O", "O"]}] * 10
SPANS = [{"text": f"see Ann {number}", "label": [[4, 7, "who"]]} for number in range(12)]


def test_the_least_sure_first_and_none_like_it_after():
    """A copy of what is chosen comes last; equal scores leave the choice to what is unlike; all of a smaller pool come."""
    texts, scores = ["play a song", "play a song", "play a tune", "rain tomorrow"], np.array([0.9, 0.89, 0.5, 0.45])
    assert choose_diverse(texts, scores, 3) == [0, 3, 2]
    assert choose_diverse(texts, scores, 9) == [0, 3, 2, 1]
    assert (
        choose_diverse(texts[:2], np.zeros(2), 1) == [0]
        and choose_diverse(["a"], np.ones(1), 5) == [0]
        and choose_diverse([], np.ones(0), 5) == []
    )


def test_a_classifier_is_unsure_where_two_labels_are_near(tmp_path):
    """Of one label what counts is the margin between the best two; the command writes rows of the pool with the answers, as asked."""
    folder = hf_rnn.train(train=ROWS, output_dir=str(tmp_path / "m"), **SMALL, linear_size=200).folder
    texts = ["good film", "bad film", "good bad film"]
    predictor = load(str(folder))
    scores = [answer["scores"] for answer in predictor.predict(texts, all_scores=True)]
    assert np.allclose(uncertainties(predictor, texts), [1 - abs(each["good"] - each["bad"]) for each in scores], atol=1e-5)
    assert uncertainties(predictor, texts).argmax() == 2
    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(texts)))
    argv = ["next", "--model_name_or_path", str(folder), "--pool", str(pool), "--number", "2", "--output_file"]
    assert cli.main([*argv, str(tmp_path / "next.jsonl")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "next.jsonl").read_text().splitlines()]
    assert rows[0]["id"] == 2 and rows[0]["text"] == texts[2] and len(rows) == 2 and {"label", "score"} <= rows[0].keys()
    assert cli.main([*argv, str(tmp_path / "next.json"), "--format", "label_studio"]) == 0
    assert json.loads((tmp_path / "next.json").read_text())[0]["data"] == {"text": texts[2], "id": 2}


@pytest.mark.parametrize(
    ("task", "rows", "texts"),
    [
        ("token-classification", SENTENCES, [["see", "Ann"], "see it", ""]),
        ("token-classification", SPANS, ["see Ann", "see", ""]),
        ("text-classification", [{"text": row["text"], "labels": [row["label"]]} for row in ROWS], ["good", "bad", ""]),
    ],
)
def test_taggers_and_several_labels(task, rows, texts, tmp_path):
    """Each has a number; of more words more tags may be wrong, and none of none."""
    options = {"problem_type": "multi_label_classification"} if task == "text-classification" else {"linear_size": 0, "word_vocab_size": 0}
    folder = hf_rnn.train(task, train=rows, output_dir=str(tmp_path / "m"), **SMALL, **options).folder
    found = uncertainties(load(str(folder)), texts)
    assert np.isfinite(found).all() and (found >= 0).all()
    if task == "token-classification":
        assert found[2] == 0 and found[0] > 0


def test_a_regression_is_refused(tmp_path):
    """In a line."""
    rows = [{"text": row["text"], "label": float(number)} for number, row in enumerate(ROWS)]
    folder = hf_rnn.train(train=rows, output_dir=str(tmp_path / "m"), problem_type="regression", **SMALL).folder
    with pytest.raises(ValueError, match="Pass a classifier or a tagger"):
        uncertainties(load(str(folder)), ["a"])
