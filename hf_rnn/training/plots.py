"""Curves of a training run and confusion matrices as pictures."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

# labels of a confusion matrix that a picture has room for, and characters of a name
MOST_LABELS = 60
LONGEST_NAME = 40


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
            points = [(entry["epoch"], entry[key]) for entry in log_history if key in entry and "epoch" in entry]
            if points:
                axis.plot(*zip(*points, strict=True), style, label=label, markersize=4)
        axis.set(xlabel="epoch", title=name)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()
    figure.savefig(path, dpi=120)
    return figure


def plot_confusion_matrix(references: ArrayLike, answers: ArrayLike, labels: list[str], path: str | Path) -> Figure:
    """Draw a confusion matrix, coloured by the share of each true label, with counts in the cells while they can be read;
    return the figure.

    Of more than `MOST_LABELS` labels the most confused ones stand alone and the rest are summed up, so that neither time nor memory
    grows with the square of their number.

    Args:
        references (`ArrayLike`): True label of each of N rows, as an index.
        answers (`ArrayLike`): Predicted label of each.
        labels (`list`): C names.
        path (`str`): Picture to write.
    """
    names, counts = count_confusions(references, answers, labels)
    size = len(names)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    # up to 25 labels a cell has room for its count; more shrink to a quarter of an inch
    side = max(4.0, 0.62 * size) if size <= 25 else 0.25 * size
    figure = Figure(figsize=(side + 2.5, side + 1.5), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    # a dollar in a label starts no formula
    axis.set_xticks(range(size), names, rotation=90 if size > 4 else 0, fontsize=8, parse_math=False)
    axis.set_yticks(range(size), names, fontsize=8, parse_math=False)
    axis.set(xlabel="predicted", ylabel="true")
    for (row, column), count in np.ndenumerate(counts):
        if count and (size <= 25 or row == column):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(count), ha="center", va="center", fontsize=8 if size <= 25 else 5, color=colour)
    figure.colorbar(image, ax=axis, fraction=0.04, label="share of the true label")
    # the layout leaves no room for the label of the rows beside a square image
    figure.savefig(path, dpi=120, bbox_inches="tight")
    return figure


def count_confusions(references: ArrayLike, answers: ArrayLike, labels: list[str]) -> tuple[list[str], np.ndarray]:
    """Return shortened names and the counts (C, C) of rows of label i answered as j; of many labels those most confused, and the rest
    as one.

    Args:
        references (`ArrayLike`): True label of each of N rows, as an index.
        answers (`ArrayLike`): Predicted label of each.
        labels (`list`): Names.
    """
    # (N, 2)
    pairs = np.stack([np.asarray(references, dtype=np.int64), np.asarray(answers, dtype=np.int64)], axis=1)
    kept = np.arange(len(labels))
    names = [label if len(label) <= LONGEST_NAME else f"{label[: LONGEST_NAME - 3]}..." for label in labels]
    if len(labels) > MOST_LABELS:
        confused = np.bincount(pairs[pairs[:, 0] != pairs[:, 1]].flatten(), minlength=len(labels))
        kept = np.sort(np.argsort(-confused, kind="stable")[: MOST_LABELS - 1])
        names = [*(names[index] for index in kept), f"{len(labels) - len(kept)} others"]
    place = np.full(len(labels), len(kept))
    place[kept] = np.arange(len(kept))
    counts: np.ndarray = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, tuple(place[pairs].T), 1)
    return names, counts
