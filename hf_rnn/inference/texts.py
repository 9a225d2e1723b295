"""What a predictor takes for texts: strings, lists of tokens, rows, frames, columns, arrays, data sets, and what yields any of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ..data.files.cells import typed
from ..data.files.errors import DataError
from ..data.files.rows import TOKEN_COLUMNS, is_tokens
from ..tasks.decoding import Text

Texts: TypeAlias = Text | Mapping[str, Any] | Iterable[Any]
REMEDY = "Pass a string, a list of tokens, or a row with a column of either; leave out or fill what is missing."


def iterate_texts(given: Texts, usual: Sequence[str]) -> Iterator[Text]:
    """Yield each text.

    Args:
        given: One text, several, or rows that hold them.
        usual (`Sequence`): Columns that may hold the texts of rows, the first that is there counts.

    Raises:
        DataError: What is given holds no texts, or something else where a text should be; names the place and the type.
    """
    if isinstance(given, str):
        yield given
        return
    values: Any = given
    if (columns := _columns(values)) is not None:
        name = _column(columns, usual)
        # a stream has no columns to take out
        values = values[name] if hasattr(values, "__getitem__") else (row[name] for row in values)
        if isinstance(values, str) or (name in TOKEN_COLUMNS and is_tokens(values)):
            values = [values]
    if isinstance(values, bytes | bytearray) or not isinstance(values, Iterable):
        raise DataError(f"`texts` must be a text or several, got {typed(values)}. {REMEDY}")
    if getattr(values, "ndim", 1) == 0:
        values = values.reshape(1)  # type: ignore[attr-defined]
    for number, each in enumerate(values):
        yield _text(each, number, usual)


def iterate_rows(given: Texts, usual: Sequence[str]) -> Iterator[tuple[Text, dict[str, Any], str]]:
    """Yield each text with the row that it is of, and the name of its column.

    Args:
        given: Rows: dictionaries, a dictionary of columns, a frame, a data set, or what yields rows.
        usual (`Sequence`): Columns that may hold the texts of rows, the first that is there counts.

    Raises:
        DataError: What is given has no rows, or one holds something else where a text should be.
    """
    rows = _rows(given, usual)
    for number, row in enumerate(rows if isinstance(rows, Iterable) and not isinstance(rows, str | bytes) else [rows]):
        if not isinstance(row, Mapping):
            raise DataError(f"`keep_columns` needs rows with columns, got {typed(row)}. Pass dictionaries, a frame or a data set.")
        column = _column(list(row), usual)
        yield _text(row[column], number, usual), dict(row), column


def _rows(given: Any, usual: Sequence[str]) -> Any:
    """Return a single row, a dictionary of columns or a frame as rows; others as they are."""
    if hasattr(given, "to_dict") and hasattr(given, "columns"):
        return given.to_dict("records")
    if not isinstance(given, Mapping):
        return given
    name = _column(list(given), usual)
    if isinstance(given[name], str) or (name in TOKEN_COLUMNS and is_tokens(given[name])):
        return [given]
    return [dict(zip(given, cells, strict=True)) for cells in zip(*given.values(), strict=True)]


def _columns(given: Any) -> list[str] | None:
    """Return the columns of a row, a frame, a data set or a dictionary of columns, else None."""
    if isinstance(given, Mapping):
        return list(given)
    names = getattr(given, "columns", None) if hasattr(given, "to_dict") else getattr(given, "column_names", None)
    return None if names is None or callable(names) else list(names)


def _column(columns: Sequence[str], usual: Sequence[str]) -> str:
    name = next((name for name in usual if name in columns), None)
    if name is None:
        raise DataError(
            f"`texts` has none of the columns {list(dict.fromkeys(usual))}; it has {list(columns)}. Pass the column of texts alone."
        )
    return name


def _text(value: Any, number: int, usual: Sequence[str]) -> Text:
    """Return one text, as strings or lists of strings of Python."""
    if isinstance(value, Mapping):
        value = value[_column(list(value), usual)]
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str):
        return value
    if is_tokens(value):
        return list(value)
    raise DataError(f"text {number}: expected text or a list of tokens, got {typed(value)}. {REMEDY}")
