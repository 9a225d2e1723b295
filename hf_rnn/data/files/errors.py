"""What is raised when data cannot be used, and where in the data that is."""

from collections.abc import Sequence
from dataclasses import dataclass

# rows, or runs of them, that an error names
MOST_NAMED = 1000


def name_rows(rows: Sequence[int]) -> str:
    """Return numbers of rows in order, neighbours together: "rows 3, 7 to 9"."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and runs[-1][1] == row - 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    parts = [str(first) if first == last else f"{first} to {last}" for first, last in runs]
    return f"rows {', '.join(parts[:MOST_NAMED])}{', ...' if len(parts) > MOST_NAMED else ''}"


@dataclass(frozen=True)
class Place:
    """Where data is wrong.

    Args:
        source (`str`): The split, or the file.
        row (`int`): The row, counted from 0.
        detail (`str`): What in it, such as a column or a span.
        others (`tuple`): More rows with the same fault, in order.
    """

    source: str
    row: int
    detail: str = ""
    others: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Return the name of the row."""
        return f"{self.source} row {self.row}"

    def named(self, name: str, others: str) -> str:
        """Return the place, given how the row is called, and the others are."""
        detail = f", {self.detail}" if self.detail else ""
        return f"{name}{detail}, and {len(self.others)} more rows ({others})" if self.others else f"{name}{detail}"

    def __str__(self) -> str:
        return self.named(self.name, name_rows(self.others))


class DataError(ValueError):
    """Data that cannot be used as it is.

    Args:
        message (`str`): What is wrong, and the remedy.
        where (`Place` or `str`, *optional*): Where that is; goes before the message.
    """

    def __init__(self, message: str, where: Place | str | None = None) -> None:
        # both, so that it can be pickled
        super().__init__(message, where)
        self.message, self.where = message, where

    def __str__(self) -> str:
        return self.message if self.where is None else f"{self.where}: {self.message}"
