"""Curves of a training run and confusion matrices as pictures."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def plot_curves(log_history: list[dict[str, Any]], path: str | Path, metric: str = "accuracy") -> Figure:
    """Draw loss and a metric by epoch, training and validation, side by side, and return the figure.

    Args:
        log_history (`list`): `trainer.state.log_history`.
        path (`str`): Picture to write.
        metric (`str`): Name of the validation metric, without "eval_"; the training accuracy is drawn beside an accuracy.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axis, name in zip(figure.subplots(1, 2), ("loss", metric), strict=True):
        for key, label, style in ((name, "training", "o-"), (f"eval_{name}", "validation", "s-")):
            points = [(entry["epoch"], entry[key]) for entry in log_history if key in entry]
            if points:
                axis.plot(*zip(*points, strict=True), style, label=label, markersize=4)
        axis.set(xlabel="epoch", title=name)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()
    figure.savefig(path, dpi=120)
    return figure


def plot_confusion_matrix(counts: np.ndarray, labels: list[str], path: str | Path) -> Figure:
    """Draw a confusion matrix, coloured by the share of each true label, with counts in the cells while they can be read;
    return the figure.

    Args:
        counts (`ndarray`): Rows of label i predicted as j, (C, C).
        labels (`list`): C names.
        path (`str`): Picture to write.
    """
    size = len(labels)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    # up to 25 labels a cell has room for its count; more shrink to a quarter of an inch
    side = max(4.0, 0.62 * size) if size <= 25 else 0.25 * size
    figure = Figure(figsize=(side + 2.5, side + 1.5), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(size), labels, rotation=90 if size > 4 else 0, fontsize=8)
    axis.set_yticks(range(size), labels, fontsize=8)
    axis.set(xlabel="predicted", ylabel="true")
    for (row, column), count in np.ndenumerate(counts):
        if count and (size <= 25 or row == column):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(count), ha="center", va="center", fontsize=8 if size <= 25 else 5, color=colour)
    figure.colorbar(image, ax=axis, fraction=0.04, label="share of the true label")
    # the layout leaves no room for the label of the rows beside a square image
    figure.savefig(path, dpi=120, bbox_inches="tight")
    return figure
