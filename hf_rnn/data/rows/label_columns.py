"""What the cells of a column of labels mean, as all splits tell: names, lists of them, or places of a list; and the rows that lack one."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, List, Value
from transformers.utils.logging import get_logger

from ..files.cells import place, shown
from ..files.errors import DataError
from ..files.locations import Places
from ..files.reading import ReadingOptions
from .labels import count_labels, describe_alike, describe_counts, describe_lack, describe_odd, feature_names, is_missing
from .splits import AnyDataset, Splits, column_names
from .truths import JOINED, join_truths, with_column

logger = get_logger(__name__)

MULTI = "multi_label_classification"
# what may part labels in a cell
SEPARATORS = (",", ";", "|", "/", "+", "&", "\n")
# lists as numpy prints them, without commas
NO_COMMAS = re.compile(r"(['\"])\s+(?=['\"])")
NUMBERS = re.compile(r"\[[\d.\s]*\]")
# classes that a line names
MOST_NAMES = 20


@dataclass(frozen=True)
class LabelCells:
    """How the cells of a column of labels are read.

    Attributes:
        kind (`str`): "names" as they are; "spelled" lists; "separated" labels; "numbers" of names; "places" of names in lists of 0 and 1.
        names (`tuple`): What numbers and places stand for.
        separator (`str`): Between separated labels.
        is_list (`bool`): Whether a cell has several labels.
    """

    kind: str
    names: tuple[str, ...] = ()
    separator: str = ""
    is_list: bool = False

    def read(self, cell: Any) -> Any:
        """Return the label or labels in a cell by name; a label that is missing is None."""
        if is_missing(cell) or (isinstance(cell, float) and isnan(cell)):
            return None
        cell = spelled_list(cell) if self.kind in ("spelled", "numbers", "places") and isinstance(cell, str) and self.is_list else cell
        if self.kind == "separated":
            return [part.strip() for part in cell.split(self.separator) if part.strip()]
        if self.kind == "places":
            return [name for name, is_on in zip(self.names, cell, strict=True) if float(is_on)]
        if self.kind == "numbers":
            return [self._name(each) for each in cell] if self.is_list else self._name(cell)
        return cell.strip() if isinstance(cell, str) else [str(each).strip() for each in cell] if self.kind == "spelled" else cell

    def _name(self, value: Any) -> str:
        return value if value in self.names else self.names[int(float(value))]

    @property
    def feature(self) -> Any:
        """Return the type of the column, with the names that it declares."""
        feature = ClassLabel(names=list(self.names)) if self.names else Value("string")
        return List(feature) if self.is_list else feature


def spelled_list(cell: str) -> list[Any] | None:
    """Return the list that a cell spells, as Python, JSON or numpy print it, or None if it spells none."""
    text = cell.strip()
    if text[:1] + text[-1:] not in ("[]", "()", "{}"):
        return None
    if NUMBERS.fullmatch(text):
        return [float(part) for part in text[1:-1].split()]
    for parse in (ast.literal_eval, json.loads):
        try:
            found = parse(NO_COMMAS.sub(r"\1, ", text))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return list(found) if isinstance(found, list | tuple | set) else None
    return [part.strip().strip("'\"") for part in text[1:-1].split(",") if part.strip()] if text[0] == "[" else None


def read_labels(
    splits: Splits,
    column: str | None,
    problem: str,
    reading: ReadingOptions,
    known: Sequence[str] | None = None,
    places: Places | None = None,
) -> Splits:
    """Return the splits with a column of labels whose cells are names, lists of names, or numbers of names that the column declares.

    Rows without a label are refused, all of them named, or left out; a test split without any label has no such column then.

    Args:
        splits: Raw splits.
        column (`str`, *optional*): Column of labels; None where `reading.label_columns` makes it, under the name `JOINED`.
        problem (`str`): Type of the problem; a regression has numbers, and nothing changes but missing rows.
        reading (`ReadingOptions`): What the rows do not say themselves.
        known (`Sequence`, *optional*): Names of a checkpoint's labels, for places of a list that have no others.
        places (`Places`, *optional*): Takes note of the rows that are left out.

    Raises:
        DataError: A label is missing, or cells hold lists that are not told apart; names rows and remedy.
    """
    if reading.label_columns:
        splits, column = type(splits)({split: join_truths(splits[split], split, reading) for split in splits}), JOINED
    if column is None:
        raise ValueError("`column` must name a column where there are no `label_columns`, got None.")
    labelled = {split: rows for split, rows in splits.items() if column in column_names(rows)}
    if not reading.label_columns and problem != "regression":
        labelled = {split: _as_declared(rows, labelled, column, split) for split, rows in labelled.items()}
        values = {split: list(_cells(rows, column)) for split, rows in labelled.items()}
        cells = judge_cells(values, labelled, column, problem, reading, known)
        if cells is not None:
            labelled = {split: _replace(rows, column, cells) for split, rows in labelled.items()}
    checked = {split: _without_missing(rows, split, column, reading, places) for split, rows in labelled.items()}
    return type(splits)({**splits, **checked})


def _as_declared(rows: AnyDataset, labelled: dict[str, AnyDataset], column: str, split: str) -> AnyDataset:
    """Return rows whose numbers of classes have the names that another split declares for them, if they are such; say so."""
    names = next(filter(None, (feature_names(other, column) for other in labelled.values())), None)
    if names is None or not isinstance(rows, Dataset) or feature_names(rows, column):
        return rows
    cells = list(rows[column])
    present = [cell for cell in cells if not is_missing(cell)]
    if not present or any(cell in names or not _is_number_of(cell, names) for cell in present):
        return rows
    logger.warning(f"Labels of the {split} split are numbers of the classes that another split declares: {names[:MOST_NAMES]}.")
    numbers = [None if is_missing(cell) else int(float(cell)) for cell in cells]
    return with_column(rows, column, numbers, ClassLabel(names=names))


def _cells(rows: AnyDataset, column: str) -> Iterable[Any]:
    return rows[column] if isinstance(rows, Dataset) else (row[column] for row in rows)


def judge_cells(
    cells: dict[str, list[Any]],
    splits: dict[str, AnyDataset],
    column: str,
    problem: str,
    reading: ReadingOptions,
    known: Sequence[str] | None,
) -> LabelCells | None:
    """Return how the cells of a column are read, or None if they stay as they are."""
    if all(feature_names(rows, column) for rows in splits.values()) and not reading.label_names:
        return None
    present = [cell for each in cells.values() for cell in each if not is_missing(cell)]
    texts = [cell for cell in present if isinstance(cell, str)]
    if reading.label_separator and texts:
        _refuse_other_separators(cells, column, reading.label_separator)
        return LabelCells("separated", separator=reading.label_separator, is_list=True)
    spelled = [spelled_list(cell) for cell in texts] if texts and len(texts) == len(present) else []
    are_spelled = bool(spelled) and all(each is not None for each in spelled)
    if problem == MULTI and texts and not are_spelled:
        _refuse_unclear(cells, column)
    lists = [each or [] for each in spelled] if are_spelled else present
    if are_spelled or (lists and all(isinstance(each, list | tuple) for each in lists)):
        return _judge_lists(lists, column, problem, reading, known, are_spelled)
    if reading.label_names and all(_is_number_of(cell, reading.label_names) for cell in present):
        return LabelCells("numbers", reading.label_names)
    if reading.label_names:
        bad = next(cell for cell in present if not _is_number_of(cell, reading.label_names))
        raise DataError(
            f"Column {column!r} holds {shown(bad)}, which is none of the {len(reading.label_names)} --label_names, nor a number."
        )
    if texts and len(texts) == len(present):
        return LabelCells("names") if any(text != text.strip() for text in texts) else None
    return None


def _judge_lists(
    lists: Sequence[Sequence[Any]], column: str, problem: str, reading: ReadingOptions, known: Sequence[str] | None, are_spelled: bool
) -> LabelCells | None:
    widths = {len(each) for each in lists}
    width = widths.pop() if len(widths) == 1 else 0
    are_truths = all(isinstance(each, bool | int | float | np.number) and each in (0, 1) for row in lists for each in row)
    names = reading.label_names
    if problem == MULTI and are_truths and (width > 1 or (width == 1 and len(names) == 1)):
        if names and len(names) != width:
            raise DataError(f"Column {column!r} holds lists of {width} numbers, but --label_names has {len(names)}: {list(names)}.")
        if not names:
            names = tuple(known) if known is not None and len(known) == width else tuple(f"{column}_{index}" for index in range(width))
            logger.warning_once(f"Column {column!r} holds {width} times 0 or 1 a row: labels {list(names)}. --label_names names them.")
        return LabelCells("places", names, is_list=True)
    if names and all(_is_number_of(each, names) for row in lists for each in row):
        return LabelCells("numbers", names, is_list=True)
    return LabelCells("spelled", is_list=True) if are_spelled else None


def _is_number_of(cell: Any, names: Sequence[str]) -> bool:
    """Return whether a cell is one of some names, or the number of one."""
    if cell in names:
        return True
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return False
    return number.is_integer() and 0 <= number < len(names)


def _refuse_unclear(cells: dict[str, list[Any]], column: str) -> None:
    """Raise a DataError if some cells spell lists and others do not, or if cells seem to hold several labels."""
    where = [(split, row, cell) for split, each in cells.items() for row, cell in enumerate(each) if isinstance(cell, str)]
    looks = [(split, row, cell) for split, row, cell in where if spelled_list(cell) is not None]
    if looks:
        split, row, cell = next(each for each in where if spelled_list(each[2]) is None and not is_missing(each[2]))
        raise DataError(
            f"{shown(cell)} spells no list, as {shown(looks[0][2])} does. Write all cells in one form.", place(split, row, column)
        )
    values = {cell.strip() for _, _, cell in where}
    counts = Counter(part for value in values for part in {*_parts(value, SEPARATORS)})
    shared = {value for value in values if len(parts := _parts(value, SEPARATORS)) > 1 and any(counts[part] > 1 for part in parts)}
    if shared:
        split, row, cell = next(each for each in where if each[2].strip() in shared)
        separator = next(each for each in SEPARATORS if each in cell)
        raise DataError(
            f"{shown(cell)} looks like several labels separated by {separator!r}. Pass --label_separator {separator!r}, or, if it is one "
            "label, a separator that no label has.",
            place(split, row, column),
        )
    if values:
        logger.warning_once(f"No cell of column {column!r} is read as several labels. --label_separator parts them, if any holds some.")


def _parts(value: str, separators: Sequence[str]) -> list[str]:
    """Return the parts of a cell between any of some separators."""
    return [part.strip() for part in re.split("|".join(map(re.escape, separators)), value) if part.strip()]


def _refuse_other_separators(cells: dict[str, list[Any]], column: str, separator: str) -> None:
    """Raise a DataError if a label, once cells are parted, is several others by another separator."""
    others = [each for each in SEPARATORS if each not in separator]
    where = [(split, row, cell) for split, each in cells.items() for row, cell in enumerate(each) if isinstance(cell, str)]
    labels = {part.strip() for _, _, cell in where for part in cell.split(separator)}
    for split, row, cell in where:
        for label in map(str.strip, cell.split(separator)):
            if len(parts := _parts(label, others)) > 1 and any(part in labels for part in parts):
                raise DataError(
                    f"{shown(label)} looks like several labels, but not separated by {separator!r}. Write all cells with one separator.",
                    place(split, row, column),
                )


def _replace(rows: AnyDataset, column: str, cells: LabelCells) -> AnyDataset:
    if isinstance(rows, Dataset):
        read = [cells.read(cell) for cell in rows[column]]
        if cells.names:
            number = {name: index for index, name in enumerate(cells.names)}
            read = [[number[each] for each in cell] if isinstance(cell, list) else number.get(cell) for cell in read]
        return with_column(rows, column, read, cells.feature)
    return rows.map(lambda row: {column: cells.read(row[column])})


def _without_missing(rows: AnyDataset, split: str, column: str, reading: ReadingOptions, places: Places | None) -> AnyDataset:
    """Return rows that have labels; raise a DataError that names all that have none, unless they may be left out."""
    if not isinstance(rows, Dataset):
        drop = reading.missing_labels == "drop"
        return rows.filter(lambda row: not is_missing(row[column])) if drop else rows
    names = feature_names(rows, column)
    missing = [row for row, cell in enumerate(rows[column]) if _lacks(cell, names)]
    if not missing:
        return rows
    if split == "test" and len(missing) == len(rows):
        logger.warning(f"No {split} row has a label in column {column!r}: answers are written, and no score.")
        return rows.remove_columns(column)
    if reading.missing_labels == "drop":
        logger.warning(f"{len(missing)} of {len(rows)} {split} rows have no label in column {column!r} and are left out.")
        kept: np.ndarray = np.ones(len(rows), dtype=bool)
        kept[missing] = False
        if places is not None:
            places.keep(split, kept)
        return rows.select(np.flatnonzero(kept))
    raise DataError(
        f"the label is missing (got {rows[missing[0]][column]!r}). Fill in labels, remove the rows, or pass --missing_labels drop.",
        place(split, missing[0], column, missing[1:]),
    )


def _lacks(cell: Any, names: list[str] | None) -> bool:
    return is_missing(cell) or (isinstance(cell, float) and isnan(cell)) or (names is not None and cell == -1)


def say_labels(splits: Splits, column: str, what: str = "rows") -> None:
    """Say how many training rows have each label, which labels differ in spelling alone, and which the validation rows lack.

    Args:
        splits: Splits whose labels are read; a stream is not counted.
        column (`str`): Column of labels or of lists of them.
        what (`str`): What is counted: "rows", "tags" or "spans".
    """
    counts = {
        split: count_labels(rows, column, feature_names(rows, column), split, once=what == "rows")
        for split, rows in splits.items()
        if isinstance(rows, Dataset) and column in rows.column_names
    }
    if "train" not in counts:
        return
    logger.warning(describe_counts(counts["train"], f"training {what}"))
    for line in (
        describe_odd(counts["train"], column),
        describe_alike(counts["train"]),
        describe_lack(counts["train"], counts.get("validation", counts["train"])),
    ):
        if line is not None:
            logger.warning(line)
