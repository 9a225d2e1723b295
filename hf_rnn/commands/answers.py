"""The file that predictions are written to: beside its place until it is whole, by several processes, to go on with after an end."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from ..data.files.readers import DataError
from ..data.writing import written_whole
from ..inference.predictor import Text


class AnswerFile:
    """Take the answers of windows of texts; put the file in its place once all windows of all processes are there.

    Each process writes its windows to a part of its own, `NAME.part-0-of-2`; `NAME.run` says what run they belong to.

    Args:
        path (`str`): The file.
        run (`dict`): What the answers depend on.
        resume (`bool`, *optional*): Whether to go on with parts that are there, or to start again; if it is left out, there must be none.
        rank (`int`): This process.
        world_size (`int`): Processes; window i belongs to process i modulo their number.

    Attributes:
        sizes (`list`): Rows of each window so far, of all processes.

    Raises:
        DataError: There are parts and `resume` is left out, or they belong to another run.
    """

    part: TextIO

    def __init__(self, path: str, run: dict[str, Any], resume: bool | None, rank: int = 0, world_size: int = 1) -> None:
        self.path, self.rank, self.world_size = Path(path), rank, world_size
        self.sizes: list[int] = []
        self.run = {**run, "processes": world_size}
        self.note = self.path.with_name(f"{self.path.name}.run")
        self._meet()
        self.is_resumed = self._check(resume)
        # rows of this process that are in its part
        self.rows = 0
        self._meet()

    def _check(self, resume: bool | None) -> bool:
        """Return whether there is something to go on with."""
        if not self.note.is_file() or resume is False:
            return False
        if resume is None:
            raise DataError(
                f"{self.note} is left of a run that did not finish. Pass --resume true to go on where it stopped, or --resume false to "
                "start again."
            )
        with suppress(ValueError):
            if json.loads(self.note.read_text(encoding="utf-8")) == self.run:
                return True
        raise DataError(f"{self.note} is of a run with another model, input or number of processes. Pass --resume false to start again.")

    def _part(self, rank: int) -> Path:
        return self.path.with_name(f"{self.path.name}.part-{rank}-of-{self.world_size}")

    def __enter__(self) -> "AnswerFile":
        if self.rank == 0 and not self.is_resumed:
            with written_whole(self.note) as file:
                json.dump(self.run, file)
        path = self._part(self.rank)
        self.part = open(path, "r+" if self.is_resumed and path.is_file() else "w+", encoding="utf-8", newline="\n")
        return self

    def has(self, window: list[Text]) -> bool:
        """Return whether the part goes on with the answers to a window; cut it off where it does not.

        Raises:
            DataError: It goes on with answers to other texts.
        """
        start = self.part.tell()
        for index in range(len(window)):
            line = self.part.readline()
            if not line.endswith("\n"):
                self.part.seek(start)
                self.part.truncate()
                return False
            if index == 0 and not _answers(line, window[0]):
                raise DataError(f"{self._part(self.rank)} holds answers to other texts. Pass --resume false to start again.")
        self.rows += len(window)
        return True

    def add(self, answers: list[dict[str, Any]]) -> None:
        """Write the answers to a window."""
        self.part.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in answers)
        self.part.flush()
        self.rows += len(answers)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.part.truncate()
        self.part.close()
        if error is None:
            self._meet()
            if self.rank == 0:
                self._finish()
            self._meet()
        elif self.rows == 0 and self.world_size == 1:
            self._part(0).unlink()
            self.note.unlink()
        elif isinstance(error, (ValueError, OSError)):
            raise DataError(
                f"{error} {self.rows} rows before it are answered, in {self._part(self.rank)}; pass --resume true to go on after them."
            ) from error

    def _finish(self) -> None:
        """Move the parts, window by window, into the file."""
        if self.world_size == 1:
            os.replace(self._part(0), self.path)
        else:
            parts = [open(self._part(rank), encoding="utf-8", newline="\n") for rank in range(self.world_size)]  # noqa: SIM115
            with written_whole(self.path) as file:
                for index, size in enumerate(self.sizes):
                    file.writelines(parts[index % self.world_size].readline() for _ in range(size))
            for rank, part in enumerate(parts):
                part.close()
                self._part(rank).unlink()
        self.note.unlink()

    def _meet(self) -> None:
        """Wait for the other processes, if there are any."""
        if self.world_size > 1:
            from accelerate import PartialState

            PartialState(cpu=True).wait_for_everyone()


def _answers(line: str, text: Text) -> bool:
    with suppress(ValueError):
        row = json.loads(line)
        return text in (row.get("text"), row.get("tokens")) or (isinstance(text, list) and row.get("text") == " ".join(text))
    return False
