"""Going on from a checkpoint with other options: which ones may change, which may not, and what becomes of the steps."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedConfig, TrainingArguments

from ..data.writing import written_whole

# in a checkpoint: the options that it was trained with
OPTIONS = "options.json"
BATCHING = ("per_device_train_batch_size", "gradient_accumulation_steps", "max_tokens_per_batch", "world_size")
TOLD = (
    *(*BATCHING, "num_train_epochs", "max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "optim"),
    *("max_grad_norm", "label_smoothing_factor", "adversarial_epsilon", "train_sampling_strategy", "seed", "data_seed", "bf16", "fp16"),
)
# what weights depend on, and what they are read as
SHAPES = (
    *("cell_type", "embedding_size", "hidden_size", "num_hidden_layers", "bidirectional", "word_pooling", "word_vocab_size"),
    *("ngram_vocab_size", "pooling", "use_crf", "crf_constraints", "lookahead", "units", "vocab_size", "id2label", "intents"),
)
# of those, what no option names
FROM_ROWS = {"id2label": "labels", "intents": "intents", "units": "units"}


def told_options(training: TrainingArguments) -> dict[str, Any]:
    """Return the options of a training that a checkpoint takes note of."""
    values = {name: getattr(training, name, None) for name in TOLD}
    # choices of the library are no plain text
    plain = {name: getattr(value, "value", value) for name, value in values.items()}
    return {name: value if value is None or isinstance(value, bool | int | float) else str(value) for name, value in plain.items()}


def write_options(folder: Path, training: TrainingArguments, offset: int) -> None:
    """Write the options of a training into a checkpoint, and how many steps more were taken than its batches would have."""
    with written_whole(folder / OPTIONS) as file:
        json.dump({**told_options(training), "offset": offset}, file, indent=1)


def changed_options(folder: Path, training: TrainingArguments) -> tuple[dict[str, tuple[Any, Any]], int]:
    """Return old and new value of each option that is not what a checkpoint was trained with, and its offset of steps; nothing of one
    that has no note of them.
    """
    try:
        known = dict(json.loads((folder / OPTIONS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}, 0
    told = told_options(training)
    return {name: (known[name], value) for name, value in told.items() if name in known and known[name] != value}, known.get("offset", 0)


def check_shape(folder: Path, config: PreTrainedConfig) -> None:
    """Raise a ValueError if the model of a checkpoint is of other sizes or labels than the one that is to go on from it."""
    known, asked = json.loads((folder / "config.json").read_text(encoding="utf-8")), json.loads(config.to_json_string(use_diff=False))
    for name in SHAPES:
        if name not in asked or name not in known:
            continue
        old, new = (_shown(values[name]) for values in (known, asked))
        if old != new and name in FROM_ROWS:
            raise ValueError(
                f"The checkpoint {str(folder)!r} has the {FROM_ROWS[name]} {old}, but the rows have {new}. Pass the rows that it was "
                "trained on, or another --output_dir."
            )
        if old != new:
            raise ValueError(
                f"`{name}` is {old} in the checkpoint {str(folder)!r}, but {new} now: weights keep their sizes. Pass --{name} {old} "
                "and the rows that it was trained on, or another --output_dir."
            )


def _shown(value: Any) -> Any:
    return list(value.values()) if isinstance(value, dict) else value


@contextmanager
def one_line() -> Iterator[None]:
    """Keep back what the library says of options in lines of its own."""
    theirs = logging.getLogger("transformers.trainer_utils")
    theirs.addFilter(_is_silent)
    try:
        yield
    finally:
        theirs.removeFilter(_is_silent)


def _is_silent(record: logging.LogRecord) -> bool:
    return False


def describe_changes(folder: str | Path, changed: dict[str, tuple[Any, Any]]) -> str:
    """Return a line that says what is not as it was before a checkpoint."""
    told = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in changed.items())
    steps = " It goes on behind the rows that were seen." if changed.keys() & set(BATCHING) else ""
    return f"Going on from {folder} with other options: {told}.{steps}"


class KeptRates:
    """The learning rates and decays that options ask for, to be put in place of those that a checkpoint had.

    Args:
        optimizer, scheduler: Those of a run, before the checkpoint's states are loaded.
    """

    def __init__(self, optimizer: Any, scheduler: Any) -> None:
        self.optimizer, self.scheduler = optimizer, getattr(scheduler, "scheduler", scheduler)
        self.groups = [{name: group[name] for name in ("initial_lr", "weight_decay") if name in group} for group in optimizer.param_groups]
        self.rates = list(getattr(self.scheduler, "base_lrs", []))

    def restore(self, step: int) -> None:
        """Put them back, with the rate that the schedule has at a step."""
        for group, kept in zip(self.optimizer.param_groups, self.groups, strict=True):
            group.update(kept)
        if not isinstance(self.scheduler, LambdaLR):
            return
        self.scheduler.base_lrs, self.scheduler.last_epoch = self.rates, step
        for group, rate, schedule in zip(self.optimizer.param_groups, self.rates, self.scheduler.lr_lambdas, strict=True):
            group["lr"] = rate * schedule(step)
        self.scheduler._last_lr = [group["lr"] for group in self.optimizer.param_groups]
