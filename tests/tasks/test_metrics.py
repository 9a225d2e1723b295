"""Metrics give the values that their definitions give by hand."""

import pytest

from hf_rnn.tasks.metrics import ClassificationMetric, MultiLabelMetric, RegressionMetric, SpanMetric, TokenMetric, load_metric

pytestmark = pytest.mark.lowest


def test_classification():
    """Two of three right; macro F1 is the mean over both classes."""
    scores = load_metric(ClassificationMetric).compute(predictions=[1, 0, 1], references=[1, 0, 0])
    assert scores["accuracy"] == scores["f1_micro"] == pytest.approx(2 / 3)
    assert scores["f1_macro"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert scores["precision_macro"] == pytest.approx((1 + 0.5) / 2)


def test_multi_label():
    """Exact match of one of two rows; two of three labels found, none wrong."""
    scores = load_metric(MultiLabelMetric).compute(predictions=[[1, 0], [0, 1]], references=[[1, 0], [1, 1]])
    assert scores["accuracy"] == 0.5
    assert scores["precision_micro"] == 1
    assert scores["recall_micro"] == pytest.approx(2 / 3)


def test_regression():
    """Errors of one and three."""
    assert load_metric(RegressionMetric).compute(predictions=[1.0, 2.0], references=[2.0, 5.0]) == {"mse": 5.0, "mae": 2.0}


def test_tokens():
    """Accuracy over words, whatever the sentences they stand in."""
    scores = load_metric(TokenMetric).compute(predictions=[["N", "V"], ["N"]], references=[["N", "N"], ["N"]])
    assert scores["accuracy"] == pytest.approx(2 / 3)


def test_spans():
    """A span counts only if type and both ends are right."""
    references = [["B-X", "I-X", "O", "B-Y"], ["O"]]
    predictions = [["B-X", "O", "O", "B-Y"], ["O"]]
    scores = load_metric(SpanMetric).compute(predictions=predictions, references=references)
    assert (scores["precision"], scores["recall"], scores["f1"], scores["accuracy"]) == (0.5, 0.5, 0.5, 0.8)


def test_batches_add_up():
    """Batches added one by one, as `evaluate` users do, give the same as all at once."""
    metric = load_metric(ClassificationMetric)
    metric.add_batch(predictions=[1, 0], references=[1, 1])
    metric.add_batch(predictions=[0], references=[0])
    assert metric.compute() == load_metric(ClassificationMetric).compute(predictions=[1, 0, 0], references=[1, 1, 0])
