"""A file in an output folder that says what a run is of, and, written last, that it is finished."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files.readers import DataError
from .fingerprints import contents
from .writing import written_whole


class RunNote:
    """The note of a run: hashes of what it depends on, what it found out on the way, and at its end what came of it.

    Args:
        path (`Path`): The file.
        options (`Mapping`): What the run depends on; files and folders count by what they hold, and none is named in the note.

    Attributes:
        found (`dict`): What the run, or one that broke off before it, found out and goes by; see `keep`.
    """

    def __init__(self, path: Path, options: Mapping[str, Any]) -> None:
        self.path = path
        told = {**options, **contents(options)}
        self.found: dict[str, Any] = {}
        self.run = {name: hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16] for name, value in sorted(told.items())}

    def is_begun(self) -> bool:
        """Return whether the run was begun here and is not finished.

        Raises:
            DataError: It is finished, or the note is that of another run.
        """
        if not self.path.is_file():
            return False
        try:
            known = json.loads(self.path.read_text(encoding="utf-8"))
            run, is_finished, self.found = dict(known["run"]), "result" in known, dict(known.get("found", {}))
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{self.path} is damaged. Pass another --output_dir, or remove the file.") from None
        if is_finished:
            raise DataError(f"{self.path} says that the run there is finished. Pass another --output_dir.")
        other = [name for name in sorted({*run, *self.run}) if run.get(name) != self.run.get(name)]
        if other:
            raise DataError(f"{self.path} is of a run with another {' and '.join(other)}. Pass the same, or another --output_dir.")
        return True

    def begin(self) -> None:
        """Write what the run is of."""
        self._write({})

    def keep(self, name: str, value: Any) -> None:
        """Write down what the run found out and goes by, such as what a machine has time for, for when it is begun again."""
        self.found[name] = value
        self._write({})

    def end(self, result: Any) -> None:
        """Write what came of it."""
        self._write({"result": result})

    def _write(self, content: dict[str, Any]) -> None:
        with written_whole(self.path) as file:
            json.dump({"run": self.run, "found": self.found, **content}, file, indent=1)
