"""Curves of a training run, confusion matrices, comparisons of models and searches for options as pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

from ..data.writing import replacing
from .fonts import fonts_for

# labels of a confusion matrix that a picture has room for, and characters of a name
MOST_LABELS = 60
# why a validation curve may lie above its neighbour
TRAINING = "training split, with dropout"
LONGEST_NAME = 40
# so many labels stand beside each other, and can be large
FEW_LABELS = 4


def save_picture(figure: Figure, path: str | Path, **options: Any) -> None:
    """Write a figure, whole or not at all, in the format that the ending of the path says, or as PNG where it has none."""
    with replacing(path) as beside:
        figure.savefig(beside, format=Path(path).suffix[1:] or "png", dpi=120, **options)


def plot_curves(log_history: list[dict[str, Any]], path: str | Path, metric: str = "accuracy") -> Figure:
    """Draw loss and a metric by epoch, training and validation, side by side, and return the figure.

    Training values are means over the batches of an epoch, with dropout and whatever else makes learning harder; validation values are
    those of the model at its end.

    Args:
        log_history (`list`): `trainer.state.log_history`.
        path (`str`): Picture to write.
        metric (`str`): Name of the validation metric, without "eval_"; the training accuracy is drawn beside an accuracy.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axis, name in zip(figure.subplots(1, 2), ("loss", metric), strict=True):
        for key, label, style in ((name, TRAINING, "C0o-"), (f"eval_{name}", "validation split", "C1s-")):
            points = [(entry["epoch"], entry[key]) for entry in log_history if key in entry and "epoch" in entry]
            if points:
                axis.plot(*zip(*points, strict=True), style, label=label, markersize=4)
        axis.set(xlabel="epoch", title=name)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()
    save_picture(figure, path)
    return figure


def plot_confusion_matrix(references: ArrayLike, answers: ArrayLike, labels: list[str], path: str | Path, split: str = "") -> Figure:
    """Draw a confusion matrix, coloured by the share of each true label, with counts in the cells while they can be read;
    return the figure.

    Of more than `MOST_LABELS` labels the most confused ones stand alone and the rest are summed up, so that neither time nor memory
    grows with the square of their number.

    Args:
        references (`ArrayLike`): True label of each of N rows, as an index.
        answers (`ArrayLike`): Predicted label of each.
        labels (`list`): C names.
        path (`str`): Picture to write.
        split (`str`): Name of the split, for the title.
    """
    names, counts = count_confusions(references, answers, labels)
    # a label that neither is nor is answered, as "O" among words, is no row to look at
    present = np.flatnonzero(counts.sum(0) + counts.sum(1))
    names, counts = [names[place] for place in present], counts[np.ix_(present, present)]
    size = len(names)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    # up to 25 labels a cell has room for its count; more shrink to a quarter of an inch
    side = max(4.0, 0.62 * size) if size <= 25 else 0.25 * size
    font = 12 if size <= FEW_LABELS else 8
    with fonts_for(names):
        figure = Figure(figsize=(side + 2.5, side + 1.5), layout="constrained")
        axis = figure.subplots()
        image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        # a dollar in a label starts no formula
        axis.set_xticks(range(size), names, rotation=90 if size > FEW_LABELS else 0, fontsize=font, parse_math=False)
        axis.set_yticks(range(size), names, fontsize=font, parse_math=False)
        axis.set(xlabel="predicted", ylabel="true", title=_title(split, counts.sum()))
        for (row, column), count in np.ndenumerate(counts):
            if count and (size <= 25 or row == column):
                colour = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, f"{count:,}", ha="center", va="center", fontsize=font if size <= 25 else 5, color=colour)
        figure.colorbar(image, ax=axis, fraction=0.04, label="share of the true label")
        # the layout leaves no room for the label of the rows beside a square image
        save_picture(figure, path, bbox_inches="tight")
    return figure


def plot_reliability(scores: ArrayLike, right: ArrayLike, sizes: ArrayLike, path: str | Path, split: str = "") -> Figure:
    """Draw how often answers are right by what their scores say, with 95% intervals by the number of answers; return the figure.

    Args:
        scores (`ArrayLike`): Mean score of each of K bins.
        right (`ArrayLike`): Share of its answers that is right.
        sizes (`ArrayLike`): Number of its answers.
        path (`str`): Picture to write.
        split (`str`): Name of the split, for the title.
    """
    scores, right, sizes = map(np.asarray, (scores, right, sizes))
    # Wilson 1927
    centre = (right + 1.92 / sizes) / (1 + 3.84 / sizes)
    half = 1.96 / (1 + 3.84 / sizes) * np.sqrt(right * (1 - right) / sizes + 0.96 / sizes**2)
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], ":", color="gray", label="calibrated")
    axis.errorbar(
        scores,
        right,
        np.abs([right - centre + half, centre + half - right]),
        fmt="o",
        capsize=3,
        markersize=4,
        label="answers, 95% interval",
    )
    axis.set(xlabel="score", ylabel="share that is right", title=_title(split, sizes.sum()))
    axis.set(xlim=(min(scores.min(), right.min()) - 0.05, 1.02), ylim=(min(scores.min(), (centre - half).min()) - 0.05, 1.02))
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left")
    save_picture(figure, path)
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
    names = list(map(_shortened, labels))
    if len(labels) > MOST_LABELS:
        confused = np.bincount(pairs[pairs[:, 0] != pairs[:, 1]].flatten(), minlength=len(labels))
        kept = np.sort(np.argsort(-confused, kind="stable")[: MOST_LABELS - 1])
        names = [*(names[index] for index in kept), f"{len(labels) - len(kept)} others"]
    place = np.full(len(labels), len(kept))
    place[kept] = np.arange(len(kept))
    counts: np.ndarray = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, tuple(place[pairs].T), 1)
    return names, counts


