"""How far the scores of answers are from how often the answers are right, and how much of it the number of rows explains."""

import numpy as np

from ..tasks.report import ScoredAnswers

# bins of equal mass, draws of answers of a calibrated model, fewer where they are more numbers than this, and their seed
BINS, DRAWS, MOST_NUMBERS, SEED = 15, 200, 2**25, 0


def reliability(answers: ScoredAnswers, bins: int = BINS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean score, the share that is right, and the number of answers of each bin of (almost) as many answers, (K,) each.

    Args:
        answers (`ScoredAnswers`): N answers, of which there are some.
        bins (`int`): Bins at most; as many as there are answers at most.
    """
    order = np.argsort(answers.scores, kind="stable")
    edges = _edges(len(order), bins)
    sizes = np.diff(edges)
    scores, right = (np.add.reduceat(values[order].astype(float), edges[:-1]) / sizes for values in (answers.scores, answers.right))
    return scores, right, sizes


def measure_calibration(answers: ScoredAnswers, draws: int = DRAWS) -> dict[str, float]:
    """Return the expected calibration error over bins of equal mass, what chance alone makes of it, and the Brier score.

    Even the scores of a perfectly calibrated model have an error on finitely many rows. `ece_by_chance` is its mean over draws in which
    each answer is right with the probability that its score says; what `ece` has beyond it is the model's own (Vaicenavicius et al. 2019).

    Args:
        answers (`ScoredAnswers`): N answers with scores.
        draws (`int`): Draws of N answers, fewer of very many.

    Returns:
        `dict`: `ece` (Naeini et al. 2015; Nixon et al. 2019 for equal mass), `ece_by_chance`, and `brier`, the mean squared distance of
        a score from 1 where the answer is right and from 0 where it is not. Empty without answers.
    """
    if not len(answers.scores):
        return {}
    order = np.argsort(answers.scores, kind="stable")
    scores, starts = answers.scores[order].astype(float), _edges(len(order), BINS)[:-1]
    distances = answers.right[order] - scores
    random = np.random.default_rng(SEED)
    draws = min(draws, max(10, MOST_NUMBERS // len(scores)))
    by_chance = [_error((random.random(len(scores)) < scores) - scores, starts) for _ in range(draws)]
    return {
        "ece": _error(distances, starts),
        "ece_by_chance": float(np.mean(by_chance)),
        "brier": float(np.mean(np.square(distances))),
    }


def _error(distances: np.ndarray, starts: np.ndarray) -> float:
    """Return the mean over answers of how far the bin of each is off, from what is right less its score, in the order of scores."""
    return float(np.abs(np.add.reduceat(distances, starts)).sum() / len(distances))


def _edges(count: int, bins: int) -> np.ndarray:
    """Return where bins begin, and where the last one ends, (K + 1,)."""
    return np.linspace(0, count, min(bins, count) + 1).astype(int)
