"""Train, evaluate and apply a model on labelled rows: the story that classifiers and taggers share."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset
from transformers import EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from ..data.files.locations import Places
from ..data.rows.collator import RnnCollator
from ..data.rows.splits import Splits, iterate_cells, iterate_texts
from ..distillation.arguments import DistillationArguments, add_teacher
from ..linear.classifier import FROM_LABELS, TAUGHT, LinearFit, WideFit
from ..linear.tagger import TaggerFit
from ..models.modeling_rnn import RnnForSequenceClassification, RnnForTokenClassification
from ..options import parse_arguments
from ..reports.diagnosis import diagnose
from ..reports.plots import plot_curves
from ..training.arguments import CONFIG_DEFAULTS, CardArguments, DataArguments, LabelledTrainingArguments, ModelArguments
from ..training.checkpoints import resume_point
from ..training.defaults import FILLED, UNKNOWN, Size, describe, features_beside, fill, fine_tuning_defaults, validation_share
from ..training.trainer import RnnTrainer
from . import steps
from .outputs import writing_to
from .progress import line_of
from .provenance import describe_data

logger = logging.get_logger(__name__)

KINDS = (DataArguments, ModelArguments, LabelledTrainingArguments, DistillationArguments, CardArguments)
DEFAULTS = CONFIG_DEFAULTS | dict.fromkeys(FILLED, "by the number of rows")


class LabelledTask(ABC):
    """What differs between the commands that learn from labelled rows; `run` tells what they share.

    Args:
        argv (`list`, *optional*): Options; those of the process by default.
        description (`str`, *optional*): First line of the help text.
        more (`type`): Dataclasses of options that another command has beside these.
    """

    task: ClassVar[str]
    auto_class: ClassVar[Any]
    # options that have no meaning here, and what to do instead
    unused: ClassVar[dict[str, str]]
    # set by `choose_columns`, then by `choose_labels`
    text_column: str
    label_column: str
    labels: list[str]
    # class names that a split itself declares, by split
    names: dict[str, list[str] | None]
    intents: list[str] | None = None

    def __init__(self, argv: list[str] | None, description: str | None, *more: type) -> None:
        *_, self.data, self.model_args, self.training, self.distillation, self.card = parse_arguments(
            argv, description, *more, *KINDS, defaults=DEFAULTS
        )
        for name, remedy in self.unused.items():
            value = getattr(self.data, name, None) or getattr(self.model_args, name, None)
            if value not in (None, False, "none"):
                raise ValueError(f"`{name}` means nothing to {self.task}, got {value!r}. {remedy}")
        self.files = {"train": self.data.train_file, "validation": self.data.validation_file, "test": self.data.test_file}
        self.places = Places(self.files)

    def run(self) -> dict[str, float]:
        """Run the command; return the metrics of all splits."""
        self.set_up()
        with writing_to(self.training.output_dir), self.places.named():
            return self._run()

    def set_up(self) -> None:
        """Seed everything; check what the run starts from and where it writes to."""
        teachers = self.distillation.teacher_name_or_path or ()
        steps.set_up(self.training, self.model_args, *self.files.values(), self.distillation.unlabeled_file, *teachers)

    def _run(self) -> dict[str, float]:
        splits, defaults, given = self.read()
        # what is wrong with files and options is said before an earlier run in the folder is
        resume = resume_point(self.training) if self.training.do_train else None
        splits, encoded, tokenizer = self.encode_all(splits, defaults)
        model = self.build_model(tokenizer, splits.get("train"), encoded.get("train"), defaults)
        trainer = self.make_trainer(encoded, tokenizer, model=model)
        wide = self.wide_fit(model, tokenizer, defaults["wide_size"]) if self.training.do_train else None
        outputs = steps.run(trainer, self.training, encoded, resume, wide, "validation" not in given)
        _add_unseen(trainer, outputs, splits, self.text_column, self.metric[0])
        self._complete(trainer, outputs, splits)
        if trainer.is_world_process_zero():
            self._write_files(Path(self.training.output_dir), trainer, outputs, splits)
        example = steps.choose_example(iterate_cells(splits[list(splits)[-1]], self.text_column))
        data = describe_data(self.data, self.distillation)
        source = self.model_args.embeddings_from
        steps.finish(trainer, self.card, example, data, outputs, task=self.task, metric=self.metric[0], vectors_from=source)
        if self.training.do_train and trainer.is_world_process_zero():
            self._say_what_went_wrong(trainer, outputs.get("validation"))
        return {name: value for output in outputs.values() for name, value in (output.metrics or {}).items()}

    def read(self) -> tuple[Splits, dict[str, Any], set[str]]:
        """Return the splits that the run needs, what options are that were left out, and which splits the data has by itself.

        Columns, labels and the metric that chooses the best epoch are known after it.
        """
        splits = self.prepare(steps.load_task_splits(self.data, self.training))
        self.choose_columns(splits, "train" if "train" in splits else next(iter(splits)))
        defaults = self._fill_defaults(splits)
        given = set(splits)
        splits = steps.add_validation(splits, self.stratify_by, self.data, self.training, self.places)
        self.choose_labels(splits)
        steps.choose_metric(self.training, *self.metric, self.metric_names)
        return splits, defaults, given

    def encode_all(self, splits: Splits, defaults: dict[str, Any]) -> tuple[Splits, Splits, PreTrainedTokenizerBase]:
        """Return the splits with what a teacher adds, the same encoded, and the tokenizer."""
        # what a teacher adds is no text to train a tokenizer on, but what to cut one for
        if self.model_options.embeddings_from:
            splits = self._add_teacher(splits)
            tokenizer = self.make_tokenizer(splits, defaults)
        else:
            tokenizer = self.make_tokenizer(splits, defaults)
            splits = self._add_teacher(splits)
        return splits, self.encode(splits, tokenizer), tokenizer

    def make_trainer(self, encoded: Splits, tokenizer: PreTrainedTokenizerBase, **options: Any) -> RnnTrainer:
        """Return a trainer; `options` have the model."""
        return steps.make_trainer(
            self.training,
            encoded,
            distillation=self.distillation,
            processing_class=tokenizer,
            data_collator=RnnCollator(tokenizer.pad_token_id, tokenizer.padding_side),
            compute_metrics=self.compute_metrics,
            preprocess_logits_for_metrics=self.shrink_logits,
            **options,
        )

    def _fill_defaults(self, splits: Splits) -> dict[str, Any]:
        """Let what the options leave out follow from the training rows; return it, and say so before training."""
        rows = splits.get("train")
        size = Size.of(iterate_texts(rows, self.text_column)) if isinstance(rows, Dataset) else UNKNOWN
        more = self.distillation.count_more()
        # rows for a teacher are rows to learn from, but none to hold out
        grown, width = size.grown(more), steps.foreign_width(self.model_args)
        chosen = self.defaults(grown) if width is None else fine_tuning_defaults(grown, width, self.task == "token-classification")
        defaults = {**chosen, "validation_share": validation_share(size.rows)}
        if self.training.do_train:
            logger.warning(describe(size, defaults, self.model_args, self.data, self.training))
        fill(defaults, self.data, self.training)
        return defaults

    def _complete(self, trainer: RnnTrainer, outputs: dict[str, PredictionOutput], splits: Splits) -> None:
        """Add what `complete_metrics` returns to the metrics of predicted splits and their files."""
        for split, added in self.complete_metrics(outputs, splits).items():
            prefix = "eval" if split == "validation" else split
            outputs[split].metrics.update({f"{prefix}_{name}": value for name, value in added.items()})
            trainer.save_metrics(prefix, outputs[split].metrics)
            if trainer.is_world_process_zero():
                print(line_of({f"{prefix}_{name}": value for name, value in added.items()}))

    def _say_what_went_wrong(self, trainer: RnnTrainer, validation: PredictionOutput | None) -> None:
        predictions, references = ([], []) if validation is None else self.class_ids(validation)
        rows = 0 if validation is None else len(trainer.eval_dataset)
        for line in diagnose(trainer.state.log_history, predictions, references, rows):
            logger.warning(line)

    def _write_files(self, folder: Path, trainer: RnnTrainer, outputs: dict[str, PredictionOutput], splits: Splits) -> None:
        """Write the curves, and what there is to say of the last split that was predicted: the test split if there was one."""
        if trainer.state.log_history:
            with steps.optional("The curves"):
                plot_curves(trainer.state.log_history, folder / "curves.png", self.metric[0])
        if outputs:
            split, output = list(outputs.items())[-1]
            self.write_results(folder, split, output, splits[split])

    def _add_teacher(self, splits: Splits) -> Splits:
        """Add a teacher's answers to the training rows, and rows for it to answer, if there is one."""
        columns = self.text_column, self.label_column
        dtype = torch.bfloat16 if self.training.bf16 else torch.float16 if self.training.fp16 else torch.float32
        words_from = self.model_args.embeddings_from
        return add_teacher(splits, self.distillation, *columns, self.labels, self.names.get("train"), self.training.seed, dtype, words_from)

    def prepare(self, splits: Splits) -> Splits:
        """Return the rows in the form that the other steps expect: as they are."""
        return splits

    @abstractmethod
    def defaults(self, size: Size) -> dict[str, Any]:
        """Return what the options are when they are left out."""

    @abstractmethod
    def choose_columns(self, splits: Splits, first: str) -> None:
        """Set `text_column` and `label_column` from the options, or from what a split of raw rows has."""

    @property
    @abstractmethod
    def stratify_by(self) -> str | None:
        """Return the column by whose labels validation rows are drawn, if there is one."""

    @abstractmethod
    def choose_labels(self, splits: Splits) -> None:
        """Set `labels`: those of the checkpoint if the run does not train, else those of the data."""

    @property
    @abstractmethod
    def metric(self) -> tuple[str, bool]:
        """Return the metric that chooses the best epoch, and whether more of it is better."""

    @property
    @abstractmethod
    def metric_names(self) -> list[str]:
        """Return the names of all metrics that `compute_metrics` gives."""

    @property
    @abstractmethod
    def max_length(self) -> int:
        """Return the number of tokens to which the tokenizer truncates."""

    @property
    def model_options(self) -> ModelArguments:
        """Return what tokenizer and model are made by: the options as they are."""
        return self.model_args

    def make_tokenizer(self, splits: Splits, defaults: dict[str, Any]) -> PreTrainedTokenizerBase:
        """Load the tokenizer that the options name, or train one on the training rows."""
        texts = iterate_texts(splits["train"], self.text_column) if "train" in splits else None
        return steps.get_tokenizer(self.model_options, texts, defaults, self.max_length)

    @abstractmethod
    def encode(self, splits: Splits, tokenizer: PreTrainedTokenizerBase) -> Splits:
        """Turn raw rows into `input_ids` and `labels`."""

    def build_model(self, tokenizer: PreTrainedTokenizerBase, rows: Any, encoded: Any, defaults: dict[str, Any]) -> PreTrainedModel:
        """Load the model that the options name, or build one; `rows` and `encoded` are the training rows, if there are any."""
        return steps.build_model(self.auto_class, self.model_options, tokenizer, self.labels, defaults, encoded, self.config_fields)

    @property
    def config_fields(self) -> dict[str, Any]:
        """Return fields of the config that follow from the data."""
        return {}

    # a function of logits and labels that keeps less than all logits in memory
    shrink_logits: ClassVar[Any] = None

    def wide_fit(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, size: int) -> LinearFit | None:
        """Take away the linear model that a checkpoint came with, and return what makes one for these rows, if anything does."""
        has_teacher = bool(self.distillation.teacher_name_or_path)
        if self.model_args.wide_size is not None:
            size = self.model_args.wide_size
        elif has_teacher:
            size = features_beside(size, model.config.num_labels)
        if not isinstance(model, (RnnForSequenceClassification, RnnForTokenClassification)):
            return None
        model.set_wide_path(None)
        if not size:
            return None
        if isinstance(model, RnnForTokenClassification):
            return TaggerFit(model, tokenizer, size)
        return WideFit(model, tokenizer, size, TAUGHT if has_teacher else FROM_LABELS)

    @abstractmethod
    def compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return metrics from predictions and labels."""

    def complete_metrics(self, outputs: dict[str, PredictionOutput], splits: Splits) -> dict[str, dict[str, float]]:
        """Return, for each predicted split, metrics that need the rows beside predictions and labels."""
        return {}

    @abstractmethod
    def class_ids(self, output: PredictionOutput) -> tuple[list[int], list[int]]:
        """Return the class ids that were answered, of rows or words, and the right ones; nothing where there is not one class each."""

    @abstractmethod
    def write_results(self, folder: Path, split: str, output: PredictionOutput, rows: Any) -> None:
        """Write predictions in data-set order, the per-label report and the confusion matrix."""


def _add_unseen(trainer: RnnTrainer, outputs: dict[str, PredictionOutput], splits: Splits, column: str, metric: str) -> None:
    """Where rows of a predicted split are also in the training split, add the metric of the others, and their number, as `unseen_...`."""
    if not outputs or not isinstance(splits.get("train"), Dataset):
        return
    known = {_key(cell) for cell in iterate_cells(splits["train"], column)}
    for split, output in outputs.items():
        unseen = np.array([_key(cell) not in known for cell in iterate_cells(splits[split], column)], dtype=bool)
        if output.label_ids is None or output.metrics is None or unseen.all() or not unseen.any():
            continue
        prefix = "eval" if split == "validation" else split
        predictions, references = (_take(values, unseen) for values in (output.predictions, output.label_ids))
        score = trainer.compute_metrics(EvalPrediction(predictions, references))[metric]
        output.metrics.update({f"{prefix}_unseen_{metric}": float(score), f"{prefix}_unseen_samples": int(unseen.sum())})
        trainer.save_metrics(prefix, output.metrics)
        seen = f"{len(unseen) - unseen.sum()} of {len(unseen)} {split} rows are also in the training split"
        logger.warning(f"{seen}; on the others {metric} is {score:.4f}.")


def _key(cell: Any) -> Any:
    return tuple(cell) if isinstance(cell, list) else cell


def _take(values: Any, rows: np.ndarray) -> Any:
    """Return some rows of an array, or of each of several."""
    return tuple(part[rows] for part in values) if isinstance(values, tuple) else values[rows]
