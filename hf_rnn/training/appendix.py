"""The settings of a run as the appendix of a paper wants them: data, model, training, machine, versions; no folder, user or host."""

import os
import platform
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer
from transformers.trainer_utils import PredictionOutput

from ..data.writing import written_whole
from ..reports.tables import to_latex, to_markdown
from ..sharing.cards import FIELDS, NO_SCORES, count_weights, distinct, versions

# of the training arguments, those that a card shows
SETTINGS = (
    "learning_rate",
    "lr_scheduler_type",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "num_train_epochs",
    "max_grad_norm",
    "weight_decay",
    "label_smoothing_factor",
    "adversarial_epsilon",
    "seed",
    "bf16",
)
# and what repeating the run takes beside them
MORE_SETTINGS = (
    "optim",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "optim_args",
    "warmup_steps",
    "max_steps",
    "max_tokens_per_batch",
    "train_sampling_strategy",
    "early_stopping_patience",
    "load_best_model_at_end",
    "metric_for_best_model",
    "data_seed",
    "fp16",
)
MORE_FIELDS = ("vocab_size", "word_vocab_size", "linear_size", "crf_constraints", "num_labels")
Rows = list[tuple[str, str]]


def write_appendix(trainer: Trainer, data: tuple[str, str], outputs: dict[str, PredictionOutput]) -> None:
    """Write `settings.md` and `settings.tex` into the folder of a run.

    Args:
        trainer (`Trainer`): After training.
        data (`tuple`): Name of the data, and Markdown lines about where it comes from, as `describe_data` returns them.
        outputs (`dict`): Predictions by split, with their metrics.
    """
    parts = {
        "Data": _data(trainer, data[1], outputs),
        "Model": [("parameters", f"{count_weights(trainer.model):,}"), *_told(trainer.model.config, (*FIELDS, *MORE_FIELDS))],
        "Training": [*_told(trainer.args, (*SETTINGS, *MORE_SETTINGS)), *_course(trainer)],
        "Scores": [(name, f"{value:.4f}") for output in outputs.values() for name, value in _scores(output).items()],
        "Machine": machine(),
        "Versions": list(versions().items()),
    }
    tables = [f"## {name}\n\n{to_markdown(('setting', 'value'), rows)}" for name, rows in parts.items() if rows]
    folder = Path(trainer.args.output_dir)
    with written_whole(folder / "settings.md") as file:
        file.write("\n".join(["# Settings of this run\n", *tables]))
    with written_whole(folder / "settings.tex") as file:
        file.write(to_latex(("setting", "value"), [row for rows in parts.values() for row in rows]))


def machine() -> Rows:
    """Return what the run ran on, without its name."""
    accelerators = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(cores),
        "threads": str(torch.get_num_threads()),
        "accelerators": ", ".join(accelerators),
    }
    return [(name, value) for name, value in rows.items() if value]


def _processor() -> str:
    """Return the model of the processor, as Linux or the platform tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _data(trainer: Trainer, described: str, outputs: dict[str, PredictionOutput]) -> Rows:
    """Return where each split comes from and how many rows it has."""
    lines = [line.removeprefix("- ").replace("`", "") for line in described.splitlines()]
    rows = [(what, value) if value else ("data", what) for what, _, value in (line.partition(": ") for line in lines)]
    counts = {"training": trainer.train_dataset, "validation": trainer.eval_dataset}
    known = {split: len(dataset) for split, dataset in counts.items() if hasattr(dataset, "__len__")}
    if "test" in outputs:
        labels = outputs["test"].label_ids
        known["test"] = len(labels[0] if isinstance(labels, tuple) else labels)
    return [*rows, *((f"{split} rows", f"{count:,}") for split, count in known.items())]


def _told(source: Any, names: tuple[str, ...]) -> Rows:
    """Return fields that are set, the names of enumerations as they are written in options."""
    values = {name: getattr(source, name, None) for name in names}
    return [(name, str(getattr(value, "value", value))) for name, value in values.items() if value is not None]


def _course(trainer: Trainer) -> Rows:
    """Return how the training went: steps, epochs, the epoch whose weights were kept, and how long the part of it took that ran last."""
    state = trainer.state
    rows = [("steps", f"{state.global_step:,}"), ("epochs trained", f"{state.epoch or 0:.4g}")]
    kept = next((entry["epoch"] for entry in state.log_history if entry.get("step") == state.best_global_step and "epoch" in entry), None)
    if kept and trainer.args.load_best_model_at_end:
        rows.append(("weights of epoch", f"{kept:.4g}"))
    seconds = next((entry["train_runtime"] for entry in reversed(state.log_history) if "train_runtime" in entry), None)
    return rows if seconds is None else [*rows, ("seconds of training", f"{seconds:,.0f}")]


def _scores(output: PredictionOutput) -> dict[str, float]:
    metrics = distinct(output.metrics or {})
    return {name: value for name, value in metrics.items() if isinstance(value, float) and not name.endswith(NO_SCORES)}
