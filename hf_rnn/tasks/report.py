"""What there is to say of the answers to a split, as data: `reports` draws and writes it."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import classification_report

from ..data.rows.spans import Span

# the scores of a line of a table whose support is 0
UNDEFINED = re.compile(r"(?:( +)(\d\.\d+)){3}(?= +0$)", re.MULTILINE)


@dataclass(frozen=True)
class Confusion:
    """Classes that are right and classes that were answered.

    Attributes:
        references (`np.ndarray`): Ids of the right ones, (N,).
        answers (`np.ndarray`): Ids of those answered, (N,).
        labels (`list`): Their names.
    """

    references: np.ndarray
    answers: np.ndarray
    labels: list[str]


@dataclass(frozen=True)
class Answered:
    """A text, its label in the data, the label that a model gives it, and the score of that."""

    text: str
    label: str
    answer: str
    score: float


@dataclass(frozen=True)
class ScoredAnswers:
    """Answers with what the model says of them, whatever they are: labels, or spans.

    Attributes:
        scores (`np.ndarray`): Probability that it gives each, (N,); -1 where it gives none.
        right (`np.ndarray`): Whether each is right, (N,).
    """

    scores: np.ndarray
    right: np.ndarray

    def given(self, is_given: np.ndarray) -> "ScoredAnswers":
        """Return the answers of which only some (N,) are given."""
        return ScoredAnswers(np.where(is_given, self.scores, -1.0), self.right)


NO_ANSWERS = ScoredAnswers(np.zeros(0), np.zeros(0, dtype=bool))


@dataclass(frozen=True)
class SpanPairs:
    """Texts with the spans of the data and those that a model found."""

    texts: list[str]
    gold: list[list[Span]]
    found: list[list[Span]]


@dataclass(frozen=True)
class Report:
    """What there is to say of a split.

    Attributes:
        predictions (`Iterable`): A dictionary for each row, in the order of the data.
        scores (`Callable`, *optional*): Returns a table of the scores of each label.
        confusion (`Confusion`, *optional*): Which classes are taken for which.
        spans (`SpanPairs`, *optional*): Texts to show.
        answered (`Callable`, *optional*): Returns all rows with their labels and answers.
    """

    predictions: Iterable[dict[str, Any]]
    scores: Callable[[], str] | None = None
    confusion: Confusion | None = None
    spans: SpanPairs | None = None
    answered: Callable[[], list[Answered]] | None = None


def class_table(references: Any, answers: Any, labels: Sequence[Any], names: Sequence[str]) -> str:
    """Return scikit-learn's table of the scores of each class, without scores of classes that no row has, which its means leave out too.

    Args:
        references, answers (`np.ndarray` or `list`): Classes of each row, (N,), or 0 and 1, (N, C).
        labels (`Sequence`): Classes as these have them, C.
        names (`Sequence`): What they are called.
    """

    def table(chosen: Sequence[int]) -> str:
        kept, called = [labels[index] for index in chosen], [names[index] for index in chosen]
        return classification_report(references, answers, labels=kept, target_names=called, digits=4, zero_division=0)

    whole = table(range(len(labels)))
    occurring = _occurring(references, answers, labels)
    if not occurring or whole.count("\n\n") != 2:
        return whole
    head, rows, _ = whole.split("\n\n")
    means = table(occurring).split("\n\n")[2].splitlines()
    width = max(map(len, head.splitlines()))
    return "\n\n".join([head, without_undefined(rows), "\n".join(line.rjust(width) for line in means)]) + "\n"


def _occurring(references: Any, answers: Any, labels: Sequence[Any]) -> list[int]:
    """Return which classes a row has or was answered."""
    if np.ndim(references) == 2:
        return np.flatnonzero(np.any(references, axis=0) | np.any(answers, axis=0)).tolist()
    found = {*np.unique(references).tolist(), *np.unique(answers).tolist()}
    return [index for index, label in enumerate(labels) if label in found]


def without_undefined(rows: str) -> str:
    """Return lines of a table with "n/a" for the scores of what is not there."""
    return UNDEFINED.sub(lambda found: re.sub(r"\d\.\d+", lambda number: "n/a".rjust(len(number[0])), found[0]), rows)
