"""Measure on labelled data what making a model smaller costs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transformers.utils.logging import get_logger

from ..data.annotated import annotated_texts
from ..data.splits import LABEL_COLUMNS, TAG_COLUMNS, TEXT_COLUMNS, TOKEN_COLUMNS, choose_column, load_splits
from ..options import option
from .predicting import Predictor, Text
from .span_scores import SpanCounts

logger = get_logger(__name__)


@dataclass
class ComparisonArguments:
    """What to compare two models on."""

    test_file: str | None = option("Labelled file on which to measure what the smaller model loses.")
    text_column_name: str | None = option("Its column of texts or of lists of tokens.")
    label_column_name: str | None = option("Its column of labels or of lists of tags.")


def compare(full: Predictor, smaller: Predictor, arguments: ComparisonArguments) -> dict[str, float]:
    """Return and print the accuracy of a model and of a smaller one, over labels or tags, and the share of equal answers; F1 over spans.

    Raises:
        ValueError: The model gives no single label.
    """
    if arguments.test_file is None:
        logger.warning("What the smaller model loses was not measured: pass --test_file.")
        return {}
    problem = full.model.config.problem_type
    if problem in ("regression", "multi_label_classification"):
        raise ValueError(f"Accuracy needs one label a text, got problem_type={problem!r}. Leave --test_file out.")
    if full.reads_raw_text:
        return _compare_spans(full, smaller, arguments)
    texts, right = read_labelled(arguments, full.is_tagger)
    before, after = (answers_of(each, texts) for each in (full, smaller))
    shares = [share_equal(*pair) for pair in ((before, right), (after, right), (before, after))]
    print(f"On {len(right)} labels: accuracy {shares[0]:.4f} before, {shares[1]:.4f} after; {shares[2]:.2%} of the answers are the same.")
    return dict(zip(("accuracy", "smaller_accuracy", "same_answers"), shares, strict=True))


def read_labelled(arguments: ComparisonArguments, is_tagger: bool) -> tuple[list[Text], list[str]]:
    """Return the texts of the test file, and their labels or all tags of all sentences as one list."""
    rows = load_splits(files={"test": str(arguments.test_file)})["test"]
    texts = TOKEN_COLUMNS if is_tagger else (*TEXT_COLUMNS, *TOKEN_COLUMNS)
    text_column = choose_column(rows, "test", arguments.text_column_name, texts, "text_column_name")
    labels = TAG_COLUMNS if is_tagger else LABEL_COLUMNS
    label_column = choose_column(rows, "test", arguments.label_column_name, labels, "label_column_name")
    return rows[text_column][:], _flat(rows[label_column])


def answers_of(predictor: Predictor, texts: list[Text]) -> list[str]:
    """Return the label of each text, or all tags of all sentences as one list."""
    return _flat([row["tags" if predictor.is_tagger else "label"] for row in predictor.predict(texts)])


def share_equal(answers: list[str], references: list[str]) -> float:
    """Return the share of answers that are as another list has them."""
    return sum(map(str.__eq__, answers, references)) / len(references)


def _compare_spans(full: Predictor, smaller: Predictor, arguments: ComparisonArguments) -> dict[str, float]:
    """Return and print F1 over spans of both models, and the share of texts in which they find the same."""
    rows = load_splits(files={"test": str(arguments.test_file)})["test"]
    texts, gold, _ = annotated_texts(rows, "test", arguments.text_column_name, arguments.label_column_name)
    answers = [
        [[(span["start"], span["end"], span["entity_group"]) for span in row["spans"]] for row in model.predict(texts)]
        for model in (full, smaller)
    ]
    before, after = (SpanCounts.count(gold, found).metrics()["f1"] for found in answers)
    same = sum(a == b for a, b in zip(*answers, strict=True)) / max(len(texts), 1)
    print(f"On {len(texts)} texts: F1 over spans {before:.4f} before, {after:.4f} after; {same:.2%} of the texts have the same spans.")
    return {"f1": before, "smaller_f1": after, "same_answers": same}


def _flat(labels: Iterable[Any]) -> list[str]:
    """Return labels, or the tags of all sentences, as one list of names."""
    return [str(tag) for label in labels for tag in (label if isinstance(label, list) else [label])]
