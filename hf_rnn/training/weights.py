"""How much training rows count in losses: by a column of the data, and by the classes they are of."""

import json
from typing import Any

import numpy as np
from datasets import Dataset

from ..data.files.cells import as_number, place
from ..data.rows.splits import Splits, iterate_cells
from ..tasks.task import Task, TaskOptions

# column of encoded rows, and argument of heads; and what is no weight any more
WEIGHTS, LARGEST = "sample_weights", 1e6


def check_weights(task: Task, options: TaskOptions) -> None:
    """Raise a ValueError if rows are to count differently in a run that has no such losses, or by labels that there are not."""
    column, asked = options.data.weight_column_name, class_weights(options)
    if column is None and asked is None:
        return
    if options.training.label_smoothing_factor or options.data.streaming:
        other = "streaming" if options.data.streaming else "label_smoothing_factor"
        raise ValueError(f"`class_weights` and `weight_column_name` do not go with `{other}`. Leave one of them out.")
    known = _kinds(task)
    if asked is not None and not known:
        raise ValueError("`class_weights` weighs classes, and a regression has none. Pass --weight_column_name, or leave it out.")
    if unknown := [label for label in asked or {} if label not in known]:
        raise ValueError(f"`class_weights` must name labels of the rows, {known[:20]}, got {unknown[0]!r}. Correct --class_weights.")


def class_weights(options: TaskOptions) -> dict[str, float] | None:
    """Return the weights of classes that are asked for: none for what follows from their rows, None where all rows count alike.

    Raises:
        ValueError: What is asked for is no such thing.
    """
    asked: Any = getattr(options.training, "class_weights", None)
    if asked in (None, "none"):
        return None
    if asked == "balanced":
        return {}
    try:
        given = json.loads(asked) if isinstance(asked, str) else asked
        weights = {str(label): float(weight) for label, weight in given.items()}
    except (ValueError, TypeError, AttributeError):
        weights = {}
    if not weights or not all(0 <= weight < LARGEST for weight in weights.values()):
        raise ValueError(
            f"`class_weights` must be balanced, none, or numbers from 0 to {LARGEST:g} by label, such as '{{\"spam\": 3}}', got {asked!r}. "
            "Pass another --class_weights."
        )
    return weights


def add_weights(task: Task, splits: Splits, encoded: Splits, options: TaskOptions) -> Splits:
    """Return encoded splits whose training rows have weights, of 1 on average; as they are where all count alike.

    A row of one label has the weight of its class times its own. Of several labels each that a row has is weighted, and of tags the row has
    the mean weight of its words, as the likelihood of a chain is that of the whole row.

    Args:
        task (`Task`): What is learnt.
        splits: Raw splits, which hold the column of weights.
        encoded: The same encoded.
        options (`TaskOptions`): What is asked for.

    Raises:
        DataError: A row has no number for a weight.
    """
    column, asked = options.data.weight_column_name, class_weights(options)
    rows = encoded.get("train")
    if not isinstance(rows, Dataset) or (column is None and asked is None):
        return encoded
    weights = np.ones(len(rows)) if column is None else _read(splits["train"], column)
    if asked is not None:
        by_class = _of_rows(task, rows["labels"], asked)
        weights = by_class * (weights[:, None] if by_class.ndim == 2 else weights)
    mean = weights.mean()
    if not mean > 0:
        raise ValueError("All training rows have the weight 0. Correct --weight_column_name or --class_weights.")
    return type(encoded)({**encoded, "train": rows.add_column(WEIGHTS, (weights / mean).tolist())})


def _read(rows: Dataset, column: str) -> np.ndarray:
    """Return the weights of rows (N,) from a column; a row without one, as a teacher adds, counts once."""
    if column not in rows.column_names:
        raise ValueError(f"The training rows lack the column {column!r}; they have {rows.column_names}. Correct --weight_column_name.")
    cells = enumerate(iterate_cells(rows, column))
    weights = np.array([1.0 if cell is None else as_number(cell, place("train", row, column)) for row, cell in cells])
    if (weights < 0).any():
        raise ValueError(f"Weights of rows must be at least 0, got {weights.min():g} in column {column!r}. Correct it.")
    return weights


def _kinds(task: Task) -> list[str]:
    """Return what classes are weighed by: labels, of tags of spans what they are of; nothing of a regression."""
    if not task.has_tags and not task.can_promise and getattr(task, "problem", None) == "regression":
        return []
    return list(dict.fromkeys(_kind(label) if task.has_tags else label for label in task.labels))


def _kind(tag: str) -> str:
    return tag[2:] if tag[1:2] == "-" else tag


def _of_rows(task: Task, labels: list[Any], asked: dict[str, float]) -> np.ndarray:
    """Return the weights of rows by their classes, (N,), or of each of their several labels, (N, C)."""
    names = [_kind(label) if task.has_tags else label for label in task.labels]
    if task.has_tags:
        kinds = list(dict.fromkeys(names))
        places = np.array([kinds.index(name) for name in names])
        rows = [places[[tag for tag in row if tag != -100]] for row in labels]
        counts = np.bincount(np.concatenate(rows), minlength=len(kinds)) if rows else np.zeros(len(kinds))
        weights = _weights(kinds, counts, asked)
        return np.array([weights[row].mean() if len(row) else 1.0 for row in rows])
    given = np.array(labels)
    if given.ndim == 1:
        counted = given[given != -100]
        weights = _weights(names, np.bincount(counted, minlength=len(names)), asked)
        return np.where(given == -100, 1.0, weights[given])
    has = given > 0
    # what a row lacks counts once, and what it has as often as would make both alike
    ratio = (len(given) - has.sum(0)) / np.maximum(has.sum(0), 1)
    weights = ratio if not asked else np.array([asked.get(name, 1.0) for name in names])
    return np.where(has, weights, 1.0)


def _weights(names: list[str], counts: np.ndarray, asked: dict[str, float]) -> np.ndarray:
    """Return the weight of each class: what is asked for, 1 for one that is not named, or what makes all count alike."""
    if asked:
        return np.array([asked.get(name, 1.0) for name in names])
    return np.asarray(counts.sum() / (np.maximum(counts, 1) * max((counts > 0).sum(), 1)))
