"""One process at a time writes to a folder or a file; who does is told to the next one."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from .files.errors import DataError
from .processes import process_rank

fcntl: Any = None
with suppress(ImportError):
    # Windows has none: nothing is locked there
    import fcntl

LOCK = ".hf_rnn.lock"
# what this process holds: lock files and their descriptors
_held: dict[Path, int] = {}


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Make a folder and keep other processes from writing to it; one that is empty at the end is removed again.

    The lock goes with the process, however that ends; the file that is left of a killed one is taken over.

    Args:
        folder (`str`): Folder to write to.

    Raises:
        DataError: Another process writes there.
    """
    folder = Path(folder)
    made = [part for part in (folder, *folder.parents) if not part.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with held(folder / LOCK, str(folder), "output_dir"):
            yield
    finally:
        with suppress(OSError):
            for part in made:
                part.rmdir()


def locked_file(path: str, option: str) -> AbstractContextManager[None]:
    """Keep other processes from writing to a file while this one does; see `held`.

    Args:
        path (`str`): File to write.
        option (`str`): Option that names it.
    """
    return held(Path(path).with_name(f".{Path(path).name}.lock"), path, option)


@contextmanager
def held(path: Path, what: str, option: str) -> Iterator[None]:
    """Hold a lock file; a process that holds it may do so again, and of the processes of one run the first alone does.

    Args:
        path (`Path`): Lock file; removed at the end.
        what (`str`): What it is for, as errors name it.
        option (`str`): Option that names another.

    Raises:
        DataError: Another process holds it.
    """
    path = path.resolve()
    if fcntl is None or path in _held or process_rank() > 0:
        yield
        return
    _held[path] = _take(path, what, option)
    try:
        yield
    finally:
        # first, so that nobody takes what is about to go
        path.unlink(missing_ok=True)
        os.close(_held.pop(path))


def _take(path: Path, what: str, option: str) -> int:
    """Return the descriptor of a lock file that this process holds."""
    while True:
        descriptor, is_ours = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace")
            os.close(descriptor)
            raise DataError(f"{what!r}: process {holder} is writing there. Wait until it ends, or pass another --{option}.") from None
        except OSError:
            # a file system without locks
            return descriptor
        # it may have been removed between the two calls
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                if is_ours:
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, str(os.getpid()).encode())
                    return descriptor
                # nobody holds it any more; the next turn makes one that says who does
                path.unlink()
        os.close(descriptor)


def _open(path: Path) -> tuple[int, bool]:
    """Return the descriptor of a lock file, and whether it can be written to: another user's cannot, but it can be waited for."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666), True
    except PermissionError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY), False


def _forget() -> None:
    """Let a child that was forked hold nothing: what it inherits would outlive its parent."""
    while _held:
        os.close(_held.popitem()[1])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
