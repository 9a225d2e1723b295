"""The file that predictions are written to: beside its place until it is whole, by several processes, to go on with after an end."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from ..data.files.errors import DataError
from ..data.files.writers import Rows, json_line
from ..data.locking import locked_file
from ..data.writing import disk_problem, written_whole
from ..inference.rows import InputRow

# writes a file from what gives its rows
Convert = Callable[[str | Path, Rows], None]
START_AGAIN = "Pass --resume false to start again."


class OtherRunError(DataError):
    """What lies there belongs to another run."""


@contextmanager
def answers_to(
    path: str, run: dict[str, Any], resume: bool | None, rank: int = 0, world_size: int = 1, convert: Convert | None = None
) -> Iterator["AnswerFile"]:
    """Give an `AnswerFile`; put the file in its place at the end, or say how to go on from what is answered.

    Args:
        path (`str`): The file.
        run (`dict`): What the answers depend on.
        resume (`bool`, *optional*): Whether to go on with parts that are there, or to start again; if it is left out, there must be none.
        rank (`int`): This process.
        world_size (`int`): Processes; window i belongs to process i modulo their number.
        convert (`Callable`, *optional*): Writes a path from the rows in order, which it may ask for several times; by default they are
            written as JSON lines.

    Raises:
        DataError: There are parts and `resume` is left out, or they belong to another run, which is left as it is; or another process
            writes there; or no more can be read or written.
    """
    with locked_file(path, "output_file"):
        answers = AnswerFile(path, run, resume, rank, world_size, convert)
        try:
            yield answers
            answers.finish()
        except OtherRunError:
            raise
        except KeyboardInterrupt:
            raise KeyboardInterrupt(answers.how_to_go_on()) from None
        except (ValueError, OSError) as error:
            raise DataError(" ".join(filter(None, (disk_problem(error, path) or str(error), answers.how_to_go_on())))) from error
        finally:
            answers.close()


class AnswerFile:
    """Take the answers of windows of texts; see `answers_to`.

    Each process writes its windows to a part of its own, `NAME.part-0-of-2`; `NAME.run` says what run they belong to. A single process
    touches neither before it has an answer.

    Attributes:
        sizes (`list`): Rows of each window so far, of all processes.
        rows (`int`): Rows of this process that are in its part.
    """

    def __init__(
        self, path: str, run: dict[str, Any], resume: bool | None, rank: int = 0, world_size: int = 1, convert: Convert | None = None
    ) -> None:
        self.path, self.rank, self.world_size, self.convert = Path(path), rank, world_size, convert
        self.sizes: list[int] = []
        self.rows = 0
        self.run = {**run, "processes": world_size}
        self.note = self.path.with_name(f"{self.path.name}.run")
        self.part = self._part(rank)
        self._meet()
        self.is_resumed = self._check(resume)
        self._meet()
        # of what was answered before: the place up to which it is read
        self.known: BinaryIO | None = open(self.part, "rb") if self.is_resumed and self.part.is_file() else None  # noqa: SIM115
        self.place = 0
        self.file: BinaryIO | None = None
        self.has_begun = False
        if world_size > 1:
            self._begin()
            self._meet()

    def _check(self, resume: bool | None) -> bool:
        """Return whether there is something to go on with."""
        if not self.note.is_file() or resume is False:
            return False
        if resume is None:
            raise OtherRunError(
                f"{self.note} is left of a run that did not finish. Pass --resume true to go on where it stopped, or --resume false to "
                "start again."
            )
        try:
            known = json.loads(self.note.read_text(encoding="utf-8"))
            other = [name for name, value in self.run.items() if known.get(name) != value]
        except (ValueError, AttributeError):
            raise OtherRunError(f"{self.note} is damaged. {START_AGAIN}") from None
        if other:
            raise OtherRunError(f"{self.note} is of a run with another {' and '.join(other)}. {START_AGAIN}")
        return True

    def _part(self, rank: int) -> Path:
        return self.path.with_name(f"{self.path.name}.part-{rank}-of-{self.world_size}")

    def _begin(self) -> None:
        """Take away what is left of another run, and write the note, unless this run goes on."""
        self.has_begun = True
        if self.is_resumed or self.rank > 0:
            return
        for path in self.path.parent.iterdir():
            if re.fullmatch(re.escape(self.path.name) + r"\.part-\d+-of-\d+", path.name):
                path.unlink()
        with written_whole(self.note) as file:
            json.dump(self.run, file)

    def has(self, window: list[InputRow]) -> bool:
        """Return whether the part goes on with the answers to a window.

        Raises:
            OtherRunError: It goes on with answers to other texts, or with other columns beside them.
        """
        if self.known is None:
            return False
        lines = [self.known.readline() for _ in window]
        for line, row in zip(lines, window, strict=True):
            # the last one may have been cut off
            if line.endswith(b"\n") and not _answers(line, row):
                raise OtherRunError(f"{self.part} holds answers to other texts. {START_AGAIN}")
        if not lines[-1].endswith(b"\n"):
            self.known.close()
            self.known = None
            return False
        self.place += sum(map(len, lines))
        self.rows += len(window)
        return True

    def add(self, answers: list[dict[str, Any]]) -> None:
        """Write the answers to a window, in place of those that are there in part."""
        if self.file is None:
            self._open()
        rest = memoryview("".join(map(json_line, answers)).encode())
        while rest and self.file is not None:
            rest = rest[self.file.write(rest) :]
        self.rows += len(answers)

    def _open(self) -> None:
        if not self.has_begun:
            self._begin()
        # without a buffer, so that closing has nothing left to fail at
        self.file = open(self.part, "r+b" if self.is_resumed and self.part.is_file() else "wb", buffering=0)  # noqa: SIM115
        self.file.seek(self.place)
        self.file.truncate()

    def how_to_go_on(self) -> str:
        """Return what is answered and how to go on after it, if anything is."""
        rows = f"{self.rows} rows before it are answered, in {self.part}; pass --resume true to go on after them."
        return rows if self.rows else ""

    def finish(self) -> None:
        """Move the parts, window by window, into the file; raise an `OtherRunError` if there are answers to more texts."""
        if self.known is not None and self.known.read(1):
            raise OtherRunError(f"{self.part} holds answers to more texts than there are. {START_AGAIN}")
        if not self.part.is_file() or (not self.is_resumed and self.file is None):
            # no window was for this process
            self._open()
        self._meet()
        if self.rank == 0:
            self._put_together()
        self._meet()

    def _put_together(self) -> None:
        if self.world_size == 1 and self.convert is None:
            os.replace(self.part, self.path)
        else:
            if self.convert is None:
                with written_whole(self.path) as file:
                    file.writelines(map(bytes.decode, self._lines()))
            else:
                self.convert(self.path, lambda: map(json.loads, self._lines()))
            for rank in range(self.world_size):
                self._part(rank).unlink()
        self.note.unlink()

    def _lines(self) -> Iterator[bytes]:
        """Yield the lines of all parts in the order of the rows."""
        with ExitStack() as stack:
            parts = [stack.enter_context(open(self._part(rank), "rb")) for rank in range(self.world_size)]
            for index, size in enumerate(self.sizes):
                yield from islice(parts[index % self.world_size], size)

    def close(self) -> None:
        """Close what is open; take away what this run made if no answer is in it."""
        for file in (self.known, self.file):
            if file is not None:
                file.close()
        if self.has_begun and not self.is_resumed and self.rows == 0 and self.world_size == 1:
            self.part.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)

    def _meet(self) -> None:
        """Wait for the other processes, if there are any."""
        if self.world_size > 1:
            from accelerate import PartialState

            PartialState(cpu=True).wait_for_everyone()


def _answers(line: bytes, row: InputRow) -> bool:
    with suppress(ValueError, AttributeError):
        told, text = json.loads(line), row.text
        is_text = text in (told.get("text"), told.get("tokens")) or (isinstance(text, list) and told.get("text") == " ".join(text))
        return is_text and {name: told.get(name) for name in row.others} == row.others
    return False
