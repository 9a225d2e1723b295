"""The commands that train a model for a task, by the name of the task."""

from pathlib import Path
from typing import Any

from . import text_classification, token_classification

TASKS: dict[str, Any] = {"text-classification": text_classification, "token-classification": token_classification}


def going_on(folder: Path) -> list[str]:
    """Return the options with which a training into a folder goes on from the checkpoints there, if there are any."""
    return ["--resume_from_checkpoint", "last"] if any(folder.glob("checkpoint-*")) else []


def is_trained(folder: Path) -> bool:
    """Return whether a training into a folder has come to its end, of which the card is the last file."""
    return (folder / "all_results.json").is_file() and (folder / "README.md").is_file()
