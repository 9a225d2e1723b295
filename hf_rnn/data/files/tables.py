"""Read tables: comma-separated and the like, with whatever separates and quotes their cells and whatever title stands above them."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from transformers.utils.logging import get_logger

from .cells import shown
from .errors import DataError
from .opening import suffix_of
from .reading import Source
from .rows import TEXT_COLUMNS, TOKEN_COLUMNS, Row

logger = get_logger(__name__)

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
# bytes of a cell of a table
LARGEST_CELL = 2**31 - 1
# a cell whose quotes stand behind a blank
QUOTED = re.compile(r" +\"[^\"]*\"|\s+'[^']*'")
# rows of a title above a header, at most
MOST_TITLES = 20
# characters and words that no name of a column has
LONGEST_NAME, MOST_WORDS = 40, 4
# share of the rows that have as many cells as the header by a separator that the ending does not tell
LEAST_SHARE = 0.5
# which cells writers quote: those that need it, those with commas too as Excel does, all, or all but numbers
STYLES: tuple[Callable[[str], bool], ...] = (
    lambda cell: any(mark in cell for mark in '\t"\r\n'),
    lambda cell: any(mark in cell for mark in '\t"\r\n,'),
    lambda cell: True,
    lambda cell: not cell.replace(".", "", 1).lstrip("-").isdigit(),
)


@dataclass(frozen=True)
class Dialect:
    """How a table separates and quotes its cells.

    Attributes:
        separator (`str`): Between cells.
        quote (`str`, *optional*): Around cells; None if quotes are characters.
        escape (`str`, *optional*): Before quotes in cells, where they are not doubled.
        skip (`int`): Lines before the header.
        has_blanks (`bool`): Whether blanks before cells are none of theirs.
    """

    separator: str
    quote: str | None = '"'
    escape: str | None = None
    skip: int = 0
    has_blanks: bool = False

    def reader(self, lines: Iterable[str]) -> Any:
        """Return a `csv.reader` of the lines after those to skip."""
        csv.field_size_limit(LARGEST_CELL)
        lines = islice(lines, self.skip, None)
        if self.quote is None:
            return csv.reader(lines, delimiter=self.separator, quoting=csv.QUOTE_NONE)
        doubled = self.escape is None
        options: dict[str, Any] = {"quotechar": self.quote, "escapechar": self.escape, "doublequote": doubled, "strict": True}
        options["skipinitialspace"] = self.has_blanks
        return csv.reader(lines, delimiter=self.separator, **options)

    def fit(self, lines: Iterable[str]) -> tuple[int, float]:
        """Return how many cells the header has, and the share of rows that have as many; 0 after what is no such table."""
        reader, widths = self.reader(lines), Counter[int]()
        width = 0
        try:
            width = len(_trim(next(filter(None, reader), []), 1))
            widths.update(len(_trim(row, width)) for row in reader if row)
        except csv.Error:
            widths[0] += 1
        return width, widths[width] / widths.total() if widths else 1.0


def _trim(cells: list[str], width: int) -> list[str]:
    """Leave out empty cells behind those of the header, as spreadsheets write them."""
    while len(cells) > width and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def read_table_with_blanks(source: Source) -> Iterator[Row]:
    """Yield the rows of a table, by the names in its header, and an empty one for each blank line.

    Raises:
        DataError: There is no header, or a row has another number of cells; names the line.
    """
    dialect = find_dialect(source)
    with source.lines() as lines:
        yield from _read_cells(source, dialect.reader(lines), dialect.skip)


class _Below(Source):
    """A table below the lines of a title."""

    def __init__(self, source: Source, skip: int) -> None:
        super().__init__(source.path)
        self.encoding, self.separator, self._skip = source.encoding, source.separator, skip

    @contextmanager
    def lines(self) -> Iterator[Any]:
        """Open the file from the header."""
        with super().lines() as lines:
            yield islice(lines, self._skip, None)


def find_dialect(source: Source) -> Dialect:
    """Return how a whole file separates and quotes its cells, and what title stands above them; say what its ending does not tell."""
    dialect = _below_titles(source)
    return replace(dialect, has_blanks=_parts_by_blanks(source, dialect))


def _parts_by_blanks(source: Source, dialect: Dialect) -> bool:
    """Return whether quoted cells have a blank before them, which makes the quotes characters, and all rows fit without those blanks."""
    if dialect.quote is None or not _has(source, f"{dialect.separator} {dialect.quote}"):
        return False
    with source.lines() as lines:
        try:
            is_quoted = any(QUOTED.fullmatch(cell) for row in dialect.reader(lines) for cell in row)
        except csv.Error:
            return False
    # what a writer has quoted keeps its blanks
    return is_quoted and not _needs_quotes(source, dialect) and _fits(source, replace(dialect, has_blanks=True))


def _below_titles(source: Source) -> Dialect:
    titles = max(_count_titles(source, separator) for separator in (source.separator or "".join(SEPARATORS)))
    if not titles:
        return _find_dialect(source)
    logger.warning_once(f"{source.path}: the header stands below {titles} lines of a title, which are left out.")
    dialect = _find_dialect(_Below(source, titles))
    return replace(dialect, skip=dialect.skip + titles)


def _count_titles(source: Source, separator: str) -> int:
    """Return the number of lines above a header: each with one cell at most, and all rows below with as many as the header, two or more."""
    with source.lines() as lines:
        reader = csv.reader(lines, delimiter=separator)
        header: list[str] = []
        skip, count = 0, 0
        try:
            for row in reader:
                filled = [cell for cell in row if cell.strip()]
                if header:
                    count += bool(filled)
                    if filled and len(_trim(row, len(header))) != len(header):
                        return 0
                elif len(filled) > 1:
                    header = _trim(row, 1)
                    if not skip or not looks_like_names(header):
                        return 0
                elif reader.line_num > MOST_TITLES or is_usual_name(filled) or any(map(_has_several, filled)):
                    return 0
                else:
                    skip = reader.line_num
        except csv.Error:
            return 0
    return skip if count > 1 else 0


def _has_several(cell: str) -> bool:
    """Return whether a cell is several by some separator."""
    return any(sum(bool(part.strip()) for part in cell.split(separator)) > 1 for separator in SEPARATORS)


def looks_like_names(cells: Sequence[Any]) -> bool:
    """Return whether cells may be names of columns: short and different texts."""
    are_short = all(isinstance(cell, str) and len(cell) <= LONGEST_NAME and len(cell.split()) <= MOST_WORDS for cell in cells)
    return are_short and len({*cells}) == len(cells) and not any(str(cell).strip().replace(".", "", 1).isdigit() for cell in cells)


def is_usual_name(cells: Sequence[Any]) -> bool:
    """Return whether one of a row's cells is what a column of texts is called, so that the row is a header."""
    return any(
        str(cell).strip().strip("\ufeff").lower() in (*TEXT_COLUMNS, *TOKEN_COLUMNS) or str(cell).startswith("sep=") for cell in cells
    )


