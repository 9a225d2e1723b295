"""What a cell of a row is read as: a text, tokens, or a number; whatever it is instead is said with its place and a remedy."""

from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from math import isfinite, nan
from typing import Any

from .errors import DataError, Place
from .json_files import whole_text
from .rows import is_tokens

# values of tables that are written as text, as csv has them
WRITTEN = (date, time, timedelta, Decimal)
# the squares of a few hundred million of them have a sum in fp32
LARGEST = 1e15


def place(source: str, row: int, column: str, others: Sequence[int] = ()) -> Place:
    """Return the place of a cell: the split or file, the row and the column, and more rows with the same fault."""
    return Place(source, row, f"column {column!r}", tuple(others))


def shown(value: Any) -> str:
    """Return a value as an error shows it: a line of at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def typed(value: Any) -> str:
    """Return a value as an error shows it, with its type."""
    return f"{shown(value)} ({type(value).__name__})"


def as_text(cell: Any, where: Place | str) -> str:
    """Return the text of a cell, tokens joined by spaces; dates, times and decimals as csv has them.

    Raises:
        DataError: It is none of these.
    """
    if isinstance(cell, str):
        return whole_text(cell)
    if isinstance(cell, WRITTEN):
        return str(cell)
    if is_tokens(cell):
        return whole_text(" ".join(cell))
    raise DataError(f"expected text, got {typed(cell)}. Mend or remove the row, or choose another --text_column_name.", where)


def as_tokens(cell: Any, where: Place | str) -> list[str]:
    """Return the tokens of a cell.

    Raises:
        DataError: It is no list of strings.
    """
    if is_tokens(cell):
        return [whole_text(token) for token in cell]
    raise DataError(
        f"expected a list of tokens, got {typed(cell)}. Split it into tokens, or choose another column with --text_column_name.", where
    )


def as_number(cell: Any, where: Place | str) -> float:
    """Return the number in a cell.

    Raises:
        DataError: It is none, or NaN, or too large to be squared in fp32.
    """
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError):
        number = nan
    if not isfinite(number):
        raise DataError(f"{shown(cell)} is not a finite number. Correct it, or leave --problem_type out.", where)
    if abs(number) > LARGEST:
        raise DataError(f"a number must be within {LARGEST:g} to be squared in fp32, got {shown(cell)}. Scale the column.", where)
    return number


def plain(value: Any) -> Any:
    """Return a value as JSON has it: what is no number is null, dates and the like are text.

    Raises:
        TypeError: JSON has nothing for it; names its type.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, float):
        return value if isfinite(value) else None if value != value else str(value)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(each) for each in value), key=str)
    if hasattr(value, "tolist"):
        # of numpy
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, bytes | bytearray | memoryview) or type(value).__str__ is object.__str__:
        raise TypeError(type(value).__name__)
    return str(value)
