"""Train, evaluate and apply a text classifier."""

from functools import partial
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
from scipy.special import expit, softmax
from sklearn.metrics import classification_report, confusion_matrix
from transformers import AutoModelForSequenceClassification, EvalPrediction
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from . import tasks
from .arguments import CardArguments, DataArguments, ModelArguments, RnnTrainingArguments, parse_arguments
from .collator import RnnCollator
from .data import (
    LABEL_COLUMNS,
    TEXT_COLUMNS,
    Splits,
    choose_column,
    collect_labels,
    drop_truncated,
    encode_texts,
    feature_names,
    map_splits,
)
from .distillation import DistillationArguments, add_teacher
from .metrics import ClassificationMetric, MultiLabelMetric, RegressionMetric, load_metric
from .model_card import describe_data
from .plots import plot_confusion_matrix, plot_curves
from .readers import DataError

logger = logging.get_logger(__name__)

DEFAULTS: dict[str, Any] = {
    "tokenizer_type": "unigram",
    "vocab_size": 16000,
    "max_length": 256,
    "embedding_dropout": 0.2,
    "input_dropout": 0.5,
    "hidden_dropout": 0.5,
    "classifier_dropout": 0.5,
}
# metric class, its name for the best epoch, and whether more of it is better
METRICS: dict[str, tuple[type[evaluate.Metric], str, bool]] = {
    "single_label_classification": (ClassificationMetric, "accuracy", True),
    "multi_label_classification": (MultiLabelMetric, "f1_micro", True),
    "regression": (RegressionMetric, "mse", False),
}


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run the command; return the metrics of all splits."""
    model_args, data, distillation, card, training = parse_arguments(
        argv, __doc__, ModelArguments, DataArguments, DistillationArguments, CardArguments, RnnTrainingArguments
    )
    problem = data.problem_type or "single_label_classification"
    if problem not in METRICS:
        raise ValueError(f"`problem_type` must be one of {tuple(METRICS)}, got {problem!r}. Pass --problem_type.")
    metric_class, best, greater = METRICS[problem]
    tasks.set_up(training, best, greater)
    resume = tasks.resume_point(training) if training.do_train else None
    splits = tasks.load_task_splits(data, training)
    first = "train" if "train" in splits else next(iter(splits))
    text_column = choose_column(splits[first], first, data.text_column_name, TEXT_COLUMNS, "text_column_name")
    label_column = _label_column(splits, first, data)
    splits = tasks.add_validation(splits, label_column if problem == "single_label_classification" else None, data, training)
    names = {split: feature_names(splits[split], label_column) for split in splits}
    labels = _labels(splits, label_column, names, problem, data, tasks.known_labels(model_args), training.do_train)
    max_length = data.max_length or DEFAULTS["max_length"]
    texts = tasks.iterate_texts(splits["train"], text_column) if "train" in splits else None
    tokenizer = tasks.get_tokenizer(model_args, texts, DEFAULTS, max_length)
    label2id = {label: index for index, label in enumerate(labels)}
    splits = add_teacher(splits, distillation, text_column, label_column, labels)
    encoded = map_splits(
        splits,
        encode_texts,
        names,
        data.preprocessing_num_workers,
        tokenizer=tokenizer,
        text_column=text_column,
        label_column=label_column,
        problem_type=problem,
        label2id=label2id,
        max_length=max_length,
    )
    encoded, truncated = drop_truncated(encoded)
    if data.streaming:
        logger.warning(f"Rows of a stream are truncated to {max_length} tokens without being counted.")
    for split, (count, total) in truncated.items():
        if count:
            logger.warning(
                f"{count} of {total} {split} rows ({100 * count / total:.2f}%) are longer than {max_length} tokens and are truncated."
            )
    model = tasks.build_model(
        AutoModelForSequenceClassification, model_args, tokenizer, labels, {**DEFAULTS, "problem_type": problem}, encoded.get("train")
    )
    trainer = tasks.make_trainer(
        model,
        training,
        encoded,
        distillation=distillation,
        processing_class=tokenizer,
        data_collator=RnnCollator(tokenizer.pad_token_id, tokenizer.padding_side),
        compute_metrics=partial(compute_metrics, problem=problem, metric=load_metric(metric_class)),
    )
    outputs = tasks.run(trainer, training, encoded, resume)
    tasks.add_unseen(trainer, outputs, splits, text_column, best)
    if trainer.is_world_process_zero():
        _write_results(Path(training.output_dir), trainer, outputs, splits, text_column, labels, problem, best)
    example = tasks.choose_example(tasks.iterate_cells(splits[list(splits)[-1]], text_column))
    tasks.finish(trainer, card, example, describe_data(data, distillation), outputs=outputs, task="text-classification", metric=best)
    return {name: value for output in outputs.values() for name, value in (output.metrics or {}).items()}


def _label_column(splits: Splits, first: str, data: DataArguments) -> str:
    if first == "test" and data.label_column_name is None:
        usual = [name for name in LABEL_COLUMNS if name in (splits[first].column_names or [])]
        return usual[0] if usual else LABEL_COLUMNS[0]
    return choose_column(splits[first], first, data.label_column_name, LABEL_COLUMNS, "label_column_name")


def _labels(
    splits: Splits, column: str, names: dict[str, Any], problem: str, data: DataArguments, known: list[str] | None, is_training: bool
) -> list[str]:
    """Return the label names of the model: those of the checkpoint if the run does not train, else those of the data."""
    if problem == "regression":
        return [column]
    if known is not None and not is_training:
        return known
    labelled = type(splits)({split: rows for split, rows in splits.items() if column in (rows.column_names or [column])})
    if not labelled:
        raise DataError(f"No split has the label column {column!r}. Pass --label_column_name.")
    labels = collect_labels(labelled, column, names, data.unknown_labels == "wrong")
    # a checkpoint for the same labels keeps their order, and with it its output layer
    return known if known is not None and set(known) == set(labels) else labels


def compute_metrics(prediction: EvalPrediction, problem: str, metric: evaluate.Metric) -> dict[str, float]:
    """Return the metric of a problem type from logits (N, C) and labels."""
    return metric.compute(predictions=decide(prediction.predictions, problem), references=prediction.label_ids)


def decide(logits: np.ndarray, problem: str) -> np.ndarray:
    """Turn logits (N, C) into answers: class ids (N,), 0 and 1 (N, C), or numbers (N,)."""
    if problem == "regression":
        return logits[:, 0]
    return (logits > 0).astype(np.int64) if problem == "multi_label_classification" else logits.argmax(-1)


def _write_results(
    folder: Path,
    trainer: Any,
    outputs: dict[str, PredictionOutput],
    splits: Splits,
    text_column: str,
    labels: list[str],
    problem: str,
    metric: str,
) -> None:
    """Write curves, predictions in data-set order, the per-label report and the confusion matrix."""
    if trainer.state.log_history:
        plot_curves(trainer.state.log_history, folder / "curves.png", metric)
    if not outputs:
        return
    # the test split if there was one
    split, output = list(outputs.items())[-1]
    answers = decide(output.predictions, problem)
    references = [None] * len(answers) if output.label_ids is None else output.label_ids.tolist()
    texts = tasks.iterate_cells(splits[split], text_column)
    rows = (
        {"index": index, "text": text, "label": _names(label, labels, problem), **_answer(answer, logits, labels, problem)}
        for index, (text, label, answer, logits) in enumerate(zip(texts, references, answers, output.predictions, strict=True))
    )
    tasks.write_jsonl(folder / "predictions.jsonl", rows)
    if output.label_ids is None or problem == "regression":
        return
    ids = list(range(len(labels)))
    report = classification_report(output.label_ids, answers, labels=ids, target_names=labels, digits=4, zero_division=0)
    (folder / "report.txt").write_text(f"{split}\n\n{report}", encoding="utf-8")
    if problem == "single_label_classification":
        plot_confusion_matrix(confusion_matrix(output.label_ids, answers, labels=ids), labels, folder / "confusion_matrix.png")


def _names(label: Any, labels: list[str], problem: str) -> Any:
    """Turn an answer or a reference into label names, or leave a number as it is."""
    if label is None or problem == "regression":
        return label
    if problem == "multi_label_classification":
        return [name for name, is_on in zip(labels, label, strict=True) if is_on]
    return labels[int(label)]


def _answer(answer: Any, logits: np.ndarray, labels: list[str], problem: str) -> dict[str, Any]:
    if problem == "regression":
        return {"prediction": float(answer)}
    named = {"prediction": _names(answer.tolist(), labels, problem)}
    if problem == "multi_label_classification":
        return {**named, "scores": {label: float(score) for label, score in zip(labels, expit(logits), strict=True)}}
    return {**named, "score": float(softmax(logits)[answer])}
