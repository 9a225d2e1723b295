"""Pictures hold what they should; matplotlib's own artists are asked."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hf_rnn.training import plots


def test_curves(tmp_path):
    """Loss and metric, training and validation, by epoch."""
    log = [
        {"epoch": 1.0, "loss": 0.7, "accuracy": 0.6},
        {"epoch": 1.0, "eval_loss": 0.6, "eval_accuracy": 0.7},
        {"epoch": 2.0, "loss": 0.5, "accuracy": 0.8},
        {"epoch": 2.0, "eval_loss": 0.55, "eval_accuracy": 0.75},
        {"epoch": 2.0, "train_runtime": 3.0},
    ]
    figure = plots.plot_curves(log, tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"
    lines = {(axis.get_title(), line.get_label()): list(map(tuple, line.get_xydata())) for axis in figure.axes for line in axis.lines}
    assert lines[("loss", "training")] == [(1.0, 0.7), (2.0, 0.5)]
    assert lines[("loss", "validation")] == [(1.0, 0.6), (2.0, 0.55)]
    assert lines[("accuracy", "training")] == [(1.0, 0.6), (2.0, 0.8)]
    assert lines[("accuracy", "validation")] == [(1.0, 0.7), (2.0, 0.75)]


@pytest.mark.parametrize("size", [2, 17, 70])
def test_confusion_matrix(size, tmp_path):
    """Every label stands on both axes; labels do not overlap; counts stand in the cells of small matrices."""
    counts = np.arange(size * size).reshape(size, size)
    figure = plots.plot_confusion_matrix(counts, [f"B-label_{index}" for index in range(size)], tmp_path / "m.png")
    FigureCanvasAgg(figure).draw()
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == [f"B-label_{index}" for index in range(size)]
    boxes = [label.get_window_extent() for label in axis.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in itertools.pairwise(boxes))
    texts = {text.get_text() for text in axis.texts}
    assert texts >= ({str(count) for count in counts.flatten() if count} if size <= 25 else {str(counts[-1, -1])})
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("predicted", "true")


def test_empty_log_draws_no_legend(tmp_path):
    """A run without epochs gives an empty picture rather than an error."""
    figure = plots.plot_curves([], tmp_path / "c.png")
    assert all(axis.get_legend() is None for axis in figure.axes)
