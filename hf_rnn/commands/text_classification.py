"""Train, evaluate and apply a text classifier.

Example:
    hf-rnn text-classification --train_file reviews.csv --do_train --do_eval --output_dir outputs/reviews
"""

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import evaluate
import numpy as np
from scipy.special import expit, softmax
from sklearn.metrics import classification_report
from transformers import AutoModelForSequenceClassification, EvalPrediction, PreTrainedTokenizerBase
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from ..data.files.cells import as_number, place
from ..data.files.readers import DataError
from ..data.rows.encoding import drop_truncated, encode_texts, map_splits
from ..data.rows.labels import collect_labels, feature_names
from ..data.rows.splits import LABEL_COLUMNS, TEXT_COLUMNS, Splits, choose_column, iterate_cells
from ..reports.plots import plot_confusion_matrix
from ..tasks.metrics import ClassificationMetric, MultiLabelMetric, RegressionMetric, load_metric
from ..training.defaults import Size, classifier_defaults, student_defaults
from . import steps
from .labelled import LabelledTask

logger = logging.get_logger(__name__)

# metric class, its name for the best epoch, and whether more of it is better
METRICS: dict[str, tuple[type[evaluate.Metric], str, bool]] = {
    "single_label_classification": (ClassificationMetric, "accuracy", True),
    "multi_label_classification": (MultiLabelMetric, "f1_micro", True),
    "regression": (RegressionMetric, "mse", False),
}


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run the command; return the metrics of all splits."""
    return make_task(argv, __doc__).run()


def make_task(argv: list[str] | None, description: str | None, *more: type) -> "TextClassification":
    """Return what the options ask for; see `LabelledTask`."""
    return TextClassification(argv, description, *more)


class TextClassification(LabelledTask):
    """Classes, several labels at once, or regression, by `--problem_type`."""

    task = "text-classification"
    auto_class = AutoModelForSequenceClassification
    unused: ClassVar[dict[str, str]] = {
        "use_crf": "A CRF tags words: leave --use_crf out, or run hf-rnn token-classification.",
        "crf_constraints": "A CRF tags words: leave --crf_constraints out, or run hf-rnn token-classification.",
        "intent_column_name": "Pass --label_column_name.",
    }

    def __init__(self, argv: list[str] | None, description: str | None, *more: type) -> None:
        super().__init__(argv, description, *more)
        self.problem = self.data.problem_type or "single_label_classification"
        if self.problem not in METRICS:
            raise ValueError(f"`problem_type` must be one of {tuple(METRICS)}, got {self.problem!r}. Pass --problem_type.")

    def defaults(self, size: Size) -> dict[str, Any]:
        """Return those of a classifier; what goes on from a checkpoint, or other problems, has no linear model."""
        has_teacher = bool(self.distillation.teacher_name_or_path)
        chosen = student_defaults(size, is_tagger=False) if has_teacher else classifier_defaults(size)
        is_other = self.problem != "single_label_classification"
        return {**chosen, "wide_size": 0} if self.model_args.model_name_or_path or is_other or self.data.streaming else chosen

    def choose_columns(self, splits: Splits, first: str) -> None:
        """Set both columns; a test split alone may lack labels."""
        self.text_column = choose_column(splits[first], first, self.data.text_column_name, TEXT_COLUMNS, "text_column_name")
        if first == "test" and self.data.label_column_name is None:
            present = [name for name in LABEL_COLUMNS if name in (splits[first].column_names or [])]
            self.label_column = (present or LABEL_COLUMNS)[0]
        else:
            self.label_column = choose_column(splits[first], first, self.data.label_column_name, LABEL_COLUMNS, "label_column_name")

    @property
    def stratify_by(self) -> str | None:
        """Return the column of classes, if every row has one."""
        return self.label_column if self.problem == "single_label_classification" else None

    def choose_labels(self, splits: Splits) -> None:
        """Set `labels`; a regression has the name of its column."""
        self.names = {split: feature_names(splits[split], self.label_column) for split in splits}
        known = steps.known_labels(self.model_args)
        if self.problem == "regression":
            self.labels = [self.label_column]
            for split, rows in splits.items():
                # those of a stream are seen when they are encoded
                for row, cell in enumerate(rows[self.label_column] if self.label_column in (rows.column_names or ()) else ()):
                    as_number(cell, place(split, row, self.label_column))
        elif known is not None and not self.training.do_train:
            self.labels = known
        else:
            column = self.label_column
            labelled = type(splits)({split: rows for split, rows in splits.items() if column in (rows.column_names or [column])})
            if not labelled:
                raise DataError(f"No split has the label column {column!r}. Pass --label_column_name.")
            self.labels = steps.keep_order(known, collect_labels(labelled, column, self.names, self.data.unknown_labels == "wrong"))
            fewest = 1 if self.problem == "multi_label_classification" else 2
            if len(self.labels) < fewest:
                raise DataError(f"Column {column!r} must hold at least {fewest} labels, got {self.labels}. Is it the --label_column_name?")

    @property
    def metric(self) -> tuple[str, bool]:
        """Return the metric of the problem type."""
        return METRICS[self.problem][1:]

    @property
    def metric_names(self) -> list[str]:
        """Return what the metric of the problem type gives for one row."""
        row = {"multi_label_classification": [0, 1], "regression": 0.0}.get(self.problem, 0)
        return list(self._scorer.compute(predictions=[row], references=[row]))

    @property
    def max_length(self) -> int:
        """Return the number of tokens of a text that are read."""
        return self.data.max_length or 256

    @property
    def config_fields(self) -> dict[str, Any]:
        """Return the problem type."""
        return {"problem_type": self.problem}

    def encode(self, splits: Splits, tokenizer: PreTrainedTokenizerBase) -> Splits:
        """Tokenise texts; say how many were truncated."""
        encoded = map_splits(
            splits,
            encode_texts,
            self.names,
            self.data.preprocessing_num_workers,
            tokenizer=tokenizer,
            text_column=self.text_column,
            label_column=self.label_column,
            problem_type=self.problem,
            label2id={label: index for index, label in enumerate(self.labels)},
            max_length=self.max_length,
        )
        encoded, truncated = drop_truncated(encoded)
        if self.data.streaming:
            logger.warning(f"Rows of a stream are truncated to {self.max_length} tokens without being counted.")
        for split, (count, total) in truncated.items():
            if count:
                share = f"{count} of {total} {split} rows ({100 * count / total:.2f}%)"
                logger.warning(f"{share} are longer than {self.max_length} tokens and are truncated.")
        return encoded

    @cached_property
    def _scorer(self) -> evaluate.Metric:
        return load_metric(METRICS[self.problem][0])

    def compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return the metric of the problem type from logits (N, C) and labels."""
        return self._scorer.compute(predictions=decide(prediction.predictions, self.problem), references=prediction.label_ids)

    def class_ids(self, output: PredictionOutput) -> tuple[list[int], list[int]]:
        """Return the classes of rows with one class."""
        if self.problem != "single_label_classification" or output.label_ids is None:
            return [], []
        return decide(output.predictions, self.problem).tolist(), output.label_ids.tolist()

    def write_results(self, folder: Path, split: str, output: PredictionOutput, rows: Any) -> None:
        """Write predictions in data-set order, the per-label report and the confusion matrix."""
        answers = decide(output.predictions, self.problem)
        references = [None] * len(answers) if output.label_ids is None else output.label_ids.tolist()
        texts = iterate_cells(rows, self.text_column)
        written = (
            {"index": index, "text": text, "label": self._names(label), **self._answer(answer, logits)}
            for index, (text, label, answer, logits) in enumerate(zip(texts, references, answers, output.predictions, strict=True))
        )
        steps.write_jsonl(folder / "predictions.jsonl", written)
        if output.label_ids is None or self.problem == "regression":
            return
        ids = list(range(len(self.labels)))
        with steps.optional("The report"):
            report = classification_report(output.label_ids, answers, labels=ids, target_names=self.labels, digits=4, zero_division=0)
            (folder / "report.txt").write_text(f"{split}\n\n{report}", encoding="utf-8")
        if self.problem == "single_label_classification":
            with steps.optional("The confusion matrix"):
                plot_confusion_matrix(output.label_ids, answers, self.labels, folder / "confusion_matrix.png")

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


def decide(logits: np.ndarray, problem: str) -> np.ndarray:
    """Turn logits (N, C) into answers: class ids (N,), 0 and 1 (N, C), or numbers (N,)."""
    if problem == "regression":
        return logits[:, 0]
    return (logits > 0).astype(np.int64) if problem == "multi_label_classification" else logits.argmax(-1)
