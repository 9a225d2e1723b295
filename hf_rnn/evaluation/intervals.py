"""Intervals of scores, and of their differences, by the bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import bootstrap

from .comparison import score_of

# rows times resamples that are held at a time
HELD = 2**21


@dataclass(frozen=True)
class Interval:
    """A number and the ends of its interval."""

    value: float
    low: float
    high: float


def paired_intervals(
    counts: Sequence[ArrayLike], resamples: int = 1000, seed: int = 42, level: float = 0.95
) -> list[tuple[Interval, Interval]]:
    """Return for each of several models its score, and how far it is from the first one's, with percentile intervals.

    The paired bootstrap (Efron and Tibshirani 1993; Koehn 2004 for the scores of language tools): rows are drawn with replacement, the
    same ones for all models.

    Args:
        counts (`Sequence`): For each model what `LabelledRows.counts` gives for the same N rows, (N, 2).
        resamples (`int`): Draws of N rows.
        seed (`int`): Seed of the draws.
        level (`float`): Share of the draws within an interval.

    Raises:
        ValueError: There are fewer than two rows.
    """
    # (M, N, 2)
    stacked = np.stack([np.asarray(each) for each in counts])
    rows = stacked.shape[1]
    if rows < 2:
        raise ValueError(f"An interval needs two rows at least, got {rows}. Pass another --test_file.")

    def statistic(drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        # (M, R): rows that are drawn, (R, N), are the same for all models
        scores = score_of(stacked[:, drawn])
        return np.concatenate([scores, scores - scores[:1]])

    options = {"vectorized": True, "batch": max(1, HELD // rows), "method": "percentile", "confidence_level": level}
    found = bootstrap((np.arange(rows),), statistic, n_resamples=resamples, rng=np.random.default_rng(seed), **options)
    ends = found.confidence_interval
    intervals = [Interval(*map(float, three)) for three in zip(statistic(np.arange(rows)), ends.low, ends.high, strict=True)]
    return list(zip(intervals[: len(stacked)], intervals[len(stacked) :], strict=True))