def _find_dialect(source: Source) -> Dialect:
    usual = "\t" if suffix_of(source.path) in (".tsv", ".txt", ".tab") else ","
    with source.lines() as lines:
        header = next(filter(str.strip, lines), "")
    if source.separator is not None:
        return _quoting(source, source.separator, next(csv.reader([header], delimiter=source.separator), []))
    told = header.strip().strip('"').removeprefix("sep=")
    skip = int((header.strip().strip('"').startswith("sep=") and told in SEPARATORS) or header.strip().strip('"') == "sep=")
    if skip:
        dialect = Dialect(told or "\t", skip=1)
        return dialect if _fits(source, dialect) else Dialect(dialect.separator, None, skip=1)
    if _is_plain(source, usual):
        return Dialect(usual, None if usual == "\t" else '"')
    names = next(csv.reader([header]), [])
    fits = {}
    for separator in dict.fromkeys((usual, *SEPARATORS)):
        if separator == usual or separator in header:
            fits[separator] = max((_fit(source, each) for each in _dialects(separator, names)), key=lambda fit: fit[::-1])
    good = [separator for separator, (width, share) in fits.items() if width > 1 and (separator == usual or share >= LEAST_SHARE)]
    separator = max(good, key=lambda each: (fits[each][1], each == usual), default=usual)
    dialect = _quoting(source, separator, names)
    if separator != usual:
        logger.warning_once(f"{source.path}: cells are separated by {SEPARATORS[separator]}.")
    return dialect


def _is_plain(source: Source, separator: str) -> bool:
    """Return whether a table is the usual one of its ending, without any quotes if that is of tabs."""
    if separator == "\t" and _has(source, '"'):
        return False
    width, share = _fit(source, Dialect(separator, None if separator == "\t" else '"'))
    return width > 1 and share == 1.0


def _has(source: Source, what: str) -> bool:
    with source.lines() as lines:
        return any(what in line for line in lines)


