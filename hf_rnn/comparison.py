"""Measure on labelled data what making a model smaller costs."""

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import get_logger

from . import predict
from .arguments import option
from .data import LABEL_COLUMNS, TAG_COLUMNS, TEXT_COLUMNS, TOKEN_COLUMNS, choose_column, load_splits

logger = get_logger(__name__)


@dataclass
class ComparisonArguments:
    """What to compare two models on."""

    test_file: str | None = option("Labelled file on which to measure what the smaller model loses.")
    text_column_name: str | None = option("Its column of texts or of lists of tokens.")
    label_column_name: str | None = option("Its column of labels or of lists of tags.")


def compare(
    model: PreTrainedModel, smaller: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, arguments: ComparisonArguments
) -> dict[str, float]:
    """Return and print the accuracy of a model and of a smaller one, over labels or tags, and the share of equal answers.

    Raises:
        ValueError: The model gives no single label.
    """
    if arguments.test_file is None:
        logger.warning("What the smaller model loses was not measured: pass --test_file.")
        return {}
    if model.config.problem_type in ("regression", "multi_label_classification"):
        raise ValueError(f"Accuracy needs one label a text, got problem_type={model.config.problem_type!r}. Leave --test_file out.")
    rows = load_splits(files={"test": arguments.test_file})["test"]
    tagger = predict.is_tagger(model)
    run, field = (predict.tag, "tags") if tagger else (predict.classify, "label")
    usual = TOKEN_COLUMNS if tagger else (*TEXT_COLUMNS, *TOKEN_COLUMNS)
    text_column = choose_column(rows, "test", arguments.text_column_name, usual, "text_column_name")
    label_column = choose_column(rows, "test", arguments.label_column_name, TAG_COLUMNS if tagger else LABEL_COLUMNS, "label_column_name")
    right = _flat(rows[label_column])
    full, reduced = (
        _flat([row[field] for batch in rows.iter(64) for row in run(batch[text_column], model=each, tokenizer=tokenizer)])
        for each in (model, smaller)
    )
    shares = [sum(map(str.__eq__, a, b)) / len(right) for a, b in ((full, right), (reduced, right), (full, reduced))]
    print(f"On {len(right)} labels: accuracy {shares[0]:.4f} before, {shares[1]:.4f} after; {shares[2]:.2%} of the answers are the same.")
    return dict(zip(("accuracy", "smaller_accuracy", "same_answers"), shares, strict=True))


def _flat(labels: list[Any]) -> list[str]:
    """Return labels, or the tags of all sentences, as one list of names."""
    return [str(tag) for label in labels for tag in (label if isinstance(label, list) else [label])]
