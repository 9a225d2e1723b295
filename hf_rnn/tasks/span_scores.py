"""Scores of spans over raw text: a span is right if both ends and its label are."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .report import ScoredAnswers, Span


@dataclass
class SpanCounts:
    """Spans that are there, found, and right, by label; `""` stands for spans whatever their label.

    For words and their parts of speech as spans these are the counts of the CoNLL 2018 evaluation (Zeman et al. 2018): a word that does
    not align is wrong.
    """

    gold: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)

    @classmethod
    def count(cls, gold: Iterable[Sequence[Span]], found: Iterable[Sequence[Span]]) -> "SpanCounts":
        """Count the spans of texts."""
        counts = cls()
        for expected, given in zip(gold, found, strict=True):
            counts.gold.update(label for _, _, label in expected)
            counts.found.update(label for _, _, label in given)
            counts.right.update(label for _, _, label in set(expected) & set(given))
            counts.right[""] += len({span[:2] for span in expected} & {span[:2] for span in given})
            counts.gold[""] += len(expected)
            counts.found[""] += len(given)
        return counts

    def scores(self, labels: Sequence[str] | None = None) -> tuple[float, float, float]:
        """Return precision, recall and F1 of some labels, all of them by default; each is 0 where it is undefined."""
        names = [label for label in self.gold | self.found if label] if labels is None else labels
        gold, found, right = (sum(counter[name] for name in names) for counter in (self.gold, self.found, self.right))
        return right / max(found, 1), right / max(gold, 1), 2 * right / max(found + gold, 1)

    def metrics(self) -> dict[str, float]:
        """Return `precision`, `recall` and `f1` of spans with their labels, and `segmentation_f1` of spans whatever their label."""
        return dict(zip(("precision", "recall", "f1"), self.scores(), strict=True)) | {"segmentation_f1": self.scores([""])[2]}

    def report(self) -> str:
        """Return a table of the scores of each label."""
        labels = sorted(label for label in self.gold | self.found if label)
        width = max(map(len, [*labels, "any label"]))
        lines = [f"{'':{width}}  precision  recall      f1  support"]
        rows = [*((label, [label]) for label in labels), ("all", None), ("any label", [""])]
        for name, chosen in rows:
            precision, recall, f1 = self.scores(chosen)
            support = sum(self.gold[label] for label in (labels if chosen is None else chosen))
            # of what is not there nothing can be found
            told = (precision, recall, f1) if support else ()
            cells = [f"{score:.4f}" for score in told] or ["n/a"] * 3
            lines.append(f"{name:{width}}  {cells[0]:>9}  {cells[1]:>6}  {cells[2]:>6}  {support:7}")
        return "\n".join(lines) + "\n"


def scored_spans(gold: Iterable[Sequence[Span]], answers: Iterable[dict[str, Any]]) -> ScoredAnswers:
    """Return the spans of answers to texts with their scores, each right if it is among those of the data."""
    pairs = [
        (span["score"], (span["start"], span["end"], span["entity_group"]) in expected)
        for expected, answer in zip(map(set, gold), answers, strict=True)
        for span in answer["spans"]
    ]
    return ScoredAnswers(np.array([score for score, _ in pairs]), np.array([is_right for _, is_right in pairs], dtype=bool))
