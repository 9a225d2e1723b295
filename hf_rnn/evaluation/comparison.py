"""Measure models on the same labelled rows: what making one smaller costs, and how several compare."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from seqeval.metrics.sequence_labeling import get_entities
from transformers.utils.logging import get_logger

from ..data.files.locations import Places
from ..data.files.readers import DataError
from ..data.files.rows import TEXT_COLUMNS, TOKEN_COLUMNS
from ..data.rows.annotated import annotated_texts
from ..data.rows.labelled import labelled_texts
from ..data.rows.splits import LABEL_COLUMNS, TAG_COLUMNS, choose_column, load_splits
from ..data.rows.tag_columns import read_lists, read_tags
from ..inference.predictor import Predictor
from ..models.tags import guess_scheme
from ..tasks.decoding import Decoder, Text
from ..tasks.report import NO_ANSWERS, ScoredAnswers
from ..tasks.span_scores import scored_spans

logger = get_logger(__name__)


@dataclass(frozen=True)
class LabelledRows:
    """Rows with their right answers, and what of them is counted.

    Attributes:
        texts (`list`): Texts or lists of tokens.
        gold (`list`): The right answer to each: a label, a list of tags, or a list of spans (start, end, label).
        kind (`str`): "label", "tags" or "spans".
        measure (`str`): "f1" of spans, those that tags of a scheme make too; else "accuracy" over labels or tags.
    """

    texts: list[Text]
    gold: list[Any]
    kind: str
    measure: str

    @classmethod
    def read(
        cls, path: str, predictors: Iterable[Predictor], text_column: str | None = None, label_column: str | None = None
    ) -> "LabelledRows":
        """Read the test file for models that all answer the same question.

        Args:
            path (`str`): Labelled rows.
            predictors (`Iterable`): The models.
            text_column, label_column (`str`, *optional*): Columns; by default those that the first model was trained on, as far as the
                file has them, or the usual ones.

        Raises:
            ValueError: They do not, or give no single label; or the file has no rows.
        """
        predictors = list(predictors)
        kinds = {predictor.decoder.kind for predictor in predictors}
        if len({predictor.decoder.task for predictor in predictors}) > 1:
            raise ValueError("Classifiers and taggers answer different questions. Compare models of one task.")
        if others := kinds - {"label", "tags", "spans"}:
            raise ValueError(
                f"Models are measured on one label a text, tags or spans, got a model of {others.pop()}. Pass classifiers or taggers."
            )
        rows = load_splits(files={"test": path})["test"]
        if not len(rows):
            raise DataError(f"`test_file` {path!r} has no rows. Pass another --test_file.")
        columns = _columns(rows, predictors[0].decoder, text_column, label_column)
        with Places({"test": path}).named():
            if kinds == {"spans"}:
                texts, spans, _ = annotated_texts(rows, "test", *columns)
                return cls(list(texts), spans, "spans", "f1")
            return cls.of_columns(rows, kinds != {"label"}, *columns)

    @classmethod
    def of_columns(cls, rows: Dataset, has_tags: bool, text_column: str | None, label_column: str | None) -> "LabelledRows":
        """Return the rows of a test split; raise a DataError at one without text or tokens, or a label or tag for each."""
        usual = TOKEN_COLUMNS if has_tags else (*TEXT_COLUMNS, *TOKEN_COLUMNS)
        text_column = choose_column(rows, "test", text_column, usual, "text_column_name")
        label_column = choose_column(rows, "test", label_column, TAG_COLUMNS if has_tags else LABEL_COLUMNS, "label_column_name")
        if has_tags:
            lists = read_lists(read_lists(DatasetDict(test=rows), text_column), label_column)
            rows = read_tags(lists, label_column)["test"]
        read = labelled_texts(rows, "test", text_column, label_column, has_tags)
        texts, gold = [text for text, _ in read], [wanted for _, wanted in read]
        if not has_tags:
            return cls(texts, gold, "label", "accuracy")
        has_spans = guess_scheme(sorted({tag for row in gold for tag in row})) is not None
        return cls(texts, gold, "tags", "f1" if has_spans else "accuracy")

    def predict(self, predictor: Predictor) -> list[dict[str, Any]]:
        """Return what a model answers; what it would leave to people counts as it would have been."""
        return replace(predictor, threshold=0.0).predict(self.texts)

    def answers_of(self, predictor: Predictor) -> list[Any]:
        """Return the answers of a model, in the form of `gold`."""
        return self.answers_in(self.predict(predictor))

    def answers_in(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        """Return what a model answered, in the form of `gold`."""
        if self.kind != "spans":
            return [row[self.kind] for row in rows]
        return [[(span["start"], span["end"], span["entity_group"]) for span in row["spans"]] for row in rows]

    def scored(self, rows: Sequence[dict[str, Any]]) -> ScoredAnswers:
        """Return what a model answered with its scores; nothing for tags of tokens, which have none."""
        if self.kind == "tags":
            return NO_ANSWERS
        if self.kind == "spans":
            return scored_spans(self.gold, rows)
        right = [row["label"] == expected for row, expected in zip(rows, self.gold, strict=True)]
        return ScoredAnswers(np.array([row["score"] for row in rows]), np.array(right, dtype=bool))

    def counts(self, answers: Sequence[Any]) -> np.ndarray:
        """Return for each row what is right and of how much, (N, 2): the sums' ratio is the score.

        For accuracy these are the right labels and all labels; for F1 twice the right spans, and the spans that are there and found.
        """
        pairs = zip(self.gold, answers, strict=True)
        if self.measure == "f1":
            spans = ((self._spans(expected), self._spans(given)) for expected, given in pairs)
            return np.array([(2 * len(set(expected) & set(given)), len(expected) + len(given)) for expected, given in spans])
        if self.kind == "label":
            return np.array([(expected == given, 1) for expected, given in pairs])
        return np.array([(sum(map(str.__eq__, expected, given)), len(expected)) for expected, given in pairs])

    def _spans(self, row: list[Any]) -> list[Any]:
        return get_entities(row) if self.kind == "tags" else row

    def agreement(self, answers: Sequence[Any], others: Sequence[Any]) -> float:
        """Return the share of labels or tags that two models answer alike, or of texts in which they find the same spans."""
        if self.measure == "f1":
            return sum(map(list.__eq__, answers, others)) / len(answers)
        return score_of(LabelledRows(self.texts, list(others), self.kind, self.measure).counts(answers))


def _columns(rows: Dataset, decoder: Decoder, text: str | None, label: str | None) -> tuple[str | None, str | None]:
    """Return the columns that are named, else those that the model was trained on as far as the rows have them."""
    known = [name if name in rows.column_names else None for name in (decoder.text_column, decoder.label_column)]
    return text or known[0], label or known[1]


def score_of(counts: np.ndarray) -> Any:
    """Return the ratio of the sums of counts (..., N, 2)."""
    right, total = np.moveaxis(counts.sum(-2), -1, 0)
    return right / np.maximum(total, 1)


def check_comparable(full: Predictor, path: str | None, text_column: str | None = None, label_column: str | None = None) -> None:
    """Raise a ValueError, before a smaller model is made, if a model cannot be measured on a test file."""
    if path is not None:
        LabelledRows.read(path, [full], text_column, label_column)


def measure_loss(
    full: Predictor, smaller: Predictor, path: str | None, text_column: str | None = None, label_column: str | None = None
) -> dict[str, float]:
    """Return and print the score of a model and of a smaller one, and the share of equal answers.

    Args:
        full, smaller (`Predictor`): The two.
        path (`str`, *optional*): Labelled rows; without it nothing is measured.
        text_column, label_column (`str`, *optional*): Their columns.

    Raises:
        ValueError: The model gives no single label.
    """
    if path is None:
        logger.warning("What the smaller model loses was not measured: pass --test_file.")
        return {}
    rows = LabelledRows.read(path, (full, smaller), text_column, label_column)
    answers = [rows.answers_of(each) for each in (full, smaller)]
    before, after = (float(score_of(rows.counts(each))) for each in answers)
    same = rows.agreement(*answers)
    scores = f"{before:.4f} before, {after:.4f} after; {same:.2%}"
    if rows.measure == "f1":
        print(f"On {len(rows.texts)} texts: F1 over spans {scores} of the texts have the same spans.")
    else:
        labels = rows.counts(rows.gold)[:, 1].sum()
        print(f"On {labels} labels: accuracy {scores} of the answers are the same.")
    return {rows.measure: before, f"smaller_{rows.measure}": after, "same_answers": same}
