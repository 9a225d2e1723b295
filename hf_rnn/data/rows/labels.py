"""Label names: read from cells, put in order, and turned into ids."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any
from unicodedata import category, normalize

import numpy as np
from datasets import ClassLabel, Dataset, List

from ..files.cells import WRITTEN, place, shown
from ..files.errors import DataError
from ..files.json_files import whole_text
from .splits import AnyDataset, Splits

LABEL_TYPES = (str, int, float, bool, np.bool_, np.integer, *WRITTEN)
BLANKS = re.compile(r"[\s_-]+")
NUMBER = re.compile(r"-?[0-9]{1,15}(\.0*)?")
# labels that a line names
MOST_SHOWN = 20
# longer ones are no numbers that anybody sorts by, and Python reads none beyond 4,300 digits
WHOLE_NUMBER = re.compile(r"-?\d{1,300}")


def _is_fraction(value: Any) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    # names such as "nan" and "inf" are no numbers that somebody meant
    return isfinite(number) and not number.is_integer()


def is_missing(value: Any) -> bool:
    """Return whether a label is not there."""
    return value is None or (isinstance(value, str) and not value.strip())


def label_values(value: Any, column: str, split: str, row: int) -> list[str]:
    """Return the label names in one cell: one, or several of a list.

    Raises:
        DataError: A label is missing, a fraction, or neither text nor a number; names split, row, column, value and remedy.
    """
    values = value if isinstance(value, (list, tuple)) else [value]
    names = []
    for single in values:
        where = place(split, row, column)
        if is_missing(single):
            raise DataError(f"the label is missing (got {single!r}). Fill it in or remove the row.", where)
        if not isinstance(single, LABEL_TYPES) or (isinstance(single, float) and not isfinite(single)):
            raise DataError(f"a label must be text or a whole number, got {shown(single)}. Correct it or remove the row.", where)
        if _is_fraction(single):
            raise DataError(
                f"{single!r} is a fraction, but classification needs classes. Pass --problem_type regression, or turn scores into "
                "classes first.",
                where,
            )
        # 1.0 and True name the same class wherever they come from
        names.append(str(int(single)) if isinstance(single, (float, bool, np.bool_, Decimal)) else whole_text(str(single)).strip())
    return names


def one_label(values: list[Any], column: str, split: str, row: int) -> Any:
    """Return the label of a cell that must hold exactly one; raise a DataError if it holds another number of them."""
    if len(values) == 1:
        return values[0]
    raise DataError(
        f"a text needs one label, got {len(values)}. Pass --problem_type multi_label_classification if texts have several, or correct the "
        "row.",
        place(split, row, column),
    )


def feature_names(dataset: AnyDataset, column: str) -> list[str] | None:
    """Return the class names that the data set itself declares for a column of classes or of lists of them."""
    feature = (dataset.features or {}).get(column)
    feature = feature.feature if isinstance(feature, List) else feature
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def collect_labels(
    splits: Splits, column: str, names: dict[str, list[str] | None], allow_new: bool, known: Collection[str] = ()
) -> list[str]:
    """Return all labels of the training split in a stable order: numbers by value, "O" first, the rest by code point.

    Args:
        splits: Raw splits; without "train" the labels of whatever is there.
        column (`str`): Column of labels or of lists of them.
        names (`dict`): For each split what `feature_names` found.
        allow_new (`bool`): Whether to take labels of other splits that the training split lacks into the map, where no row
            trains them, so that they count as wrong.
        known (`Collection`): Labels of a model to go on from, which other splits may have too if the training split has one of them.

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
        allowed = set(known) if split != source and not found[source].isdisjoint(known) else set()
        for row, cell in enumerate(_cells(splits[split], column)):
            new = set(label_values(named_cell(cell, names[split]), column, split, row)) - found[source] - allowed
            if new and split != source and not allow_new:
                alike = [known for known in found[source] if plain_label(known) == plain_label(min(new))]
                raise DataError(
                    f"label {min(new)!r} does not occur in the {source} split, whose labels are "
                    f"{order_labels(found[source])[:20]}{f'; it is spelled like {alike[0]!r}' if alike else ''}. Correct it, or pass "
                    "--unknown_labels wrong to count such rows as wrong.",
                    place(split, row, column),
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


def plain_label(label: str) -> str:
    """Return what spellings of one label have in common, whatever their case, Unicode form, separators and form of numbers."""
    seen = "".join(char for char in normalize("NFKC", label).casefold() if category(char) != "Cf")
    plain = BLANKS.sub(" ", seen).strip()
    return str(int(float(plain))) if NUMBER.fullmatch(plain) else plain


def count_labels(
    dataset: AnyDataset, column: str, names: list[str] | None = None, split: str = "train", once: bool = False
) -> Counter[str]:
    """Return how many rows, or tags of rows, have each label; rows without one are not counted, and each but once if so asked."""
    counts: Counter[str] = Counter()
    for row, cell in enumerate(_cells(dataset, column)):
        named = named_cell(cell, names)
        if not is_missing(named):
            found = label_values(named, column, split, row)
            counts.update({*found} if once else found)
    return counts


def describe_counts(counts: Mapping[str, int], what: str = "training rows") -> str:
    """Return a line that says how many rows have each label, the most frequent ones first where there are many."""
    ordered = sorted(counts.items(), key=lambda pair: -pair[1]) if len(counts) > MOST_SHOWN else list(counts.items())
    shown_labels = ", ".join(f"{label} {count:,}" for label, count in ordered[:MOST_SHOWN])
    rest = f", and {len(ordered) - MOST_SHOWN:,} labels of at most {ordered[MOST_SHOWN][1]:,}" if len(ordered) > MOST_SHOWN else ""
    return f"Labels of the {what}: {shown_labels}{rest}."


# what people write between labels in a cell
BETWEEN = re.compile(r"[,;|/+&\n]")
# how tables spell cells without a value, and rows that are enough to tell a column of labels from another
LIKE_NOTHING, ROWS_TO_TELL = ("nan", "null", "none", "n/a", "na", "#n/a", "<na>", "undefined"), 20


def describe_alike(counts: Mapping[str, int]) -> str | None:
    """Return a line about labels that differ in nothing but their spelling, or None if there are none."""
    groups: dict[str, list[str]] = {}
    for label in counts:
        groups.setdefault(plain_label(label), []).append(label)
    alike = [" and ".join(f"{label!r} ({counts[label]:,} rows)" for label in labels) for labels in groups.values() if len(labels) > 1]
    if not alike:
        return None
    return (
        f"Labels that differ only in case, form of characters, separators or form of numbers are different labels: {'; '.join(alike[:10])}."
    )


def describe_odd(counts: Mapping[str, int], column: str) -> str | None:
    """Return a line about labels that look like none, or as many as if the column were another one; None if there are no such."""
    empty = [str(label) for label in counts if str(label).strip().lower() in LIKE_NOTHING]
    told = (
        [f"Labels {empty} look like what is missing, but are labels like others: leave such cells empty if they are none."] if empty else []
    )
    if several := [label for label in map(str, counts) if _parts_of(label) and {*_parts_of(label)} <= counts.keys()]:
        told.append(
            f"Labels {several[:MOST_SHOWN]} look like several in a cell: if they are, pass --problem_type multi_label_classification "
            "and --label_separator."
        )
    rows = sum(counts.values())
    if rows >= ROWS_TO_TELL and 2 * len(counts) > rows:
        told.append(f"Column {column!r} holds {len(counts):,} labels in {rows:,} rows. Is it the --label_column_name?")
    return " ".join(told) or None


def _parts_of(label: str) -> list[str]:
    """Return the labels that one may be made of, by what people write between them, if there are several."""
    parts = [part.strip() for part in BETWEEN.split(label)]
    return parts if len(parts) > 1 else []


def describe_lack(train: Iterable[str], validation: Iterable[str], split: str = "validation") -> str | None:
    """Return a line about the labels of the training rows that no row of another split has, or None if it lacks none."""
    lacking = order_labels({*train} - {*validation} - {"O"})
    if not lacking:
        return None
    more = f" and {len(lacking) - MOST_SHOWN} more" if len(lacking) > MOST_SHOWN else ""
    return f"No {split} row is of {lacking[:MOST_SHOWN]}{more}: its score says nothing of {'it' if len(lacking) == 1 else 'them'}."


def label_ids(cell: Any, column: str, split: str, row: int, label2id: dict[str, int]) -> list[int]:
    """Return the ids of the labels in one cell; raise a DataError at one that is not in `label2id`."""
    labels = label_values(cell, column, split, row)
    for label in labels:
        if label not in label2id:
            raise DataError(f"unknown label {shown(label)}; known are {list(label2id)[:20]}.", place(split, row, column))
    return [label2id[label] for label in labels]
