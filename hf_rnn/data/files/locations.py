"""Name the rows of splits by file and line in errors."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

import numpy as np

from .errors import MOST_NAMED, DataError, Place
from .readers import locate_rows
from .reading import AS_IS, ReadingOptions


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
        """Let errors in the block that tell a row of a split tell its place in a file."""
        try:
            yield
        except DataError as error:
            place = self._in_file(error.where) if isinstance(error.where, Place) else None
            if place is None:
                raise
            raise DataError(error.message, place) from error

    def _in_file(self, where: Place) -> str | None:
        """Return where in a file a row of a split is wrong, if it comes from one."""
        path = self.files.get(where.source)
        # a file that has changed since tells nothing
        with suppress(DataError, IndexError):
            if path:
                line, *others = self._locate(path, where.source, [where.row, *where.others[:MOST_NAMED]])
                more = "; ..." if len(where.others) > MOST_NAMED else ""
                return where.named(f"{path}, {line} ({where.name})", f"{'; '.join(others)}{more}")
        return None

    def of_rows(self, split: str, rows: Iterable[int]) -> list[str]:
        """Return where rows of a split stand in its file, such as "line 7"."""
        return self._locate(str(self.files[split]), split, list(rows))

    def _locate(self, path: str, split: str, rows: list[int]) -> list[str]:
        """Return where rows of a split stand in its file."""
        return locate_rows(path, [int(self.rows[split][row]) if split in self.rows else row for row in rows], self.reading, self.files)
