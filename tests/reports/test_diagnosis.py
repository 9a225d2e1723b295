"""One line for each thing that goes wrong in a training, and none where nothing does."""

import pytest

from hf_rnn.reports.diagnosis import diagnose

BALANCED = [0, 1] * 50


def history(losses, accuracies, eval_losses):
    """Return a log of epochs."""
    training = [{"loss": loss, "accuracy": accuracy} for loss, accuracy in zip(losses, accuracies, strict=True)]
    return [*training, *({"eval_loss": loss} for loss in eval_losses)]


GOOD = history([0.7, 0.4, 0.38], [0.5, 0.8, 0.85], [0.6, 0.5, 0.52])


@pytest.mark.parametrize(
    ("log", "predictions", "rows", "said"),
    [
        (GOOD, BALANCED, 100, None),
        (history([0.7, 0.6, 0.4], [0.5, 0.6, 0.8], [0.6]), BALANCED, 100, "still falling fast when training ended (0.60 to 0.40)"),
        (history([0.7, 0.69, 0.69], [0.5, 0.5, 0.51], [0.7]), BALANCED, 100, "training accuracy 0.51, where the most frequent class"),
        (history([0.7, 0.2, 0.19], [0.5, 0.9, 0.99], [0.5, 0.4, 0.9]), BALANCED, 100, "rose from 0.40 to 0.90"),
        (GOOD, [1] * 100, 100, "One class is predicted throughout"),
        (GOOD, BALANCED, 20, "Only 20 validation rows"),
    ],
)
def test_each_is_said(log, predictions, rows, said):
    """Nothing is said of a good run, and of a bad one what is wrong and what to do."""
    lines = diagnose(log, predictions, BALANCED, rows)
    assert lines == [] if said is None else len(lines) == 1 and said in lines[0]


def test_nothing_is_known():
    """A run without logs and without validation says nothing."""
    assert diagnose([], [], [], 0) == []
