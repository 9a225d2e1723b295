"""Checkpoints to resume from: their checksums, which of them are whole, and which is the last."""

import json
import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import TrainingArguments
from transformers.utils import logging

from ..data.digests import file_digest
from ..data.locking import locked
from ..data.writing import written_whole
from .resuming import OPTIONS

logger = logging.get_logger(__name__)
# every file that a checkpoint to resume from must hold, whole
CHECKPOINT_FILES = ("config.json", "model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json", "training_args.bin")
CHECKSUMS = "checksums.json"


def write_checksums(folder: str | Path) -> None:
    """Write the SHA-256 of every file of a checkpoint beside them, as its last file."""
    folder = Path(folder)
    sums = {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name != CHECKSUMS}
    with written_whole(folder / CHECKSUMS) as file:
        json.dump(sums, file, indent=1)


def checkpoint_problem(folder: Path, world_size: int = 1) -> str | None:
    """Return what is missing or broken in a checkpoint folder, or None if training can resume from it.

    Checkpoints of versions that wrote no checksums are checked for what their formats tell.
    """
    missing = next((name for name in (*CHECKPOINT_FILES, *_rng_files(world_size)) if not (folder / name).is_file()), None)
    if missing:
        return f"{missing} is missing"
    return _wrong_sum(folder) if (folder / CHECKSUMS).exists() else _broken_file(folder)


def _wrong_sum(folder: Path) -> str | None:
    sums = _read_json(folder / CHECKSUMS)
    if not isinstance(sums, dict):
        return f"{CHECKSUMS} is damaged"
    for name, value in sums.items():
        path = folder / Path(name).name
        if not path.is_file():
            return f"{name} is missing"
        if file_digest(path) != value:
            return f"{name} is damaged: its checksum is not the one in {CHECKSUMS}"
    return None


def _broken_file(folder: Path) -> str | None:
    for path in sorted(folder.iterdir()):
        if path.suffix in (".pt", ".pth", ".bin") and (not zipfile.is_zipfile(path) or zipfile.ZipFile(path).testzip()):
            return f"{path.name} is cut off or damaged"
    if not isinstance(_read_json(folder / "config.json"), dict):
        return "config.json is cut off or damaged"
    state = _read_json(folder / "trainer_state.json")
    if not isinstance(state, dict) or not isinstance(state.get("global_step"), int):
        return "trainer_state.json is cut off or damaged"
    try:
        with safe_open(folder / "model.safetensors", "pt"):
            pass
    except SafetensorError as error:
        return f"model.safetensors is broken ({error})"
    return None


def _read_json(path: Path) -> Any:
    """Return what a JSON file holds, or None if it holds none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None


def _rng_files(world_size: int) -> list[str]:
    return ["rng_state.pth"] if world_size == 1 else [f"rng_state_{rank}.pth" for rank in range(world_size)]


def last_complete_checkpoint(output_dir: str, world_size: int = 1) -> str | None:
    """Return the newest checkpoint of a run that is whole; a half-written or damaged one is named in a warning and passed over."""
    for folder in reversed(_checkpoints(Path(output_dir))):
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
    elif training.process_index == 0:
        _end_saving(Path(found), training.save_total_limit)
    return found


def _end_saving(folder: Path, limit: int | None) -> None:
    """End what a run was at when it was killed: the checksums of its last checkpoint, and the removal of older ones."""
    if not (folder / CHECKSUMS).exists():
        write_checksums(folder)
    older = []
    for each in _checkpoints(folder.parent)[: _checkpoints(folder.parent).index(folder)]:
        if _is_removed_in_part(each):
            logger.warning(f"Removing {each}, of which a run that was killed had removed a part.")
            shutil.rmtree(each)
        else:
            older.append(each)
    best = (_read_json(folder / "trainer_state.json") or {}).get("best_model_checkpoint")
    removable = [each for each in older if each.name != Path(best or "").name]
    for each in removable[: max(0, len(older) + 1 - limit)] if limit else ():
        shutil.rmtree(each)


def order_times(folder: Path) -> None:
    """Let no older checkpoint look newer than one that is about to be written: Trainer keeps the newest by time, and clocks go back."""
    older = [each for each in _checkpoints(folder.parent) if each != folder]
    now = time.time()
    times = [*(each.stat().st_mtime for each in older), now]
    if times != sorted(times):
        for age, each in enumerate(reversed(older), 1):
            os.utime(each, (now - age, now - age))


def _is_removed_in_part(folder: Path) -> bool:
    # versions without one have none of the other
    if (folder / OPTIONS).exists() != (folder / CHECKSUMS).exists():
        return True
    sums = _read_json(folder / CHECKSUMS) if (folder / CHECKSUMS).exists() else None
    names = {*CHECKPOINT_FILES, *(sums if isinstance(sums, dict) else ())}
    return not all((folder / Path(name).name).is_file() for name in names)


def _checkpoints(output_dir: Path) -> list[Path]:
    """Return the folders of checkpoints, the oldest first."""
    folders = [path for path in output_dir.glob("checkpoint-*") if path.name.split("-")[1].isdecimal()]
    return sorted(folders, key=lambda path: int(path.name.split("-")[1]))


def resume_options(folder: Path) -> dict[str, str]:
    """Return the options with which a training into a folder goes on from the checkpoints there, if there are any."""
    return {"resume_from_checkpoint": "last"} if any(folder.glob("checkpoint-*")) else {}


def is_trained(folder: Path) -> bool:
    """Return whether a training into a folder has come to its end, of which the card is the last file."""
    return (folder / "all_results.json").is_file() and (folder / "README.md").is_file()


def was_trained(folder: Path) -> bool:
    """Return whether an earlier training into a folder has come to its end; the lock that it left where it was killed goes.

    Raises:
        DataError: Another process writes there.
    """
    with locked(folder):
        return is_trained(folder)
