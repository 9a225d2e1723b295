"""The rows that `predict` answers: what it reads of each, and which of its columns come back."""

import sys
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from transformers.utils.logging import get_logger

from ..data.files.annotations import TEXTS, Annotations
from ..data.files.cells import as_text, as_tokens, place
from ..data.files.errors import DataError
from ..data.files.json_files import whole_text
from ..data.files.readers import read_rows
from ..data.files.reading import AS_IS, ReadingOptions
from ..data.files.rows import TEXT_COLUMNS, TOKEN_COLUMNS, Row
from ..inference.bulk import windows
from ..tasks.decoding import Text

logger = get_logger(__name__)

USUAL = (*TEXT_COLUMNS, *TOKEN_COLUMNS)


@dataclass(frozen=True)
class InputRow:
    """A text or tokens to answer, and the columns that come back beside the answer."""

    text: Text
    others: Row = field(default_factory=dict)


@dataclass(frozen=True)
class Keeping:
    """Which columns of the input come back.

    Args:
        names (`Sequence`, *optional*): Their names, or "all" or "none" alone; by default all but those that the answer has names of.
        taken (`Collection`): Names of what the answer may hold.
    """

    names: Sequence[str] | None
    taken: Collection[str]

    def others(self, row: Row, text_column: str, where: str) -> Row:
        """Return the columns of a row that come back, as JSON has them.

        Raises:
            DataError: One that is named, or of all that are asked for, is not there, is named like a part of the answer, or has a value
                that JSON has nothing for.
        """
        if self.names == ["none"]:
            return {}
        is_open = self.names is None or self.names == ["all"]
        kept: Row = {}
        for name in row if is_open else self.names or ():
            # the answer has it as `text` or `tokens`
            if name == text_column and (is_open or name in self.taken):
                continue
            problem = self._problem(name, row)
            if problem is None:
                kept[name] = plain(row[name])
            elif self.names is None:
                logger.warning_once(f"{problem}, and does not come back. --keep_columns names what comes back.")
            else:
                raise DataError(f"{problem}. Rename it, or name others with --keep_columns.", where)
        return kept

    def _problem(self, name: str, row: Row) -> str | None:
        """Return why a column cannot come back."""
        if name not in row:
            return f"there is no column {name!r} among {list(row)}"
        if name in self.taken:
            return f"column {name!r} of the input has the name of {name!r} of the answer"
        try:
            plain(row[name])
        except TypeError as error:
            return f"column {name!r} of the input holds values of the type {error}, which have no place in a file of answers"
        return None


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
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, bytes | bytearray) or type(value).__str__ is object.__str__:
        raise TypeError(type(value).__name__)
    return str(value)


def read_input(path: str, keeping: Keeping, reading: ReadingOptions = AS_IS, usual: Sequence[str] = USUAL) -> Iterator[InputRow]:
    """Yield what is to be answered of each row of a file, none left out: the column that is named or the first of the usual ones; of a
    .txt file, or of the standard input under the name "-", the lines; of tasks of Label Studio what their `data` holds.

    Raises:
        DataError: A row has no such column, or neither text nor tokens in it.
    """
    # what annotators made of rows is not asked for
    unjudged = Annotations(reading)
    rows = ({"text": line.rstrip("\r\n")} for line in sys.stdin) if path == "-" else read_rows(path, reading, unjudged)
    for number, row in enumerate(rows):
        name = _text_column(row, reading.text_column, usual)
        task = row.get("data")
        cells, column = (task, _text_column(task, reading.text_column, usual)) if name is None and isinstance(task, dict) else (row, name)
        if column is None:
            named = reading.text_column or "of texts"
            raise DataError(f"{path}, row {number}: no column {named}; it has {list(cells)}. Pass --text_column_name.")
        cell, where = cells[column], place(f"{path},", number, column)
        text = as_tokens(cell, where) if isinstance(cell, list) else as_text(cell, where)
        yield InputRow(text, keeping.others(row, column if cells is row else "", f"{path}, row {number}"))


def _text_column(cells: Row, wanted: str | None, usual: Sequence[str]) -> str | None:
    """Return the column of texts: the one that is wanted, the first usual one in small letters or capitals, or the only text."""
    if wanted is not None:
        return wanted if wanted in cells else None
    lowered = {str(name).strip().lower(): name for name in reversed(list(cells))}
    found = next((name if name in cells else lowered[name] for name in usual if name in cells or name in lowered), None)
    # doccano's older name, which Label Studio has for an object
    others = [name for name in TEXTS if isinstance(cells.get(name), str)]
    return found if found is not None else others[0] if others else None


def row_windows(rows: Iterable[InputRow]) -> Iterator[list[InputRow]]:
    """Yield rows in the windows of their texts."""
    waiting: deque[InputRow] = deque()

    def texts() -> Iterator[Text]:
        for row in rows:
            waiting.append(row)
            yield row.text

    for window in windows(texts()):
        yield [waiting.popleft() for _ in window]
