"""The rows of files that `predict` answers, and what it reads of each."""

import sys
from collections.abc import Iterator, Sequence

from ..data.files.annotations import TEXTS, Annotations
from ..data.files.cells import as_text, as_tokens, place
from ..data.files.errors import DataError
from ..data.files.readers import read_rows
from ..data.files.reading import AS_IS, ReadingOptions
from ..data.files.rows import TEXT_COLUMNS, TOKEN_COLUMNS, Row
from ..inference.rows import InputRow, Keeping

USUAL = (*TEXT_COLUMNS, *TOKEN_COLUMNS)


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
