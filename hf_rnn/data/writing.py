"""Write files whole: beside their place, and moved there once nothing can fail any more."""

import errno
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import TextIO

from .files.readers import DataError

# what a model is made of
MODEL_FILES = ("*config.json", "tokenizer.json", "special_tokens_map.json", "*.safetensors", "*.index.json", "*.onnx", "*.py", "README.md")

# where the files of a folder wait until all are there
STAGE = ".partial"

# what a disk says that takes no more, and bytes with which it is taken for full
FULL, LEAST_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), 2**20


def disk_problem(error: Exception, path: str | Path) -> str | None:
    """Return what to say of an error if it is that no more can be written to a path, else None."""
    told = re.search(r"os error (\d+)", str(error))
    number = error.errno if isinstance(error, OSError) else int(told[1]) if told else None
    if number is None and not isinstance(error, ValueError):
        # some libraries tell no reason
        there = next(part for part in Path(path).resolve().parents if part.is_dir())
        number = errno.ENOSPC if shutil.disk_usage(there).free < LEAST_ROOM else None
    return f"{str(path)!r} cannot be written: {os.strerror(number)}. Make room there." if number in FULL else None


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give the path of a file to write beside another one, whose place it takes only when the block ends well."""
    path = Path(path)
    beside = path.with_name(f"{path.name}.partial")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def written_whole(path: str | Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a file for text that takes its place only when the block ends well; what stood there before stays until then."""
    with replacing(path) as beside, open(beside, "w", encoding="utf-8", newline=newline) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_whole(path: str | Path, text: str) -> None:
    """Write a file of text, as `written_whole` does."""
    with written_whole(path) as file:
        file.write(text)


@contextmanager
def staged(folder: str | Path, last: Sequence[str]) -> Iterator[Path]:
    """Give a folder to write files to that move to another one when the block ends well; what stands there stays until then.

    Files without which nobody takes the folder for whole move last, and old ones of their names go first: a process that is killed
    between two files leaves no mixture that answers.

    Args:
        folder (`str`): Folder in which the files will be.
        last (`Sequence`): Names of those files.
    """
    folder = Path(folder)
    stage = folder / STAGE
    # that of a process that was killed
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        yield stage
        for name in last:
            (folder / name).unlink(missing_ok=True)
        files = [path.relative_to(stage) for path in sorted(stage.rglob("*")) if path.is_file()]
        for file in sorted(files, key=lambda file: str(file) in last):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            os.replace(stage / file, folder / file)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def check_output_file(path: str, name: str, *inputs: str | None) -> None:
    """Raise a DataError if a file cannot be written at a path, or would take the place of an input.

    Args:
        path (`str`): File to write.
        name (`str`): Option that names it.
        inputs: Files, and folders of models, that are read, as far as there are any.
    """
    if Path(path).is_dir():
        raise DataError(f"`{name}` {path!r} is a folder. Pass a file to write as --{name}.")
    if not Path(path).resolve().parent.is_dir():
        raise DataError(f"`{name}` {path!r}: there is no folder {str(Path(path).parent)!r}. Make it, or pass another --{name}.")
    if any(source and _is_same(path, source) for source in inputs):
        raise DataError(f"`{name}` {path!r} is the input itself, which would be lost. Pass another --{name}.")
    folders = [source for source in inputs if source and Path(source).is_dir()]
    is_model_file = any(fnmatch(Path(path).name, pattern) for pattern in MODEL_FILES)
    if is_model_file and any(_is_same(str(Path(path).parent), folder) for folder in folders):
        raise DataError(f"`{name}` {path!r} is a file of the model, which would be lost. Pass another --{name}.")


def check_output_dir(path: str, name: str = "output_dir", *inputs: str | None, written: Sequence[str] = ()) -> None:
    """Raise a DataError if a folder cannot be made at a path, or would take the place of what is read.

    Args:
        path (`str`): Folder to write to.
        name (`str`): Option that names it.
        inputs: Folders and files that are read, as far as there are any.
        written (`Sequence`): Names of files that will be written there, beside those that no input can be.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        # libraries that write there take no other name
        raise DataError(f"`{name}` {path!r} is no UTF-8, which names of files must be. Pass another --{name}.") from None
    whole = Path(path).resolve()
    if not path:
        raise DataError(f"`{name}` is empty. Pass a folder to write to as --{name}.")
    taken = next((part for part in (whole, *whole.parents) if part.exists() and not part.is_dir()), None)
    if taken is not None:
        raise DataError(f"`{name}` {path!r}: {str(taken)!r} is a file. Pass a folder as --{name}.")
    if any(source and _is_same(path, source) for source in inputs):
        raise DataError(f"`{name}` {path!r} is the folder of the model itself. Pass another --{name}.")
    for source in inputs:
        if source and any(_is_same(str(Path(path) / file), source) for file in written):
            raise DataError(f"`{name}` {path!r} holds the input {source!r}, which would be lost. Pass another --{name}.")


def _is_same(path: str, other: str) -> bool:
    # links and second names of a file count as the file
    return Path(path).resolve() == Path(other).resolve() or (
        os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)
    )
