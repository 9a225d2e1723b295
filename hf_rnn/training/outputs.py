"""The folder that a command writes to: one process at a time, and where it ends early, how to go on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..data.files.readers import DataError
from ..data.locking import locked
from ..data.processes import count_processes
from ..data.writing import check_output_dir, disk_problem

# what libraries say to a process when another one of its run has gone
GONE = re.compile("Connection (closed|reset) by peer|gloo|NCCL")

SAME_COMMAND = "The same command again goes on where this one stopped."


@contextmanager
def writing_to(folder: str, again: str | None = None) -> Iterator[None]:
    """Lock a folder while a command writes to it; say how to go on where that is interrupted, or has no room or no others.

    Args:
        folder (`str`): Output folder, made if need be.
        again (`str`, *optional*): How to go on; from the last checkpoint in the folder by default, if there is one.

    Raises:
        DataError: Another process writes there, the disk is full, or another process of the same run has ended.
    """
    check_output_dir(folder)
    with locked(folder):
        try:
            yield
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_way_on(folder) if again is None else again) from None
        except Exception as error:
            problem = disk_problem(error, folder) or _gone_process(error)
            if problem is None:
                raise
            way_on = _way_on(folder) if again is None else again
            raise DataError(f"{problem} {way_on}".strip()) from error


def _way_on(folder: str) -> str:
    """Return how a training in a folder goes on."""
    if not any(Path(folder).glob("checkpoint-*")):
        return ""
    # needs torch, which a command may not have loaded yet
    from .checkpoints import last_complete_checkpoint

    checkpoint = last_complete_checkpoint(folder, count_processes())
    return f"Pass --resume_from_checkpoint last to go on from {checkpoint}." if checkpoint else ""


def _gone_process(error: Exception) -> str | None:
    """Return what to say of an error if it is that another process of the same run has ended, else None."""
    is_told = isinstance(error, RuntimeError) and GONE.search(str(error))
    return "Another process of this run has ended; what it said tells why." if is_told and count_processes() > 1 else None
