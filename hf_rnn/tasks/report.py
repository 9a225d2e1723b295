"""What there is to say of the answers to a split, as data: `reports` draws and writes it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

# start, end and label
Span = tuple[int, int, str]


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
class ScoredAnswers:
    """Answers with what the model says of them, whatever they are: labels, or spans.

    Attributes:
        scores (`np.ndarray`): Probability that it gives each, (N,).
        right (`np.ndarray`): Whether each is right, (N,).
    """

    scores: np.ndarray
    right: np.ndarray


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
    """

    predictions: Iterable[dict[str, Any]]
    scores: Callable[[], str] | None = None
    confusion: Confusion | None = None
    spans: SpanPairs | None = None