def _fit(source: Source, dialect: Dialect) -> tuple[int, float]:
    with source.lines() as lines:
        return dialect.fit(lines)


def _fits(source: Source, dialect: Dialect) -> bool:
    return _fit(source, dialect)[1] == 1.0


def _dialects(separator: str, names: Sequence[str]) -> list[Dialect]:
    """Return the ways in which cells may be quoted, the usual one first."""
    quote = "'" if names and all(len(name) > 1 and name[0] == name[-1] == "'" for name in names) else '"'
    return [Dialect(separator, quote), Dialect(separator, quote, "\\"), Dialect(separator, None)]


def _quoting(source: Source, separator: str, names: Sequence[str]) -> Dialect:
    """Return the way of quoting in which all rows have as many cells as the header."""
    doubled, escaped, plain = _dialects(separator, names)
    if separator == "\t" and not _needs_quotes(source, doubled) and (_fits(source, plain) or not _fits(source, doubled)):
        # a quote is a character where a writer of quotes would not have put it
        return plain
    return escaped if not _fits(source, doubled) and _has(source, '\\"') and _fits(source, escaped) else doubled


def _needs_quotes(source: Source, dialect: Dialect) -> bool:
    """Return whether quotes in a table stand where a writer of one style puts them, so that writing it again gives the same lines."""
    styles = list(STYLES)
    consumed: list[str] = []

    def consume(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            consumed.append(line)
            yield line

    with source.lines() as lines:
        try:
            for row in dialect.reader(consume(lines)):
                line = "".join(consumed).rstrip("\r\n")
                styles = [style for style in styles if line == dialect.separator.join(_quoted(cell, style) for cell in row)]
                consumed.clear()
                if not styles:
                    return False
        except csv.Error:
            return False
    return True


def _quoted(cell: str, style: Callable[[str], bool]) -> str:
    return '"' + cell.replace('"', '""') + '"' if style(cell) else cell


def _read_cells(source: Source, reader: Any, skip: int) -> Iterator[Row]:
    try:
        # blank lines may stand before it
        header = next(filter(None, reader), None)
    except csv.Error as error:
        raise source.error(1 + skip, f"{error}. {_remedy(error)}") from None
    if not header or not any(map(str.strip, header)):
        raise DataError(f"{source.path}: the file is empty, expected a header line with the names of the columns.")
    header = _trim(header, 1)
    names = check_header(source.path, header, 1 + skip)
    # the header's lines belong to no row
    source.mark(reader.line_num + skip)
    number = 0
    try:
        for number, values in enumerate(reader, start=1):
            if not values:
                yield {}
                continue
            values = _trim(values, len(header))
            if [value.strip().strip("\ufeff") for value in values] == names:
                logger.warning_once(f"{source.path}, line {reader.line_num + skip}: the header stands there again, which is left out.")
                continue
            if len(values) != len(header):
                raise DataError(
                    f"{source.path}, row {number} (line {reader.line_num + skip}): {len(values)} values for {len(header)} columns "
                    f"{shown(header)}: {shown(values)}. {_remedy_of_width(values, header, number)}"
                )
            source.mark(reader.line_num + skip)
            yield dict(zip(names, values, strict=True))
    except csv.Error as error:
        raise DataError(f"{source.path}, row {number + 1} (line {reader.line_num + skip}): {error}. {_remedy(error)}") from None


def check_header(path: str, header: Sequence[Any], line: int = 1) -> list[str]:
    """Return the names of columns without white space around them; raise a DataError where one stands twice."""
    # marks of byte order that files put together have left
    names = [str("" if name is None else name).strip().strip("\ufeff").strip() for name in header]
    if names.count("") > 1:
        names = [name or f"unnamed_{index}" for index, name in enumerate(names)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}, line {line}: column name {twice[0]!r} stands {names.count(twice[0])} times in the header {names}. Rename one."
        )
    return names


def _remedy_of_width(values: Sequence[str], header: Sequence[str], number: int) -> str:
    if any("\0" in value for value in values):
        return "Zero bytes are left by a file that was not written completely. Write it again."
    if number == 1 and len(values) == len(header) + 1 > 2:
        return "If the first value is the number of a row, name its column in the header; else quote separators inside values."
    return "Quote separators inside values, or write the file as tsv or jsonl."


def _remedy(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "Close the quote, or write the file as tsv or jsonl."
    return "Double the quotes inside values, or write the file as tsv or jsonl."
