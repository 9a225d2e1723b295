"""A run: what it is set up with, the trainer, and training, evaluating and predicting as asked."""

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import transformers
from datasets import Dataset, disable_progress_bars
from transformers import PrinterCallback, set_seed
from transformers.trainer_callback import ProgressCallback
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from ..arguments import ModelArguments, RnnTrainingArguments
from ..data.files.readers import check_file
from ..data.loading import check_source
from ..data.rows.splits import AnyDataset, Splits
from ..data.writing import check_output_dir
from ..linear.classifier import LinearFit
from ..models.onednn import is_available
from ..tasks.defaults import MANY_ROWS
from .progress import ProgressLines, line_of
from .quiet import hide_library_bars
from .stopping import Patience
from .trainer import RnnTrainer

logger = logging.get_logger(__name__)

# files of a run that are no part of the model, and that data may be called
WRITTEN = ("predictions.jsonl", "report.txt", "report.html")


def set_up(training: RnnTrainingArguments, model: ModelArguments, *inputs: str | None) -> None:
    """Seed everything, and let logs say what the options ask for, without bars where nobody watches; check what the run starts from.

    Args:
        training (`RnnTrainingArguments`): What is asked for.
        model (`ModelArguments`): Names other models and files.
        inputs: Files of data and folders of teachers.

    Raises:
        ValueError: There is no such model or file, or the run would write over it.
    """
    transformers.utils.logging.set_verbosity(training.get_process_log_level())
    names = (model.model_name_or_path, model.config_name, model.tokenizer_name, model.embeddings_from)
    # a model may be evaluated where it is
    read = (*inputs, *names) if training.do_train else inputs
    check_output_dir(training.output_dir, "output_dir", *read, written=WRITTEN)
    for name in filter(None, names):
        check_source(name, is_config=name == model.config_name)
    if model.vectors_file:
        check_file(model.vectors_file)
    set_seed(training.seed)
    hide_library_bars()
    if not sys.stderr.isatty():
        disable_progress_bars()
    if training.device.type == "cpu":
        training.dataloader_pin_memory = False


def choose_metric(training: RnnTrainingArguments, metric: str, greater_is_better: bool, known: Iterable[str]) -> None:
    """Let a metric choose the best epoch, unless the options name one.

    Raises:
        ValueError: They name one that is not known.
    """
    wanted, names = str(training.metric_for_best_model).removeprefix("eval_"), ["loss", *known]
    if training.do_eval and wanted not in ("auto", *names):
        raise ValueError(f"`metric_for_best_model` must be one of {names}, got {wanted!r}. Pass another --metric_for_best_model.")
    if training.metric_for_best_model == "auto":
        training.metric_for_best_model, training.greater_is_better = metric, greater_is_better


def _with_labels(rows: Dataset) -> Dataset:
    """Return the rows that are not for a teacher alone."""
    has_labels = [not np.all(np.equal(labels, -100)) for labels in rows["labels"]]
    return rows if all(has_labels) else rows.select(np.flatnonzero(has_labels))


def make_trainer(training: RnnTrainingArguments, encoded: Splits, kind: type[RnnTrainer] = RnnTrainer, **options: Any) -> RnnTrainer:
    """Return a trainer of some kind, with early stopping when there is an evaluation to stop by; `options` have the model."""
    stopping = training.load_best_model_at_end and training.early_stopping_patience
    trainer = kind(
        args=training,
        train_dataset=encoded.get("train"),
        eval_dataset=encoded.get("validation"),
        callbacks=[Patience(training.early_stopping_patience)] if stopping else None,
        **options,
    )
    for usual in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(usual)
    trainer.add_callback(ProgressLines())
    return trainer


def _tell_of_bf16(training: RnnTrainingArguments, rows: AnyDataset) -> None:
    """Say of a long training on a processor with bf16 that it could be a shorter one."""
    is_long = not isinstance(rows, Dataset) or len(rows) > MANY_ROWS
    if is_long and training.device.type == "cpu" and not (training.bf16 or training.fp16) and is_available(torch.bfloat16):
        logger.warning("This processor multiplies bf16 faster: --bf16 true, with gates, states and sums in fp32, shortens the training.")


def run(
    trainer: RnnTrainer,
    training: RnnTrainingArguments,
    encoded: Splits,
    resume: str | None,
    linear: LinearFit | None = None,
    is_carved: bool = False,
) -> dict[str, PredictionOutput]:
    """Train, from a checkpoint or the start, evaluate and predict as asked; write model, state and metrics.

    Args:
        trainer (`RnnTrainer`): Holds the model.
        training (`RnnTrainingArguments`): What is asked for.
        encoded: Splits.
        resume (`str`, *optional*): Checkpoint to start from.
        linear (`LinearFit`, *optional*): Puts a linear model beside the trained one.
        is_carved (`bool`): Whether validation rows are training rows held out, which nothing else needs: once the model is chosen and
            its metrics are written, the linear model learns from them too.

    Returns:
        `dict`: The predictions on validation and test, as far as asked for.
    """
    if training.do_train:
        _tell_of_bf16(training, encoded["train"])
        result = trainer.train(resume_from_checkpoint=resume)
        # at once, so that nothing after it can lose it; to the Hub it goes last, with card and curves
        trainer.save_model(_internal_call=True)
        if linear is not None:
            linear.fit(_with_labels(encoded["train"]), encoded.get("validation"))
            trainer.save_model(_internal_call=True)
        trainer.save_metrics("train", result.metrics)
        trainer.save_state()
    outputs = {}
    for split, prefix, is_wanted in (("validation", "eval", training.do_eval), ("test", "test", training.do_predict)):
        if is_wanted:
            outputs[split] = trainer.predict(encoded[split], metric_key_prefix=prefix)
            if trainer.is_world_process_zero():
                print(line_of(outputs[split].metrics or {}))
            trainer.save_metrics(prefix, outputs[split].metrics)
        if split == "validation" and is_wanted and is_carved and linear is not None:
            linear.refit(_with_labels(encoded["train"]), encoded["validation"])
            trainer.save_model(_internal_call=True)
    return outputs
