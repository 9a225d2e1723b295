"""Classes, several labels at once, or a number, of whole texts."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

import evaluate
import numpy as np
from scipy.special import expit, softmax
from transformers import AutoModelForSequenceClassification, EvalPrediction, PreTrainedTokenizerBase
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from ..arguments import DataArguments
from ..data.files.cells import as_number, place
from ..data.files.locations import Places
from ..data.files.readers import DataError
from ..data.files.rows import TEXT_COLUMNS
from ..data.rows.collator import SHARES
from ..data.rows.encoding import drop_truncated, encode_texts, map_splits
from ..data.rows.label_columns import JOINED, read_labels
from ..data.rows.labels import collect_labels, feature_names, order_labels
from ..data.rows.shares import read_shares, shared_labels
from ..data.rows.splits import LABEL_COLUMNS, AnyDataset, Splits, check_columns, choose_column, column_names, iterate_cells
from .defaults import Size, classifier_defaults, student_defaults
from .metrics import ClassificationMetric, MultiLabelMetric, RegressionMetric, load_metric
from .report import NO_ANSWERS, Answered, Confusion, Report, ScoredAnswers, class_table
from .task import Answering, Columns, Task, TaskOptions, keep_labels, known_labels

logger = logging.get_logger(__name__)

# metric class, its name for the best epoch, and whether more of it is better
METRICS: dict[str, tuple[type[evaluate.Metric], str, bool]] = {
    "single_label_classification": (ClassificationMetric, "accuracy", True),
    "multi_label_classification": (MultiLabelMetric, "f1_micro", True),
    "regression": (RegressionMetric, "mse", False),
}
# pieces of a text that are read
MAX_LENGTH = 256


@dataclass(frozen=True)
class TextClassification(Task):
    """Classes, several labels at once, or regression.

    Args:
        problem (`str`): A `problem_type` of transformers.
    """

    name = "text-classification"
    auto_class = AutoModelForSequenceClassification
    has_tags = False
    without: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("use_crf", "crf_constraints"), "A CRF tags words: run hf-rnn token-classification."),
        "lookahead": "It is of taggers: run hf-rnn token-classification.",
        **dict.fromkeys(("from_text", "overlapping_spans", "sentence_column_name"), "Texts are read as they are."),
        "intent_column_name": "Pass --label_column_name.",
    }

    problem: str = "single_label_classification"

    @classmethod
    def defaults(cls, size: Size, options: TaskOptions) -> dict[str, Any]:
        """Return those of a classifier; what goes on from one, or learns from a stream, has no linear model."""
        is_alone = options.data.streaming or not options.has_new_head or options.model.linear_size == 0
        return student_defaults(size, is_tagger=False, is_alone=is_alone) if options.has_teacher else classifier_defaults(size, is_alone)

    @classmethod
    def choose_columns(cls, splits: Splits, data: DataArguments) -> Columns:
        """Return both columns; a test split alone may lack labels."""
        first = "train" if "train" in splits else next(iter(splits))
        text = choose_column(splits[first], first, data.text_column_name, TEXT_COLUMNS, "text_column_name")
        check_columns(splits, first, text, "text_column_name")
        if data.label_columns:
            return Columns(text, JOINED)
        if first == "test" and data.label_column_name is None:
            present = [name for name in LABEL_COLUMNS if name in (splits[first].column_names or [])]
            return Columns(text, (present or LABEL_COLUMNS)[0])
        labels = choose_column(splits[first], first, data.label_column_name, LABEL_COLUMNS, "label_column_name")
        # of a test split without labels no other column is called as those are
        needed = {split: rows for split, rows in splits.items() if split != "test" or {*LABEL_COLUMNS} & {*column_names(rows)}}
        check_columns(type(splits)(needed), first, labels, "label_column_name")
        return Columns(text, labels)

    @classmethod
    def read_labels(cls, splits: Splits, columns: Columns, options: TaskOptions, places: Places) -> Splits:
        """Return the splits with names of labels, or lists of them, however cells spell them."""
        column = None if options.data.label_columns else columns.labels
        if column is not None and problem_of(options.data) == "single_label_classification":
            splits = read_shares(splits, column)
            if options.training.label_smoothing_factor and any(SHARES in column_names(rows) for rows in splits.values()):
                raise ValueError("`label_smoothing_factor` smooths labels, and those of the rows are soft already. Leave it out.")
        return read_labels(splits, column, problem_of(options.data), options.data.reading, known_labels(options.model), places)

    @classmethod
    def drawn_by(cls, columns: Columns, data: DataArguments) -> list[str]:
        """Return the column of labels, if rows have some."""
        return [] if problem_of(data) == "regression" else [columns.labels]

    @classmethod
    def of_rows(cls, splits: Splits, columns: Columns, options: TaskOptions) -> "TextClassification":
        """Return the task that rows pose; a regression has the name of its column for a label."""
        problem, known = problem_of(options.data), known_labels(options.model)
        if problem == "regression":
            _check_numbers(splits, columns.labels)
            labels: tuple[str, ...] = (columns.labels,)
        elif known is not None and not options.training.do_train:
            labels = tuple(known)
        else:
            labels = keep_labels(known, _collect(splits, columns.labels, options.data, known or ()))
            fewest = 1 if problem == "multi_label_classification" else 2
            if len(labels) < fewest:
                raise DataError(
                    f"Column {columns.labels!r} must hold at least {fewest} labels, got {list(labels)}. Is it the --label_column_name?"
                )
        return cls(labels, columns, options.data.max_length or MAX_LENGTH, problem)

    @property
    def metric(self) -> tuple[str, bool]:
        """Return the metric of the problem type."""
        return METRICS[self.problem][1:]

    @property
    def metric_names(self) -> list[str]:
        """Return what the metric of the problem type gives for one row."""
        row = {"multi_label_classification": [0, 1], "regression": 0.0}.get(self.problem, 0)
        return list(self._scorer().compute(predictions=[row], references=[row]))

    def config_fields(self, options: TaskOptions) -> dict[str, Any]:
        """Return labels, columns, the problem type, and what answers make of long texts if that is chosen."""
        chosen = {} if options.data.long_texts is None else {"long_texts": options.data.long_texts}
        return {**super().config_fields(options), "problem_type": self.problem, **chosen}

    def encode(self, splits: Splits, tokenizer: PreTrainedTokenizerBase, num_proc: int | None = None) -> Splits:
        """Tokenise texts; say how many were truncated."""
        encoded = map_splits(
            splits,
            encode_texts,
            {split: feature_names(rows, self.columns.labels) for split, rows in splits.items()},
            num_proc,
            tokenizer=tokenizer,
            text_column=self.columns.text,
            label_column=self.columns.labels,
            problem_type=self.problem,
            label2id=self.label2id,
            max_length=self.max_length,
        )
        encoded, truncated = drop_truncated(encoded)
        if len(truncated) < len(encoded):
            logger.warning(f"Rows of a stream are truncated to {self.max_length} tokens without being counted.")
        cut = [f"{count} of {total} {split} rows ({100 * count / total:.2f}%)" for split, (count, total) in truncated.items() if count]
        if cut:
            logger.warning(
                f"{', '.join(cut)} are longer than {self.max_length} tokens and are truncated: what is behind is neither learnt from nor "
                "measured here, whatever answers are made of. --max_length reads more of them; with --long_texts whole or windows answers "
                "come from all of a text, and hf-rnn compare --long_texts measures them."
            )
        return encoded

    def _scorer(self) -> evaluate.Metric:
        return load_metric(METRICS[self.problem][0])

    def score(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return the metric of the problem type from logits (N, C) and labels."""
        return self._scorer().compute(predictions=decide(prediction.predictions, self.problem), references=prediction.label_ids)

    @property
    def can_promise(self) -> bool:
        """Return whether rows have one label."""
        return self.problem == "single_label_classification"

    def scored(self, output: PredictionOutput, rows: AnyDataset, answer: Answering | None = None) -> ScoredAnswers:
        """Return the likeliest label of each row, or every label of every row where there are several, in their order."""
        if self.problem == "regression" or output.label_ids is None:
            return NO_ANSWERS
        if self.problem == "multi_label_classification":
            return ScoredAnswers(expit(output.predictions).ravel(), output.label_ids.ravel() > 0.5)
        return ScoredAnswers(softmax(output.predictions, -1).max(-1), output.predictions.argmax(-1) == output.label_ids)

    def class_ids(self, output: PredictionOutput) -> tuple[list[int], list[int]]:
        """Return the classes of rows with one class."""
        if self.problem != "single_label_classification" or output.label_ids is None:
            return [], []
        return decide(output.predictions, self.problem).tolist(), output.label_ids.tolist()

    def report(self, output: PredictionOutput, rows: AnyDataset, encoded: AnyDataset) -> Report:
        """Return predictions in data-set order, a table of each label, and which classes are taken for which."""
        answers = decide(output.predictions, self.problem)
        references = [None] * len(answers) if output.label_ids is None else output.label_ids.tolist()
        texts = iterate_cells(rows, self.columns.text)
        written = (
            {"index": index, "text": text, "label": self._names(label), **self._answer(answer, logits)}
            for index, (text, label, answer, logits) in enumerate(zip(texts, references, answers, output.predictions, strict=True))
        )
        if output.label_ids is None or self.problem == "regression":
            return Report(written)
        labels, ids = list(self.labels), list(range(len(self.labels)))

        def scores() -> str:
            return class_table(output.label_ids, answers, ids, labels)

        if self.problem == "multi_label_classification":
            return Report(written, scores)

        def answered() -> list[Answered]:
            named = ((labels[int(label)], labels[int(answer)]) for label, answer in zip(output.label_ids, answers, strict=True))
            likeliest = softmax(output.predictions, -1).max(-1).tolist()
            cells = (str(text) for text in iterate_cells(rows, self.columns.text))
            return [Answered(text, *pair, score) for text, pair, score in zip(cells, named, likeliest, strict=True)]

        return Report(written, scores, Confusion(output.label_ids, answers, labels), answered=answered)

    def _names(self, label: Any) -> Any:
        """Turn an answer or a reference into label names, or leave a number as it is."""
        if label is None or self.problem == "regression":
            return label
        if self.problem == "multi_label_classification":
            return [name for name, is_on in zip(self.labels, label, strict=True) if is_on]
        return self.labels[int(label)]

    def _answer(self, answer: Any, logits: np.ndarray) -> dict[str, Any]:
        if self.problem == "regression":
            return {"prediction": float(answer)}
        named = {"prediction": self._names(answer.tolist())}
        if self.problem == "multi_label_classification":
            return {**named, "scores": {label: float(score) for label, score in zip(self.labels, expit(logits), strict=True)}}
        return {**named, "score": float(softmax(logits)[answer])}


