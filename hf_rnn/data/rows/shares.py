"""Soft labels: cells that tell how much of a text each label has, as shares or votes."""

import json
from collections.abc import Iterable
from typing import Any

from datasets import Dataset, List, Value

from ..files.cells import place, shown
from ..files.errors import DataError
from .collator import SHARES
from .labels import is_missing
from .splits import Splits
from .truths import with_column

# votes of a label in a cell
MOST = 1e9
FEATURE = List({"label": Value("string"), "share": Value("float64")})


def read_shares(splits: Splits, column: str) -> Splits:
    """Return splits whose cells of shares, such as {"pos": 2, "neg": 1}, are the likeliest label, the first of those that are.

    What the cells say, as shares of 1, is beside it in a column of its own. Splits with other cells stay as they are.

    Raises:
        DataError: A cell of shares is none, as another one of the split is, or a share is no number, negative, or all are 0.
    """
    return type(splits)({split: likeliest(rows, column, split) for split, rows in splits.items()})


def likeliest(rows: Any, column: str, split: str) -> Any:
    """Return the rows of a split with the likeliest labels; see `read_shares`."""
    if not isinstance(rows, Dataset) or column not in rows.column_names:
        return rows
    cells = [_object_of(cell) for cell in rows[column]]
    if not any(isinstance(cell, dict) for cell in cells):
        return rows
    shares = [None if is_missing(cell) else _shares(cell, column, split, row) for row, cell in enumerate(cells)]
    names = [None if each is None else max(each, key=lambda name: each[name]) for each in shares]
    told = [None if each is None else [{"label": name, "share": share} for name, share in each.items()] for each in shares]
    return with_column(rows, column, names, Value("string")).add_column(SHARES, told, feature=FEATURE)


def _object_of(cell: Any) -> Any:
    """Return the object that a cell of text spells in JSON, or the cell."""
    if not (isinstance(cell, str) and cell.strip().startswith("{")):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _shares(cell: Any, column: str, split: str, row: int) -> dict[str, float]:
    """Return the shares in a cell, of 1 together."""
    where = place(split, row, column)
    if not isinstance(cell, dict):
        raise DataError(
            f'other rows have shares of labels, such as {{"pos": 2, "neg": 1}}, got {shown(cell)}. Write all in one form.', where
        )
    given: dict[str, float] = {}
    for spelled, share in cell.items():
        name = str(spelled).strip()
        # rows of one table have all of its labels, with nothing where a row names none
        if share is None:
            continue
        if not name or isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < MOST:
            raise DataError(f"a label must have a number from 0 to {MOST:g}, got {shown(share)} of {shown(name)}. Correct it.", where)
        given[name] = given.get(name, 0.0) + share
    total = sum(given.values())
    if not total > 0:
        raise DataError(f"no label has a share above 0, got {shown(cell)}. Correct it or remove the row.", where)
    return {name: share / total for name, share in given.items()}


def shared_labels(rows: Any) -> set[str]:
    """Return the labels that have a share in any row."""
    cells: Iterable[Any] = rows[SHARES] if isinstance(rows, Dataset) and SHARES in rows.column_names else ()
    return {each["label"] for cell in cells for each in cell or () if each["share"] > 0}


def encode_shares(
    cells: list[Any], ids: list[int], label2id: dict[str, int], column: str, split: str, rows: list[int]
) -> list[list[float]]:
    """Return the shares of all classes of each row, (C,); all of its class for a row without shares, none for one without a class."""
    encoded = []
    for cell, label, row in zip(cells, ids, rows, strict=True):
        shares = [0.0] * len(label2id)
        if cell is None and label >= 0:
            shares[label] = 1.0
        for each in cell or ():
            if each["share"] and each["label"] not in label2id:
                raise DataError(f"unknown label {shown(each['label'])}; known are {list(label2id)[:20]}.", place(split, row, column))
            if each["share"]:
                shares[label2id[each["label"]]] = each["share"]
        encoded.append(shares)
    return encoded
