"""Rows to answer, and which of their columns come back beside the answers."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from transformers.utils.logging import get_logger

from ..data.files.cells import plain
from ..data.files.errors import DataError
from ..data.files.rows import Row
from ..tasks.decoding import Text
from .bulk import windows

logger = get_logger(__name__)


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


def row_windows(rows: Iterable[InputRow]) -> Iterator[list[InputRow]]:
    """Yield rows in the windows of their texts."""
    waiting: deque[InputRow] = deque()

    def texts() -> Iterator[Text]:
        for row in rows:
            waiting.append(row)
            yield row.text

    for window in windows(texts()):
        yield [waiting.popleft() for _ in window]