def problem_of(data: DataArguments) -> str:
    """Return the problem type that options ask for; raise a ValueError if it is none."""
    problem = data.problem_type or ("multi_label_classification" if data.label_columns else "single_label_classification")
    if problem not in METRICS:
        raise ValueError(f"`problem_type` must be one of {tuple(METRICS)}, got {problem!r}. Pass --problem_type.")
    return problem


def _collect(splits: Splits, column: str, data: DataArguments, known: Collection[str]) -> list[str]:
    """Return the labels of all splits that have the column; see `collect_labels`."""
    labelled = type(splits)({split: rows for split, rows in splits.items() if column in (rows.column_names or [column])})
    if not labelled:
        raise DataError(f"No split has the label column {column!r}. Pass --label_column_name.")
    names = {split: feature_names(rows, column) for split, rows in labelled.items()}
    found = collect_labels(labelled, column, names, data.unknown_labels == "wrong", known)
    more = shared_labels(labelled["train"]) if "train" in labelled else set()
    return order_labels({*found} | more) if more else found


def _check_numbers(splits: Splits, column: str) -> None:
    """Raise a DataError at the first cell that holds no number; those of a stream are seen when they are encoded."""
    for split, rows in splits.items():
        for row, cell in enumerate(rows[column] if column in (rows.column_names or ()) else ()):
            as_number(cell, place(split, row, column))


def decide(logits: np.ndarray, problem: str) -> np.ndarray:
    """Turn logits (N, C) into answers: class ids (N,), 0 and 1 (N, C), or numbers (N,)."""
    if problem == "regression":
        return logits[:, 0]
    return (logits > 0).astype(np.int64) if problem == "multi_label_classification" else logits.argmax(-1)
