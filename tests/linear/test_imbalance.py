"""Logits adjusted for the shares of classes: what they are lowered by, when, and what is told of rare classes."""

import json

import numpy as np
import pytest
from scipy.special import log_softmax

import hf_rnn
from hf_rnn.linear.imbalance import class_shift, is_unbalanced, rare_recalls

SMALL = {"vocab_size": 60, "embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "use_cpu": True, "disable_tqdm": True}


def rows_of(counts):
    """Return rows of so many texts of each class, most words of which they share."""
    return [{"text": f"the {name} film number {index}", "label": name} for name, count in counts.items() for index in range(count)]


def test_shift_is_the_logarithm_of_shares():
    """Differences between classes are those of the logarithms, rows on average keep their logits, and a class without rows too."""
    labels = np.repeat([0, 1, 3], [80, 16, 4])
    shift = class_shift(labels, 4, None)
    assert shift[0] - shift[1] == pytest.approx(0.75 * np.log(5)) and shift[1] - shift[3] == pytest.approx(0.75 * np.log(4))
    assert shift[2] == 0 and shift[labels].mean() == pytest.approx(0)
    assert np.allclose(class_shift(labels, 4, 1.5), 2 * shift)
    assert class_shift(labels, 4, 0.0) is None and class_shift(np.repeat([0, 1], [50, 10]), 2, None) is None
    assert class_shift(np.repeat([0, 1], [50, 10]), 2, 0.5) is not None


@pytest.mark.parametrize(("counts", "expected"), [([50, 5], True), ([50, 6], False), ([10, 1], False), ([100, 0], False), ([], False)])
def test_which_classes_are_unbalanced(counts, expected):
    """Ten to one, of rows enough to tell; a class of no rows is none."""
    assert is_unbalanced(counts) == expected


def test_recall_of_the_rarest_classes():
    """Rare ones alone, the rarest first; nothing where classes are of one size, or no row is labelled."""
    counts = {"usual": 90, "rare": 5, "odd": 3, "middle": 30}
    line = rare_recalls([0, 1, 0, 2], [0, 1, 1, 2], counts, ["usual", "rare", "odd", "middle"])
    assert line == "Recall of the rarest classes: odd (3 training rows) 1 of 1, rare (5 training rows) 1 of 2."
    assert rare_recalls([], [], counts, ["usual"]) is None and rare_recalls([0], [0], {"a": 5, "b": 4}, ["a", "b"]) is None


def test_a_run_of_unbalanced_classes(tmp_path, caplog):
    """What counts is macro-F1, the linear model favours rare classes by what was asked for, and both are said."""
    rows, models = rows_of({"good": 60, "odd": 4}), {}
    for name, options in (("auto", {}), ("none", {"logit_adjustment": 0.0})):
        caplog.clear()
        options = {"num_train_epochs": 1, "linear_size": 100, "validation_share": 0.25, **options}
        models[name] = hf_rnn.train(train=rows, output_dir=str(tmp_path / name), **SMALL, **options)
        assert "what counts is f1_macro" in caplog.text and "Recall of the rarest classes: odd (3 training rows)" in caplog.text
    assert json.loads((tmp_path / "auto" / "trainer_state.json").read_text())["best_metric"] is not None
    favoured, plain = (
        np.mean(
            [
                log_softmax([answer["scores"]["odd"], answer["scores"]["good"]])[0]
                for answer in model.predictor.predict(["the film"], all_scores=True)
            ]
        )
        for model in models.values()
    )
    assert favoured > plain


@pytest.mark.parametrize("options", [{"linear_size": 0}, {"problem_type": "multi_label_classification", "label_separator": ","}])
def test_without_a_linear_model_nothing_is_adjusted(tmp_path, options):
    """Where there is none, asking is refused in a line."""
    with pytest.raises(ValueError, match="`logit_adjustment` needs a classifier of one label a row with a linear model, got 0.5"):
        hf_rnn.train(train=rows_of({"a": 12, "b": 12}), output_dir=str(tmp_path / "m"), logit_adjustment=0.5, **SMALL, **options)