def plot_comparison(lines: Mapping[str, Mapping[str, Any]], path: str | Path) -> Figure:
    """Draw scores with their intervals, sizes and speeds of models side by side, a row for each model; return the figure.

    Args:
        lines (`Mapping`): For each model its `measure`, its `score` with `value`, `low` and `high`, `MiB` and texts a second.
        path (`str`): Picture to write.
    """
    figure = Figure(figsize=(12, 1.6 + 0.45 * len(lines)), layout="constrained")
    scores, sizes, speeds = figure.subplots(1, 3, sharey=True)
    places = np.arange(len(lines))
    # (M, 3)
    percent = 100 * np.array([[line["score"][end] for end in ("value", "low", "high")] for line in lines.values()])
    spread = np.abs(percent[:, 1:] - percent[:, :1]).T
    scores.errorbar(percent[:, 0], places, xerr=spread, fmt="o", capsize=4)
    scores.axvline(percent[0, 0], color="gray", linestyle=":", linewidth=1, label="that of the first")
    first = next(iter(lines.values()))
    scores.set(xlabel=f"{first['measure'].replace('f1', 'F1')} and its 95% interval, %")
    # a dollar in a name starts no formula
    scores.set_yticks(places, [_shortened(name) for name in lines], parse_math=False)
    bars = sizes.barh(places, [line["MiB"] for line in lines.values()], height=0.5)
    sizes.bar_label(bars, [f" {line['MiB']:,.1f}" for line in lines.values()], fontsize=8)
    # room for the numbers beside the bars
    sizes.margins(x=0.2)
    sizes.set(xlabel="MiB")
    for name, marker in (("texts/s alone", "o"), ("texts/s in batches", "s")):
        speeds.plot([line[name] for line in lines.values()], places, marker, label=name.removeprefix("texts/s "))
    speeds.set(xlabel="texts a second", xscale="log")
    speeds.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    speeds.xaxis.set_major_formatter("{x:,.0f}")
    speeds.xaxis.set_minor_formatter(NullFormatter())
    for axis in (scores, speeds):
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    # room beside the fastest and the slowest
    speeds.margins(x=0.08)
    for axis in (scores, sizes, speeds):
        axis.grid(alpha=0.3, axis="x")
        axis.set_axisbelow(True)
    # the first model stands at the top
    scores.set_ylim(len(lines) - 0.4, -0.6)
    save_picture(figure, path)
    return figure


def plot_study(
    runs: Sequence[tuple[int, float | None, bool]], importances: Mapping[str, float], path: str | Path, metric: str, greater_is_better: bool
) -> Figure:
    """Draw the scores of many trainings in their order, the best one so far, and what the options matter; return the figure.

    Args:
        runs (`Sequence`): Number, score and whether it was cut short, of each; a failed one has no score.
        importances (`Mapping`): Share of the scores' variance that each option explains; nothing is drawn of none.
        path (`str`): Picture to write.
        metric (`str`): Name of the score.
        greater_is_better (`bool`): Whether more of it is better.
    """
    figure = Figure(figsize=(10 if importances else 6, 4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, 2 if importances else 1))
    for is_pruned, style, label in ((False, "o", "runs"), (True, "x", "stopped, behind others")):
        points = [(number, score) for number, score, pruned in runs if score is not None and pruned == is_pruned]
        if points:
            axes[0].plot(*zip(*points, strict=True), style, label=label, markersize=5, color="gray" if is_pruned else None)
    whole = [(number, score) for number, score, pruned in runs if score is not None and not pruned]
    numbers, scores = zip(*whole, strict=True) if whole else ((), ())
    if whole:
        best = (np.maximum if greater_is_better else np.minimum).accumulate(np.array(scores))
        axes[0].step(numbers, best, where="post", label="best so far")
    axes[0].set(xlabel="run", ylabel=f"validation {metric}")
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].legend()
    if importances:
        names = list(importances)[::-1]
        axes[1].barh(names, [importances[name] for name in names], height=0.5)
        axes[1].set(xlabel="share of the variance of the score", xlim=(0, 1))
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
    save_picture(figure, path)
    return figure


def _title(split: str, answers: int) -> str:
    return f"{split} split, {answers:,} answers" if split else ""


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."
