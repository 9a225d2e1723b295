"""From rows to a trained model: what the training commands and `hf_rnn.train` do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict
from transformers import EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from ..arguments import CardArguments, DataArguments, LabelledTrainingArguments, ModelArguments
from ..data.files.locations import Places
from ..data.rows.collator import RnnCollator
from ..data.rows.label_columns import say_labels
from ..data.rows.splits import AnyDataset, Splits, iterate_cells, load_splits
from ..evaluation.calibration import measure_calibration, reliability
from ..inference.predictor import Predictor
from ..linear.choice import choose_linear_fit
from ..options import make_options
from ..reports.diagnosis import diagnose
from ..reports.plots import plot_curves, plot_reliability
from ..reports.writing import optional, write_report
from ..tasks.defaults import features_beside
from ..tasks.registry import TASKS, find_task
from ..tasks.task import Task, TaskOptions
from .building import build_task_model, make_tokenizer
from .checkpoints import resume_point
from .classes import tell_rare, usual_metric
from .filling import fill_defaults
from .finishing import choose_example, finish
from .folding import train_folds
from .going_on import check_replay, labels_without_rows, mix_replay
from .outputs import writing_to
from .outside import asked_share, check_outside, find_outside, read_examples
from .progress import line_of
from .promising import check_promise, keep, promise
from .provenance import describe_data
from .rows import VALIDATION_NAMES, add_validation, files_of, is_export, load_task_splits
from .running import choose_metric, make_trainer, run, set_up
from .trainer import RnnTrainer
from .weights import add_weights, check_weights, class_weights

logger = logging.get_logger(__name__)

PREFIXES = {"validation": "eval"}
# the groups of options of whatever learns from labelled rows
LABELLED_GROUPS = (DataArguments, ModelArguments, LabelledTrainingArguments, CardArguments)


class Teacher(Protocol):
    """What answers rows beside their labels; see `distillation.teaching`."""

    @property
    def names(self) -> list[str]:
        """Return the folders and files that it reads."""

    @property
    def trainer_class(self) -> type[RnnTrainer]:
        """Return the trainer that learns its answers."""

    @property
    def trainer_options(self) -> Mapping[str, Any]:
        """Return the options of that trainer beside those of `RnnTrainer`."""

    def count_more(self) -> int:
        """Return the number of rows that it answers beside the training rows."""

    def add_answers(self, splits: Splits, task: Task, training: LabelledTrainingArguments) -> Splits:
        """Return the splits with its rows and its answers."""

    def describe(self) -> list[str]:
        """Return lines of a card."""


@dataclass(frozen=True)
class TaskRows:
    """Rows that were read, and what is known of them before anything is encoded.

    Attributes:
        task (`Task`): What they pose.
        splits: The raw rows.
        defaults (`dict`): What options are that were left out.
        given (`frozenset`): The splits that the data has by itself.
        lacking (`tuple`): Labels that a model to go on from knows, and that no training row has.
    """

    task: Task
    splits: Splits
    defaults: dict[str, Any]
    given: frozenset[str]
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingResult:
    """What a run has made.

    Attributes:
        metrics (`dict`): Scores, by names such as `eval_accuracy` and `test_f1`.
        folder (`Path`): The checkpoint, with its card, curves and reports.
        model (`PreTrainedModel`): The trained model.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        task (`Task`): What was learnt.
    """

    metrics: dict[str, float]
    folder: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    task: Task

    @cached_property
    def predictor(self) -> Predictor:
        """Return what answers texts with the model."""
        return Predictor(self.model.eval(), self.tokenizer)


def train_task(
    name: str, options: TaskOptions, card: CardArguments | None = None, given: Splits | None = None, teacher: Teacher | None = None
) -> TrainingResult:
    """Train, evaluate and predict as the options say, and write all that a run leaves.

    Args:
        name (`str`): "text-classification" or "token-classification".
        options (`TaskOptions`): What is asked for.
        card (`CardArguments`, *optional*): What the card says beside what the run knows.
        given (`DatasetDict`, *optional*): Rows in memory, in place of files.
        teacher (`Teacher`, *optional*): Answers rows too.

    With `folds` models of all folds but one are trained first, for their scores and answers, then one of all rows.

    Raises:
        ValueError: Options or rows are wrong.
    """
    measured = train_folds(train_once, name, options, given) if getattr(options.training, "folds", None) else {}
    result = train_once(name, options, card, given, teacher)
    return replace(result, metrics={**measured, **result.metrics})


def train_once(
    name: str, options: TaskOptions, card: CardArguments | None = None, given: Splits | None = None, teacher: Teacher | None = None
) -> TrainingResult:
    """Train one model; see `train_task`."""
    data, training = options.data, options.training
    files = {"train": data.train_file, "validation": data.validation_file, "test": data.test_file, "replay": data.replay_file}
    set_up(training, options.model, *files.values(), data.outside_file, *(teacher.names if teacher else ()))
    places = Places(files, data.reading)
    with writing_to(training.output_dir), places.named():
        rows = read_rows(name, options, places, given, teacher)
        check_promise(rows.task, training)
        check_outside(rows.task, options)
        check_weights(rows.task, options)
        share, examples = asked_share(options), read_examples(data.outside_file, options, rows.task.columns.text)
        # what is wrong with files and options is said before an earlier run in the folder is
        resume = resume_point(training) if training.do_train else None
        splits, encoded, tokenizer = encode_rows(rows, options, teacher, resume)
        task, defaults = rows.task, rows.defaults
        encoded = add_weights(task, splits, encoded, options)
        model = build_task_model(task, options, tokenizer, defaults, splits.get("train"), encoded.get("train"))
        trainer = make_task_trainer(task, training, encoded, tokenizer, teacher, model=model)
        linear = None
        if training.do_train:
            size = features_beside(defaults["linear_size"], model.config.num_labels) if teacher else defaults["linear_size"]
            asked, adjustment = options.model.linear_size, getattr(training, "logit_adjustment", None)
            if adjustment is None and class_weights(options) is not None:
                # rare classes are favoured once
                adjustment = 0.0
            linear = choose_linear_fit(
                model, tokenizer, asked, size, options.knows_more, bool(rows.lacking), adjustment, options.has_teacher
            )
        # what is promised by validation rows is void once a part of the model has learnt from them
        is_free = "validation" not in rows.given and training.promise is None and share is None
        outputs = run(trainer, training, encoded, resume, linear, is_carved=is_free)
        _add_metrics(trainer, task, outputs, splits, encoded)
        inside = {} if share is None else find_outside(trainer, task, tokenizer, encoded, examples, share)
        if training.promise is not None:
            _promise(trainer, task, training.promise, tokenizer, outputs, splits, inside)
        _write_files(trainer, task, outputs, splits, encoded)
        example = choose_example(iterate_cells(splits[list(splits)[-1]], task.columns.text))
        described = describe_data(data, teacher.describe() if teacher else [])
        source = options.model.embeddings_from
        finish(trainer, card or CardArguments(), example, described, outputs, task=task.name, metric=task.metric[0], vectors_from=source)
        if training.do_train and trainer.is_world_process_zero():
            _say_what_went_wrong(trainer, task, outputs.get("validation"))
            tell_rare(task, splits, outputs[list(outputs)[-1]] if outputs else None)
    metrics = {name: value for output in outputs.values() for name, value in (output.metrics or {}).items()}
    return TrainingResult(metrics, Path(training.output_dir), trainer.model, tokenizer, task)


def train(
    task: str = "text-classification",
    *,
    train: Any,
    validation: Any = None,
    test: Any = None,
    replay: Any = None,
    teacher: Teacher | None = None,
    **options: Any,
) -> TrainingResult:
    """Train a classifier or a tagger on labelled rows, evaluate it, and leave a checkpoint with card, curves and reports.

    Args:
        task (`str`): "text-classification", or "token-classification" for tags of tokens and for spans of raw text.
        train (`Any`): Labelled rows: a file name, a `Dataset`, a `DatasetDict` (its other splits count too), a `DataFrame`, or a list of
            dictionaries, or a dictionary of such splits.
        validation (`Any`, *optional*): Rows to choose the best epoch by; carved from the training rows by default.
        test (`Any`, *optional*): Rows to predict at the end.
        replay (`Any`, *optional*): Rows that the model to go on from has learnt, to be learnt again beside the new ones.
        teacher (`Teacher`, *optional*): Answers rows too; see `hf_rnn.distill`.
        options: Options of `hf-rnn text-classification` and `hf-rnn token-classification` by their names, such as `output_dir`,
            `num_train_epochs`, `label_column_name`.

    Raises:
        ValueError: There is no such task or option, or rows or values are wrong.
    """
    are_splits = isinstance(train, Mapping) and "train" in train and not train.keys() - {"train", *VALIDATION_NAMES, "test"}
    given_splits: Mapping[str, Any] = train if isinstance(train, (DatasetDict, IterableDatasetDict)) or are_splits else {"train": train}
    # what is named stands before what a dictionary of splits holds
    named = {"validation": validation, "test": test, "replay": replay if replay is not None else options.pop("replay_file", None)}
    rows = {**given_splits, **{name: value for name, value in named.items() if value is not None}}
    rows = {split: str(value) if isinstance(value, PathLike) else value for split, value in rows.items()}
    sets = {split: value for split, value in rows.items() if isinstance(value, (Dataset, IterableDataset)) and not is_export(value)}
    asked = {"do_train": True, "do_eval": True, "do_predict": "test" in rows, **options}
    asked |= {f"{split}_file": value for split, value in rows.items() if isinstance(value, str)}
    if task in TASKS and (unused := sorted(asked.keys() & TASKS[task].without.keys())):
        raise ValueError(f"`{unused[0]}` means nothing to {task}. {TASKS[task].without[unused[0]]}")
    data, model, training, card = make_options(LABELLED_GROUPS, asked)
    given: Splits | None = None
    if not all(isinstance(value, str) for value in rows.values()):
        with files_of({split: value for split, value in rows.items() if split not in sets}) as files:
            paths = {name.removesuffix("_file"): path for name, path in files.items()}
            sets |= load_splits(files=paths, reading=data.reading) if paths else {}
        is_stream = any(isinstance(value, IterableDataset) for value in sets.values())
        given = IterableDatasetDict(sets) if is_stream else DatasetDict(sets)
    return train_task(task, TaskOptions(data, model, training, teacher is not None), card, given, teacher)


def read_rows(name: str, options: TaskOptions, places: Places, given: Splits | None = None, teacher: Teacher | None = None) -> TaskRows:
    """Read the splits that a run needs, hold validation rows out, and find out what they pose; see `train_task`.

    Options that were left out have their values after it, the metric that chooses the best epoch among them.
    """
    data, training = options.data, options.training
    check_replay(options, given)
    splits = load_task_splits(data, training, given)
    kind = find_task(name, splits, options)
    splits = kind.prepare(splits, options)
    columns = kind.choose_columns(splits, data)
    splits = mix_replay(kind.read_labels(splits, columns, options, places), columns)
    defaults = fill_defaults(kind, splits.get("train"), columns, options, teacher.count_more() if teacher else 0)
    own = frozenset(splits)
    splits = add_validation(splits, kind.drawn_by(columns, data), data, training, places)
    task = kind.of_rows(splits, columns, options)
    for column in kind.drawn_by(columns, data) if training.do_train else ():
        say_labels(splits, column, kind.counted if column == columns.labels else "rows")
    choose_metric(training, *(usual_metric(task, splits) if training.do_train else task.metric), task.metric_names)
    if task.label_columns:
        training.label_names = task.label_columns
    return TaskRows(task, splits, defaults, own, tuple(labels_without_rows(task, splits, options)))


def encode_rows(
    rows: TaskRows, options: TaskOptions, teacher: Teacher | None = None, resume: str | None = None
) -> tuple[Splits, Splits, PreTrainedTokenizerBase]:
    """Return the splits with what a teacher adds, the same encoded, and the tokenizer, that of the checkpoint to resume from if any."""
    task, splits = rows.task, rows.splits

    def taught(splits: Splits) -> Splits:
        return splits if teacher is None else teacher.add_answers(splits, task, options.training)

    # what a teacher adds is no text to train a tokenizer on, but what to cut one for
    if options.model.embeddings_from:
        splits = taught(splits)
        tokenizer = make_tokenizer(task, splits.get("train"), options, rows.defaults, resume)
    else:
        tokenizer = make_tokenizer(task, splits.get("train"), options, rows.defaults, resume)
        splits = taught(splits)
    return splits, task.encode(splits, tokenizer, options.data.preprocessing_num_workers), tokenizer


def make_task_trainer(
    task: Task,
    training: LabelledTrainingArguments,
    encoded: Splits,
    tokenizer: PreTrainedTokenizerBase,
    teacher: Teacher | None = None,
    **options: Any,
) -> RnnTrainer:
    """Return a trainer; `options` have the model."""
    taught = {} if teacher is None else {"kind": teacher.trainer_class, **teacher.trainer_options}
    return make_trainer(
        training,
        encoded,
        processing_class=tokenizer,
        data_collator=RnnCollator(tokenizer.pad_token_id, tokenizer.padding_side, has_tags=task.has_tags),
        compute_metrics=task.score,
        preprocess_logits_for_metrics=task.shrink_logits,
        **{**taught, **options},
    )


def _add_metrics(trainer: RnnTrainer, task: Task, outputs: dict[str, PredictionOutput], splits: Splits, encoded: Splits) -> None:
    """Add the scores that need rows, and those of rows that are not in the training split, to metrics and their files."""
    train = splits.get("train")
    known = {_key(cell) for cell in iterate_cells(train, task.columns.text)} if outputs and isinstance(train, Dataset) else set()
    for split, output in outputs.items():
        unseen = _score_unseen(trainer, task, output, splits[split], split, known)
        added = task.score_rows(output, splits[split], encoded[split]) | measure_calibration(task.scored(output, splits[split]))
        prefix = PREFIXES.get(split, split)
        if (unseen or added) and output.metrics is not None:
            _save_more(trainer, output.metrics, prefix, unseen, is_told=False)
            _save_more(trainer, output.metrics, prefix, added)


def _save_more(trainer: RnnTrainer, metrics: dict[str, float], prefix: str, added: dict[str, float], is_told: bool = True) -> None:
    """Add scores to the metrics of a split and to its file, and tell them."""
    named = {f"{prefix}_{name}": value for name, value in added.items()}
    metrics.update(named)
    trainer.save_metrics(prefix, metrics)
    if named and is_told and trainer.is_world_process_zero():
        print(line_of(named))


def _promise(
    trainer: RnnTrainer,
    task: Task,
    precision: float,
    tokenizer: PreTrainedTokenizerBase,
    outputs: dict[str, PredictionOutput],
    splits: Splits,
    inside: Mapping[str, np.ndarray],
) -> None:
    """Find on validation rows what can be promised, and tell how it is kept on the test rows, if there are any."""
    answer = Predictor(trainer.model.eval(), tokenizer, threshold=0.0).predict
    scored = {split: task.scored(output, splits[split], answer) for split, output in outputs.items()}
    for split in inside.keys() & scored.keys():
        # what is taken for outside has no answer, whatever its score
        scored[split] = scored[split].given(inside[split])
    promised = promise(trainer, precision, scored["validation"], "spans" if task.has_tags else "rows")
    if promised is not None and "test" in scored and len(scored["test"].scores):
        _save_more(trainer, outputs["test"].metrics or {}, "test", keep(promised, scored["test"]))


def _score_unseen(
    trainer: RnnTrainer, task: Task, output: PredictionOutput, rows: AnyDataset, split: str, known: set[Any]
) -> dict[str, float]:
    """Where some rows are also in the training split, return the metric of the others, and their number."""
    if not known or output.label_ids is None or output.metrics is None:
        return {}
    unseen = np.array([_key(cell) not in known for cell in iterate_cells(rows, task.columns.text)], dtype=bool)
    if unseen.all() or not unseen.any():
        return {}
    predictions, references = (_take(values, unseen) for values in (output.predictions, output.label_ids))
    metric = task.metric[0]
    score = float(trainer.compute_metrics(EvalPrediction(predictions, references))[metric])
    seen = f"{len(unseen) - unseen.sum()} of {len(unseen)} {split} rows are also in the training split"
    logger.warning(f"{seen}; on the others {metric} is {score:.4f}.")
    return {f"unseen_{metric}": score, "unseen_samples": int(unseen.sum())}


def _key(cell: Any) -> Any:
    return tuple(cell) if isinstance(cell, list) else cell


def _take(values: Any, rows: np.ndarray) -> Any:
    """Return some rows of an array, or of each of several."""
    return tuple(part[rows] for part in values) if isinstance(values, tuple) else values[rows]


def _write_files(trainer: RnnTrainer, task: Task, outputs: dict[str, PredictionOutput], splits: Splits, encoded: Splits) -> None:
    """Write the curves, and what there is to say of the last split that was predicted: the test split if there was one."""
    if not trainer.is_world_process_zero():
        return
    folder = Path(trainer.args.output_dir)
    if trainer.state.log_history:
        with optional("The curves"):
            plot_curves(trainer.state.log_history, folder / "curves.png", task.metric[0])
    if outputs:
        split, output = list(outputs.items())[-1]
        scored = task.scored(output, splits[split])
        if len(scored.scores):
            with optional("The reliability diagram"):
                plot_reliability(*reliability(scored), folder / "reliability.png", split)
        write_report(task.report(output, splits[split], encoded[split]), folder, split)


def _say_what_went_wrong(trainer: RnnTrainer, task: Task, validation: PredictionOutput | None) -> None:
    predictions, references = ([], []) if validation is None else task.class_ids(validation)
    rows = 0 if validation is None else len(trainer.eval_dataset)
    for line in diagnose(trainer.state.log_history, predictions, references, rows):
        logger.warning(line)
