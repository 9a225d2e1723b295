"""Measure on labelled data what making a model smaller costs."""

from dataclasses import dataclass
from typing import Any

from transformers.utils.logging import get_logger

from ..data.splits import LABEL_COLUMNS, TAG_COLUMNS, TEXT_COLUMNS, TOKEN_COLUMNS, choose_column, load_splits
from ..options import option
from .predicting import Predictor

logger = get_logger(__name__)


@dataclass
class ComparisonArguments:
    """What to compare two models on."""

    test_file: str | None = option("Labelled file on which to measure what the smaller model loses.")
    text_column_name: str | None = option("Its column of texts or of lists of tokens.")
    label_column_name: str | None = option("Its column of labels or of lists of tags.")


def compare(full: Predictor, smaller: Predictor, arguments: ComparisonArguments) -> dict[str, float]:
    """Return and print the accuracy of a model and of a smaller one, over labels or tags, and the share of equal answers.

    Raises:
        ValueError: The model gives no single label.
    """
    if arguments.test_file is None:
        logger.warning("What the smaller model loses was not measured: pass --test_file.")
        return {}
    problem = full.model.config.problem_type
    if problem in ("regression", "multi_label_classification"):
        raise ValueError(f"Accuracy needs one label a text, got problem_type={problem!r}. Leave --test_file out.")
    rows = load_splits(files={"test": arguments.test_file})["test"]
    field = "tags" if full.is_tagger else "label"
    texts = TOKEN_COLUMNS if full.is_tagger else (*TEXT_COLUMNS, *TOKEN_COLUMNS)
    text_column = choose_column(rows, "test", arguments.text_column_name, texts, "text_column_name")
    labels = TAG_COLUMNS if full.is_tagger else LABEL_COLUMNS
    label_column = choose_column(rows, "test", arguments.label_column_name, labels, "label_column_name")
    right = _flat(rows[label_column])
    before, after = (_flat([row[field] for row in each.predict(rows[text_column])]) for each in (full, smaller))
    shares = [sum(map(str.__eq__, a, b)) / len(right) for a, b in ((before, right), (after, right), (before, after))]
    print(f"On {len(right)} labels: accuracy {shares[0]:.4f} before, {shares[1]:.4f} after; {shares[2]:.2%} of the answers are the same.")
    return dict(zip(("accuracy", "smaller_accuracy", "same_answers"), shares, strict=True))


def _flat(labels: list[Any]) -> list[str]:
    """Return labels, or the tags of all sentences, as one list of names."""
    return [str(tag) for label in labels for tag in (label if isinstance(label, list) else [label])]
