"""`evaluate.Metric` modules that need no network: classes, words and spans."""

from typing import Any

import datasets
import evaluate
import numpy as np
from seqeval.metrics import f1_score, precision_score, recall_score
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

CITATION = "Pedregosa et al. 2011. Scikit-learn: Machine learning in Python. JMLR 12."
SPAN_CITATION = "Nakayama 2018. seqeval: A Python framework for sequence labeling evaluation."


def _info(description: str, citation: str, feature: Any) -> evaluate.MetricInfo:
    features = datasets.Features({"predictions": feature, "references": feature})
    return evaluate.MetricInfo(
        description=description,
        citation=citation,
        inputs_description="predictions and references of equal shape",
        features=features,
    )


def _class_scores(references: Any, predictions: Any) -> dict[str, float]:
    """Return accuracy and macro and micro precision, recall and F1 over the labels that occur."""
    scores = {"accuracy": float(accuracy_score(references, predictions))}
    for average in ("macro", "micro"):
        values = precision_recall_fscore_support(references, predictions, average=average, zero_division=0)[:3]
        scores |= {f"{name}_{average}": float(value) for name, value in zip(("precision", "recall", "f1"), values, strict=True)}
    return scores


class ClassificationMetric(evaluate.Metric):
    """Accuracy, and macro and micro precision, recall and F1, of one class a row."""

    def _info(self) -> evaluate.MetricInfo:
        return _info("Scores of single-label classification.", CITATION, datasets.Value("int64"))

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        return _class_scores(references, predictions)


class MultiLabelMetric(evaluate.Metric):
    """Exact-match accuracy, and macro and micro precision, recall and F1, of several labels a row, given as 0 and 1."""

    def _info(self) -> evaluate.MetricInfo:
        return _info("Scores of multi-label classification.", CITATION, datasets.Sequence(datasets.Value("int64")))

    def _compute(self, predictions: list[list[int]], references: list[list[int]]) -> dict[str, float]:
        return _class_scores(np.array(references), np.array(predictions))


class RegressionMetric(evaluate.Metric):
    """Mean squared and mean absolute error of one number a row."""

    def _info(self) -> evaluate.MetricInfo:
        return _info("Errors of regression.", CITATION, datasets.Value("float64"))

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        difference = np.array(predictions) - np.array(references)
        return {"mse": float(np.mean(difference**2)), "mae": float(np.mean(np.abs(difference)))}


class TokenMetric(evaluate.Metric):
    """Accuracy over words, and macro and micro precision, recall and F1 over tags, of sentences of tag names."""

    def _info(self) -> evaluate.MetricInfo:
        return _info("Scores of tagging, word by word.", CITATION, datasets.Sequence(datasets.Value("string")))

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
        flat = [[tag for tags in sentences for tag in tags] for sentences in (references, predictions)]
        return _class_scores(*flat)


class SpanMetric(evaluate.Metric):
    """Entity-level precision, recall and F1 by seqeval, and accuracy over words, of sentences of BIO or BIOES tag names."""

    def _info(self) -> evaluate.MetricInfo:
        return _info("Scores of spans: type and both ends must be right.", SPAN_CITATION, datasets.Sequence(datasets.Value("string")))

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
        scores = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
        values = {name: float(score(references, predictions, zero_division=0)) for name, score in scores.items()}
        return {**values, "accuracy": TokenMetric._compute(self, predictions, references)["accuracy"]}


def load_metric(metric_class: type[evaluate.Metric]) -> evaluate.Metric:
    """Return a metric that keeps its inputs in memory, so that several processes never share a cache file."""
    return metric_class(keep_in_memory=True)
