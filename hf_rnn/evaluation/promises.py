"""A promise: the score above which answers are right at least so often, found on rows that were held out."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from ..tasks.report import ScoredAnswers

CONFIDENCE = 0.95
# where the walk over thresholds starts, as shares of the rows: each start has its part of the error that is allowed
STARTS = (0.0, 0.5)
# thresholds that the walk passes from the first row to the last
STEPS = 100


@dataclass(frozen=True)
class Promise:
    """What a model promises: of the answers with a score of `threshold` at least, a share of `precision` at least is right.

    Attributes:
        precision (`float`): The share.
        confidence (`float`): Probability that rows were drawn for which the promise is kept.
        threshold (`float`): Least score of an answer that is given.
        answered (`float`): Share of the held-out answers that are given.
        rows (`int`): Held-out answers.
    """

    precision: float
    confidence: float
    threshold: float
    answered: float
    rows: int


def answers_needed(precision: float, confidence: float = CONFIDENCE) -> int:
    """Return how many answers without an error it takes to promise a precision: n with precision^n <= 1 - confidence."""
    return math.ceil(math.log(1 - confidence) / math.log(precision))


def answers_to_show(precision: float, share: float, confidence: float = CONFIDENCE) -> int | None:
    """Return about how many answers show a precision where a share of them is right; None where no number does."""
    counts = [answers_needed(precision, confidence) * 2**power for power in range(12)]
    return next((count for count in counts if lower_bound(math.floor(share * count), count, confidence) >= precision), None)


def lower_bound(right: Any, answers: Any, confidence: float = CONFIDENCE) -> Any:
    """Return the one-sided lower bound of a share, of which so many of so many were right (Clopper and Pearson 1934), or of several."""
    return np.where(right, beta.ppf(1 - confidence, np.maximum(right, 1), answers - right + 1), 0.0)


def find_promise(answers: ScoredAnswers, precision: float, confidence: float = CONFIDENCE) -> Promise | None:
    """Return the lowest threshold that a precision can be promised for, or None where the answers do not show it for any.

    Each threshold is a hypothesis, "the precision above it is less", that the bound of Clopper and Pearson rejects. To choose the best of
    many would break the promise; they are tested in an order that scores alone decide, from high to low, until one is not rejected
    (fixed-sequence testing, as in "Learn then Test", Angelopoulos et al. 2021), so that no error adds up. The walk starts at the fewest
    answers that can show anything, and once more at half of them where an early error ended it, each with half of the error allowed.

    Args:
        answers (`ScoredAnswers`): N answers to rows that the model was not trained on.
        precision (`float`): Share of right answers, in (0, 1).
        confidence (`float`): Probability with which it is kept.
    """
    order = np.argsort(-answers.scores, kind="stable")
    scores, right = answers.scores[order], np.cumsum(answers.right[order])
    # those without a score are last, and in no walk
    known = scores[scores >= 0]
    level = 1 - (1 - confidence) / len(STARTS)
    fewest, kept = answers_needed(precision, level), 0
    for start in STARTS:
        counts = _walk(known, max(fewest, math.ceil(start * len(known))))
        holds = lower_bound(right[counts - 1], counts, level) >= precision
        passed = counts[: len(counts) if holds.all() else holds.argmin()]
        kept = max(kept, *passed.tolist(), 0)
    if not kept:
        return None
    return Promise(precision, confidence, float(scores[kept - 1]), kept / len(scores), len(scores))


def _walk(scores: np.ndarray, first: int) -> np.ndarray:
    """Return numbers of answers from `first` on, each with all that have the score of its last one, from falling scores (N,)."""
    if first > len(scores):
        return np.zeros(0, dtype=int)
    counts = np.array([*range(first, len(scores), max(1, len(scores) // STEPS)), len(scores)])
    return np.asarray(np.searchsorted(-scores, -scores[counts - 1], side="right"))
