"""Name the rows of splits by file and line in errors."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import numpy as np

from .errors import DataError
from .readers import locate_row
from .reading import AS_IS, ReadingOptions

# how errors begin that `cells.place` names a row in
SPLIT_ROW = re.compile(r"(train|validation|test) row (\d+)")


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
        self.rows = {"train": np.flatnonzero(~held_out), "validation": np.flatnonzero(held_out)}

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
            row, place = int(found[2]), ""
            # a file that has changed since tells nothing
            with suppress(DataError, IndexError):
                row = int(self.rows[found[1]][row]) if found[1] in self.rows else row
                place = locate_row(path, row, self.reading, self.files)
            if not place:
                raise
            raise DataError(f"{place} ({found[0]}){str(error)[found.end() :]}") from error
