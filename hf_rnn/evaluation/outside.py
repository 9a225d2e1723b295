"""None of these: from held-out rows, and examples of others if there are any, what tells texts that belong to no class."""

import math
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_expit

from ..models.outside import outside_terms

# what the scale of a number that hardly varies is at least, and the penalty on what weights learn of examples
SMALLEST, PENALTY = 1e-3, 1.0


def rows_needed(share: float) -> int:
    """Return how many held-out rows it takes so that a share of them, one at least, is beyond a border."""
    return math.ceil(1 / share - 1e-9) - 1


def fit_outside(inside: np.ndarray, share: float, num_labels: int, examples: np.ndarray | None = None) -> dict[str, Any]:
    """Return the `outside` of a config: weights of numbers, and the border beyond which a share of rows like held-out ones is.

    Without examples the numbers of logits count the more the more classes there are: of two classes they tell hardly more than that a
    text is between both. With examples weights are fitted by logistic regression, none of them negative, around those.

    Args:
        inside (`np.ndarray`): See `outside_numbers`, of N held-out rows that belong to a class, (N, 2) or (N, 4).
        share (`float`): Of rows like these that may be taken for outside, in (0, 1).
        num_labels (`int`): C.
        examples (`np.ndarray`, *optional*): The same numbers of texts of no class.
    """
    fitted: dict[str, Any] = {"centre": inside.mean(0).tolist(), "scale": np.maximum(inside.std(0), SMALLEST).tolist()}
    terms = outside_terms(torch.from_numpy(inside), fitted).numpy()
    usual = np.array([math.log2(num_labels) / 2] * 2 + [1.0] * (inside.shape[1] - 2))
    weights = usual
    if examples is not None and len(examples):
        weights = fit_weights(terms, outside_terms(torch.from_numpy(examples), fitted).numpy(), usual)
    totals = np.sort(terms @ weights)
    # of N + 1 rows, one of which is new, at most that share is beyond it (split conformal prediction)
    place = min(math.ceil((1 - share) * (len(totals) + 1) - 1e-9), len(totals))
    border = max(float(np.nextafter(totals[place - 1], np.inf)), SMALLEST)
    return {**fitted, "weights": weights.tolist(), "border": border, "share": share}


def fit_weights(inside: np.ndarray, outside: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Return weights of terms (N, F) by which rows of both kinds are told apart best, each kind counting alike; at least 0."""
    # logarithms, as a few rows are very far outside
    top = usual.sum()

    def loss(point: np.ndarray) -> float:
        weights, bias, slope = point[:-2], point[-2], point[-1]
        margins = [slope * np.log1p(terms @ weights) - bias for terms in (inside, outside)]
        likelihood = log_expit(-margins[0]).mean() + log_expit(margins[1]).mean()
        rows = min(len(inside), len(outside))
        return float(-rows * likelihood + PENALTY * np.square((weights - usual) / usual).sum())

    start = np.array([*usual, math.log1p(top), 1.0])
    bounds = [(0.0, None)] * len(usual) + [(None, None), (1e-3, None)]
    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds).x[:-2]
    return found if found.sum() > SMALLEST else usual
