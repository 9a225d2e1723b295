"""Checkpoints to resume from: which are whole, and which is the last."""

import json
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import TrainingArguments
from transformers.utils import logging

logger = logging.get_logger(__name__)
# every file that a checkpoint to resume from must hold, whole
CHECKPOINT_FILES = ("config.json", "model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json", "training_args.bin")


def checkpoint_problem(folder: Path, world_size: int = 1) -> str | None:
    """Return what is missing or broken in a checkpoint folder, or None if training can resume from it."""
    for name in (*CHECKPOINT_FILES, *_rng_files(world_size)):
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.suffix in (".pt", ".pth", ".bin") and not zipfile.is_zipfile(path):
            return f"{name} is cut off"
    try:
        json.loads((folder / "trainer_state.json").read_text())
    except ValueError:
        return "trainer_state.json is cut off"
    try:
        with safe_open(folder / "model.safetensors", "pt"):
            pass
    except SafetensorError as error:
        return f"model.safetensors is broken ({error})"
    return None


def _rng_files(world_size: int) -> list[str]:
    return ["rng_state.pth"] if world_size == 1 else [f"rng_state_{rank}.pth" for rank in range(world_size)]


def last_complete_checkpoint(output_dir: str, world_size: int = 1) -> str | None:
    """Return the newest checkpoint of a run that is whole; a half-written one is named in a warning and passed over."""
    folders = [path for path in Path(output_dir).glob("checkpoint-*") if path.name.split("-")[1].isdigit()]
    for folder in sorted(folders, key=lambda path: int(path.name.split("-")[1]), reverse=True):
        problem = checkpoint_problem(folder, world_size)
        if problem is None:
            return str(folder)
        logger.warning(f"Passing over the incomplete checkpoint {folder}: {problem}.")
    return None


def resume_point(training: TrainingArguments) -> str | None:
    """Return the checkpoint to resume from: the one named by `--resume_from_checkpoint`, or with "last" the newest whole one.

    Raises:
        ValueError: The named checkpoint is not whole, or the output folder holds another run that would be overwritten.
    """
    wanted = training.resume_from_checkpoint
    if wanted in (None, "false", "False"):
        if any(Path(training.output_dir).glob("checkpoint-*")):
            raise ValueError(
                f"`output_dir` {training.output_dir!r} holds checkpoints of an earlier run. Pass --resume_from_checkpoint last to go on "
                "with it, or another --output_dir."
            )
        return None
    if wanted not in ("last", "true", "True"):
        problem = checkpoint_problem(Path(wanted), training.world_size)
        if problem:
            raise ValueError(f"`resume_from_checkpoint` {wanted!r} is not a whole checkpoint: {problem}. Pass 'last' to find one that is.")
        return wanted
    found = last_complete_checkpoint(training.output_dir, training.world_size)
    if found is None:
        logger.warning(f"There is no whole checkpoint in {training.output_dir}: training starts at the beginning.")
    return found
