"""Label names: read from cells, put in order, and turned into ids."""

import re
from collections.abc import Iterable
from math import isfinite
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, List

from ..files.cells import place, shown
from ..files.errors import DataError
from ..files.json_files import whole_text
from .splits import AnyDataset, Splits

LABEL_TYPES = (str, int, float, bool, np.bool_, np.integer)
# longer ones are no numbers that anybody sorts by, and Python reads none beyond 4,300 digits
WHOLE_NUMBER = re.compile(r"-?\d{1,300}")


def _is_fraction(value: Any) -> bool:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return False
    # names such as "nan" and "inf" are no numbers that somebody meant
    return isfinite(number) and not number.is_integer()


def label_values(value: Any, column: str, split: str, row: int) -> list[str]:
    """Return the label names in one cell: one, or several of a list.

    Raises:
        DataError: A label is missing, a fraction, or neither text nor a number; names split, row, column, value and remedy.
    """
    values = value if isinstance(value, (list, tuple)) else [value]
    names = []
    for single in values:
        where = place(split, row, column)
        if single is None or single == "":
            raise DataError(f"{where}: the label is missing (got {single!r}). Fill it in or remove the row.")
        if not isinstance(single, LABEL_TYPES) or (isinstance(single, float) and not isfinite(single)):
            raise DataError(f"{where}: a label must be text or a whole number, got {shown(single)}. Correct it or remove the row.")
        if _is_fraction(single):
            raise DataError(
                f"{where}: {single!r} is a fraction, but classification needs classes. "
                "Pass --problem_type regression, or turn scores into classes first."
            )
        # 1.0 and True name the same class wherever they come from
        names.append(str(int(single)) if isinstance(single, (float, bool, np.bool_)) else whole_text(str(single)))
    return names


def one_label(values: list[Any], column: str, split: str, row: int) -> Any:
    """Return the label of a cell that must hold exactly one; raise a DataError if it holds another number of them."""
    if len(values) == 1:
        return values[0]
    raise DataError(
        f"{place(split, row, column)}: a text needs one label, got {len(values)}. Pass --problem_type multi_label_classification if texts "
        "have several, or correct the row."
    )


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
                    f"{place(split, row, column)}: label {min(new)!r} does not occur in the {source} split, whose labels are "
                    f"{order_labels(found[source])[:20]}. Correct it, or pass --unknown_labels wrong to count such rows as wrong."
                )
            found[split] |= new
    return order_labels(set().union(*found.values()))


def _cells(dataset: AnyDataset, column: str) -> Iterable[Any]:
    return dataset[column] if isinstance(dataset, Dataset) else (row[column] for row in dataset)


def named_cell(cell: Any, names: list[str] | None) -> Any:
    """Turn class numbers of the Hub's own features into names; -1 stands there for a label that is missing."""
    if names is None or cell is None or cell == -1:
        return cell if names is None else None
    return [named_cell(index, names) for index in cell] if isinstance(cell, list) else names[cell]


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
            raise DataError(f"{place(split, row, column)}: unknown label {shown(label)}; known are {list(label2id)[:20]}.")
    return [label2id[label] for label in labels]
