"""Label names: read from cells, put in order, and turned into ids."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, List

from .readers import DataError
from .splits import AnyDataset, Splits

# longer ones are no numbers that anybody sorts by, and Python reads none beyond 4,300 digits
WHOLE_NUMBER = re.compile(r"-?\d{1,300}")


def _is_fraction(value: Any) -> bool:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return False
    return isinstance(value, float) and not value.is_integer()


def label_values(value: Any, column: str, split: str, row: int) -> list[str]:
    """Return the label names in one cell: one, or several of a list.

    Raises:
        DataError: The cell is empty or holds a fraction; names split, row, column, value and remedy.
    """
    values = value if isinstance(value, (list, tuple)) else [value]
    names = []
    for single in values:
        where = f"{split} row {row}, column {column!r}"
        if single is None or single == "":
            raise DataError(f"{where}: the label is missing (got {single!r}). Fill it in or remove the row.")
        if _is_fraction(single):
            raise DataError(
                f"{where}: {single!r} is a fraction, but classification needs classes. "
                "Pass --problem_type regression, or turn scores into classes first."
            )
        # 1.0 and True name the same class wherever they come from
        names.append(str(int(single)) if isinstance(single, (float, bool, np.bool_)) else str(single))
    return names


def feature_names(dataset: AnyDataset, column: str) -> list[str] | None:
    """Return the class names that the data set itself declares for a column of classes or of lists of them."""
    feature = (dataset.features or {}).get(column)
    feature = feature.feature if isinstance(feature, List) else feature
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def collect_labels(splits: Splits, column: str, names: dict[str, list[str] | None], allow_new: bool) -> list[str]:
    """Return all labels of the training split in a stable order: numbers by value, "O" first, the rest by code point.

    Args:
        splits: Raw splits; without "train" the labels of whatever is there.
        column (`str`): Column of labels or of lists of them.
        names (`dict`): For each split what `feature_names` found.
        allow_new (`bool`): Whether to take labels of other splits that the training split lacks into the map, where no row
            trains them, so that they count as wrong.

    Raises:
        DataError: Another split has a label that the training split lacks and `allow_new` is false.
    """
    source = "train" if "train" in splits else next(iter(splits))
    declared = names[source]
    if declared:
        return list(declared)
    found: dict[str, set[str]] = {}
    for split in splits:
        found[split] = set()
        for row, cell in enumerate(_cells(splits[split], column)):
            new = set(label_values(named_cell(cell, names[split]), column, split, row)) - found[source]
            if new and split != source and not allow_new:
                raise DataError(
                    f"{split} row {row}, column {column!r}: label {min(new)!r} does not occur in the {source} split, whose labels are "
                    f"{order_labels(found[source])[:20]}. Correct it, or pass --unknown_labels wrong to count such rows as wrong."
                )
            found[split] |= new
    return order_labels(set().union(*found.values()))


def _cells(dataset: AnyDataset, column: str) -> Iterable[Any]:
    return dataset[column] if isinstance(dataset, Dataset) else (row[column] for row in dataset)


def named_cell(cell: Any, names: list[str] | None) -> Any:
    """Turn class numbers of the Hub's own features into names."""
    if names is None or cell is None:
        return cell
    return [names[index] for index in cell] if isinstance(cell, list) else names[cell]


def order_labels(labels: Iterable[str]) -> list[str]:
    """Sort label names: numbers by value and, where values are equal, by code point; then "O", then the rest by code point."""

    def key(label: str) -> tuple[int, float, str]:
        return (0, int(label), label) if WHOLE_NUMBER.fullmatch(label) else (1 if label == "O" else 2, 0, label)

    return sorted(labels, key=key)


def label_ids(cell: Any, column: str, split: str, row: int, label2id: dict[str, int]) -> list[int]:
    """Return the ids of the labels in one cell; raise a DataError at one that is not in `label2id`."""
    labels = label_values(cell, column, split, row)
    for label in labels:
        if label not in label2id:
            raise DataError(f"{split} row {row}, column {column!r}: unknown label {label!r}; known are {list(label2id)[:20]}.")
    return [label2id[label] for label in labels]
