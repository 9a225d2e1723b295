"""Read sheets of Excel as a csv file of them has them: texts."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any
from zipfile import ZipFile

from transformers.utils.logging import get_logger

from .errors import DataError
from .reading import Source
from .rows import Row
from .tables import MOST_TITLES, check_header, is_usual_name, looks_like_names

logger = get_logger(__name__)

# in the XML of a sheet: cells that are one, and formulas whose value was not stored
MERGED = b"<mergeCell "
UNCOUNTED = re.compile(rb"</f>(<v></v>|<v ?/>|</c>)")
Filled = tuple[int, tuple[Any, ...]]


def read_excel(source: Source) -> Iterator[Row]:
    """Yield the rows of the first sheet of an Excel file that holds any, as a csv file of it has them: texts.

    Rows of a title above the header are left out, and each of several cells that are merged down a column has their value.

    Raises:
        DataError: The package that reads such files is missing, or the file is none.
    """
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise DataError(f"{source.path}: Excel files need openpyxl. Run `pip install hf-rnn[excel]`, or save the sheet as csv.") from None
    try:
        sheets_xml = _sheets(source.path)
        # only a workbook that is read whole knows which cells are merged
        book = load_workbook(source.path, read_only=not any(MERGED in xml for xml in sheets_xml), data_only=True)
    except Exception as error:
        raise DataError(f"{source.path}: no whole .xlsx file ({str(error)[:200]}). Save it again, or as csv.") from None
    if uncounted := sum(len(UNCOUNTED.findall(xml)) for xml in sheets_xml):
        logger.warning_once(
            f"{source.path}: {uncounted} formulas have no stored value and are read as empty. Save the file again in a spreadsheet program."
        )
    try:
        sheets = [sheet for sheet in book.worksheets if next(_filled(sheet), None) is not None]
        if len(sheets) > 1:
            logger.warning_once(f"{source.path}: of {len(sheets)} sheets with cells the first is read, {sheets[0].title!r}.")
        yield from _read_sheet(source, sheets[0]) if sheets else ()
    finally:
        book.close()


def _sheets(path: str) -> list[bytes]:
    """Return the XML of the sheets of a workbook."""
    with ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml")]


def _filled(sheet: Any) -> Iterator[Filled]:
    """Yield the number and the cells of each row that holds something."""
    merged: dict[tuple[int, int], Any] = {}
    # a sheet that is read row by row knows none
    for area in getattr(getattr(sheet, "merged_cells", None), "ranges", ()):
        for row in range(area.min_row, area.max_row + 1):
            merged[row, area.min_col - 1] = sheet.cell(area.min_row, area.min_col).value
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        if merged:
            cells = tuple(merged.get((number, index), cell) for index, cell in enumerate(cells))
        if any(cell is not None for cell in cells):
            yield number, cells


def _read_sheet(source: Source, sheet: Any) -> Iterator[Row]:
    number, header = _find_header(source, sheet)
    kept = [index for index, name in enumerate(header) if name is not None]
    names = check_header(source.path, [header[index] for index in kept], number)
    source.mark(number)
    for row_number, row in _filled(sheet):
        if row_number > number:
            source.mark(row_number)
            yield {name: _cell_text(row[index] if index < len(row) else None) for name, index in zip(names, kept, strict=True)}


def _find_header(source: Source, sheet: Any) -> Filled:
    """Return the first row that holds something, or the first below rows of a title, which have one cell each; say so."""
    rows = list(islice(_filled(sheet), MOST_TITLES))
    widths = [sum(cell is not None for cell in row) for _, row in rows]
    first = next((index for index, width in enumerate(widths) if width > 1), 0)
    number, row = rows[first]
    names = [cell for cell in row if cell is not None]
    is_title = first and not any(is_usual_name(above) for _, above in rows[:first])
    if not is_title or not looks_like_names(names) or any(width < 2 for width in widths[first + 1 : first + 3]):
        return rows[0]
    logger.warning_once(f"{source.path}: the header stands in row {number}, below a title, which is left out.")
    return number, row


def _cell_text(cell: Any) -> str:
    """Return what a csv file has for a cell of Excel, whose whole numbers may be stored as fractions."""
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
