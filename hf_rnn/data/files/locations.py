"""Name the rows of splits by file and line in errors."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

import numpy as np

from .errors import DataError
from .readers import locate_rows
from .reading import AS_IS, ReadingOptions

# how errors begin that `cells.place` names a row in
OTHER_ROWS = re.compile(r"\(rows ([\d, to.]+)\)")
SPLIT_ROW = re.compile(r"(train|validation|test|replay) row (\d+)")


class Places:
    """Where the rows of splits stand in files.

    Args:
        files (`Mapping`): Path of each split, as far as there are any.
        reading (`ReadingOptions`): How they were read.
    """

    def __init__(self, files: Mapping[str, str | None], reading: ReadingOptions = AS_IS) -> None:
        self.files, self.reading = dict(files), reading
        self.rows: dict[str, np.ndarray] = {}

    def carve(self, held_out: np.ndarray) -> None:
        """Take note that the rows (N,) of the training file that are true here are those of validation."""
        self.files["validation"] = self.files.get("train")
        rows = self.rows.get("train", np.arange(len(held_out)))
        self.rows |= {"train": rows[~held_out], "validation": rows[held_out]}

    def keep(self, split: str, kept: np.ndarray) -> None:
        """Take note that of the rows (N,) of a split those that are true here are left."""
        self.rows[split] = self.rows.get(split, np.arange(len(kept)))[kept]

    @contextmanager
    def named(self) -> Iterator[None]:
        """Let errors in the block that begin with a row of a split begin with its place in a file."""
        try:
            yield
        except DataError as error:
            found = SPLIT_ROW.match(str(error))
            path = self.files.get(found[1]) if found else None
            if not found or not path:
                raise
            place, rest = "", str(error)[found.end() :]
            # a file that has changed since tells nothing
            with suppress(DataError, IndexError):
                (place,) = self._locate(path, found[1], [int(found[2])])
                if others := OTHER_ROWS.search(rest):
                    rest = rest.replace(others[0], f"({'; '.join(self._locate(path, found[1], numbers_of(others[1])))})")
            if not place:
                raise
            raise DataError(f"{path}, {place} ({found[0]}){rest}") from error

    def of_rows(self, split: str, rows: Iterable[int]) -> list[str]:
        """Return where rows of a split stand in its file, such as "line 7"."""
        return self._locate(str(self.files[split]), split, list(rows))

    def _locate(self, path: str, split: str, rows: list[int]) -> list[str]:
        """Return where rows of a split stand in its file."""
        return locate_rows(path, [int(self.rows[split][row]) if split in self.rows else row for row in rows], self.reading, self.files)


def numbers_of(text: str) -> list[int]:
    """Return the numbers of rows that a text such as "3, 7 to 9" names."""
    parts = [list(map(int, part.split(" to "))) for part in text.split(", ") if part != "..."]
    return [row for part in parts for row in range(part[0], part[-1] + 1)]
