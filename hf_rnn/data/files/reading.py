"""What a caller says of rows that a file does not say itself, and the lines that rows are read from."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from .errors import DataError
from .opening import open_as, open_text

ANNOTATORS = ("first", "last", "agreement")
OVERLAPS = ("error", "longest", "first")
MISSING = ("error", "drop")


@dataclass(frozen=True)
class ReadingOptions:
    """How rows are read where they can be read in several ways.

    Args:
        text_column (`str`, *optional*): Column of texts or of lists of tokens; a usual one by default.
        label_column (`str`, *optional*): Column of labels, of lists of tags or of spans; a usual one by default.
        sentence_column (`str`, *optional*): Column that numbers the sentences of a table with a token a row.
        label_columns (`tuple`): Columns of yes and no, one a label, in place of one column of labels.
        label_names (`tuple`): Names of labels that are written as numbers or as places of a list.
        label_separator (`str`, *optional*): What parts the labels in a cell of text.
        missing_labels (`str`): "error", or "drop" for leaving out rows without a label.
        overlapping_spans (`str`): "error", or which of spans that overlap stays: the "longest" or the "first" in the file.
        annotators (`str`): Whose work counts where several did the same row: "first", "last", or what most of them say ("agreement").
        encoding (`str`, *optional*): Of text files, as Python calls it; found out by default.
        separator (`str`, *optional*): Character between the cells of tables; found out by default.

    Raises:
        ValueError: A choice is none of those.
    """

    text_column: str | None = None
    label_column: str | None = None
    sentence_column: str | None = None
    label_columns: tuple[str, ...] = ()
    label_names: tuple[str, ...] = ()
    label_separator: str | None = None
    missing_labels: str = "error"
    overlapping_spans: str = "error"
    annotators: str = "first"
    encoding: str | None = None
    separator: str | None = None

    def __post_init__(self) -> None:
        if self.encoding is not None:
            try:
                codecs.getincrementaldecoder(self.encoding)
            except LookupError:
                raise ValueError(
                    f"`encoding` must be one that Python knows, such as 'cp1252', got {self.encoding!r}. Pass another --encoding."
                ) from None
        if self.separator is not None and (len(self.separator) != 1 or self.separator in '"\r\n'):
            raise ValueError(f"`separator` must be one character, or tab, got {self.separator!r}. Pass another --separator.")
        for name, allowed in (("missing_labels", MISSING), ("overlapping_spans", OVERLAPS), ("annotators", ANNOTATORS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"`{name}` must be one of {allowed}, got {getattr(self, name)!r}. Pass another --{name}.")


AS_IS = ReadingOptions()


class Source:
    """A file whose rows are read, and where the row at hand stands in it.

    Args:
        path (`str`): The file.
        reading (`ReadingOptions`): Encoding and separator, where they are given.

    Attributes:
        at (`tuple`, *optional*): The first and the last line of the row at hand, blank lines before it included.
    """

    def __init__(self, path: str, reading: ReadingOptions = AS_IS) -> None:
        self.path = path
        self.encoding, self.separator = reading.encoding, reading.separator
        self.at: tuple[int, int] | None = None
        self._last = 0

    @contextmanager
    def lines(self) -> Iterator[TextIO]:
        """Open the file from its beginning."""
        self.at, self._last = None, 0
        with open_text(self.path) if self.encoding is None else open_as(self.path, self.encoding) as file:
            yield file

    def mark(self, last: int) -> None:
        """Take note that the row at hand ends in a line, counted from 1."""
        self.at = self._last + 1, last
        self._last = last

    def error(self, line: int, message: str) -> DataError:
        """Return an error that names a line."""
        return DataError(f"{self.path}, line {line}: {message}")
