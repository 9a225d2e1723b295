"""Columns of yes and no, one a label, become one column of lists of labels."""

from collections.abc import Iterable
from math import isnan
from typing import Any

from datasets import ClassLabel, Dataset, List

from ..files.cells import place, shown
from ..files.errors import DataError
from ..files.reading import ReadingOptions
from .labels import is_missing
from .splits import AnyDataset, choose_column, column_names

# the column that they become
JOINED = "labels"
YES = ("1", "1.0", "true", "yes", "y", "t", "on", "ja", "oui", "si", "sí", "да", "예", "はい")
NO = ("0", "0.0", "false", "no", "n", "f", "off", "nein", "non", "нет", "아니요", "아니오", "いいえ")
TRUTHS = {**dict.fromkeys(YES, True), **dict.fromkeys(NO, False)}
# of those, what an error names
TOLD = ("1", "true", "yes", "y", "0", "false", "no", "n")
# what is put into a cell for yes, where the cells without are left empty for no
MARKS = ("x", "✓", "✔", "☑", "*")


def join_truths(rows: AnyDataset, split: str, reading: ReadingOptions) -> AnyDataset:
    """Return rows whose columns of yes and no are one column of lists of numbers of names."""
    columns = reading.label_columns
    names = reading.label_names or columns
    if len(names) != len(columns):
        raise DataError(f"`label_names` must name each of the {len(columns)} --label_columns, got {len(names)}: {list(names)}.")
    if split == "test" and not any(name in column_names(rows) for name in columns):
        return rows
    for name in columns:
        choose_column(rows, split, name, (), "label_columns")
    if not isinstance(rows, Dataset):
        raise DataError("`label_columns` needs all rows, got a stream. Leave --streaming out.")
    table = list(zip(*(_truths(rows[name], split, name) for name in columns), strict=True))
    found = [None if None in row else [index for index, is_on in enumerate(row) if is_on] for row in table]
    rows = with_column(rows, JOINED, found, List(ClassLabel(names=list(names))))
    return rows.remove_columns([name for name in columns if name != JOINED])


def with_column(rows: Dataset, column: str, cells: list[Any], feature: Any) -> Dataset:
    """Return rows with other cells in a column, or with a column more."""
    if column not in rows.column_names:
        return rows.add_column(column, cells, feature=feature)
    # a data set without columns would have no rows
    before = f"before {column}"
    return rows.rename_column(column, before).add_column(column, cells, feature=feature).remove_columns(before)


def _truths(cells: Iterable[Any], split: str, column: str) -> list[bool | None]:
    cells = list(cells)
    given = {str(cell).strip().lower() for cell in cells if not is_missing(cell)}
    if given and given <= {*MARKS}:
        return [not is_missing(cell) for cell in cells]
    truths: list[bool | None] = []
    for row, cell in enumerate(cells):
        if is_missing(cell) or (isinstance(cell, float) and isnan(cell)):
            truths.append(None)
        elif str(cell).strip().lower() in TRUTHS:
            truths.append(TRUTHS[str(cell).strip().lower()])
        else:
            raise DataError(
                f"expected yes or no, such as {TOLD}, or {MARKS[0]!r} and empty cells, got {shown(cell)}. Correct it.",
                place(split, row, column),
            )
    return truths
