"""Write files whole: beside their place, and moved there once nothing can fail any more."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .readers import DataError


@contextmanager
def written_whole(path: str | Path) -> Iterator[TextIO]:
    """Open a file for text that takes its place only when the block ends well; what stood there before stays until then."""
    path = Path(path)
    beside = path.with_name(f"{path.name}.partial")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def check_output_file(path: str, name: str, *inputs: str | None) -> None:
    """Raise a DataError if a file cannot be written at a path, or would take the place of an input.

    Args:
        path (`str`): File to write.
        name (`str`): Option that names it.
        inputs: Files that are read, as far as there are any.
    """
    if Path(path).is_dir():
        raise DataError(f"`{name}` {path!r} is a folder. Pass a file to write as --{name}.")
    if not Path(path).resolve().parent.is_dir():
        raise DataError(f"`{name}` {path!r}: there is no folder {str(Path(path).parent)!r}. Make it, or pass another --{name}.")
    if any(source and _is_same(path, source) for source in inputs):
        raise DataError(f"`{name}` {path!r} is the input itself, which would be lost. Pass another --{name}.")


def check_output_dir(path: str, name: str = "output_dir", *inputs: str | None) -> None:
    """Raise a DataError if a folder cannot be made at a path, or is one that is read; see `check_output_file`."""
    whole = Path(path).resolve()
    if not path:
        raise DataError(f"`{name}` is empty. Pass a folder to write to as --{name}.")
    taken = next((part for part in (whole, *whole.parents) if part.exists() and not part.is_dir()), None)
    if taken is not None:
        raise DataError(f"`{name}` {path!r}: {str(taken)!r} is a file. Pass a folder as --{name}.")
    if any(source and _is_same(path, source) for source in inputs):
        raise DataError(f"`{name}` {path!r} is the folder of the model itself. Pass another --{name}.")


def _is_same(path: str, other: str) -> bool:
    # links and second names of a file count as the file
    return Path(path).resolve() == Path(other).resolve() or (
        os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)
    )
