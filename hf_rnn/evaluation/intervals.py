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


@dataclass(frozen=True)
class Difference(Interval):
    """A difference, the ends of its interval, and `p`, the two-sided probability of one as large if there were none."""

    p: float


def paired_intervals(
    counts: Sequence[ArrayLike], resamples: int = 1000, seed: int = 42, level: float = 0.95
) -> list[tuple[Interval, Difference]]:
    """Return for each of several models its score, and how far it is from the first one's, with percentile intervals.

    The paired bootstrap (Efron and Tibshirani 1993; Koehn 2004 for the scores of language tools): rows are drawn with replacement, the
    same ones for all models. Of models that were trained with S seeds the score is the mean, and seeds are drawn too, S - 1 of them, as a
    draw of S would take the spread for smaller than it is (Rao and Wu 1988). p is the share of resamples on the other side of zero, twice.

    Args:
        counts (`Sequence`): For each model what `LabelledRows.counts` gives for the same N rows, (N, 2), or for each of its S trainings,
            (S, N, 2). One without trainings of its own stands beside every one of the others'.
        resamples (`int`): Draws of N rows.
        seed (`int`): Seed of the draws.
        level (`float`): Share of the draws within an interval.

    Raises:
        ValueError: There are fewer than two rows, or models with different numbers of trainings.
    """
    arrays = [np.asarray(each) if np.ndim(each) == 3 else np.asarray(each)[None] for each in counts]
    trainings, rows = max(len(each) for each in arrays), arrays[0].shape[1]
    if rows < 2:
        raise ValueError(f"An interval needs two rows at least, got {rows}. Pass another --test_file.")
    if others := [len(each) for each in arrays if len(each) not in (1, trainings)]:
        raise ValueError(f"Models are trained with as many seeds each, got {trainings} and {others[0]}. Pass as many of each.")
    # (M, S, N, 2)
    stacked = np.stack([np.broadcast_to(each, (trainings, rows, 2)) for each in arrays])

    def statistic(drawn: np.ndarray, seeds: np.ndarray | None = None, axis: int = -1) -> np.ndarray:
        # (M, S, R): rows that are drawn, (R, N), and seeds, (R, S), are the same for all models
        scores = score_of(stacked[:, :, drawn])
        if seeds is not None:
            scores = np.take_along_axis(scores, seeds.T[None, 1:], axis=1)
        return beside_first(scores.mean(1))

    data = (np.arange(rows), np.arange(trainings)) if trainings > 1 else (np.arange(rows),)
    options = {"vectorized": True, "batch": max(1, HELD // (rows * trainings)), "method": "percentile", "confidence_level": level}
    found = bootstrap(data, statistic, n_resamples=resamples, rng=np.random.default_rng(seed), **options)
    ends, values = found.confidence_interval, beside_first(score_of(stacked).mean(1))
    drawn = found.bootstrap_distribution
    sides = np.minimum((drawn <= 0).sum(-1), (drawn >= 0).sum(-1))
    numbers = zip(values, ends.low, ends.high, np.minimum(2 * (sides + 1) / (resamples + 1), 1), strict=True)
    lines = [Difference(*map(float, four)) for four in numbers]
    scores = (Interval(line.value, line.low, line.high) for line in lines)
    return list(zip(scores, lines[len(stacked) :], strict=False))


def beside_first(scores: np.ndarray) -> np.ndarray:
    """Return scores of M models, (M, ...), and behind them what each is above the first one's, (2M, ...)."""
    return np.concatenate([scores, scores - scores[:1]])
