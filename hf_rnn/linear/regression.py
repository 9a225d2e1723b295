"""Linear regressions by L-BFGS, of sparse features: logistic ones of classes or of several labels, and ridge regression of numbers."""

import warnings
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from scipy.sparse import csr_matrix, hstack
from sklearn.model_selection import KFold
from torch import Tensor, nn

from .convergence import Objective, minimize, squares
from .design import telling_weights, weigh_columns
from .temperature import fit_temperature
from .weighing import NUMBERS, SEVERAL, negative_log_likelihood

# inverse strengths of the L2 penalty to choose from, of labels and of numbers in units of their deviation
PENALTIES, PENALTIES_OF_NUMBERS = (4.0, 16.0, 64.0, 256.0), (0.5, 2.0, 8.0)
# the number of folds, and the rows that are enough to choose by
FOLDS, ENOUGH_ROWS = 5, 6000
# logit of a class that no row has
ABSENT = -30.0

# outputs (N, C) and what is wanted to losses, and their derivatives by the outputs
Losses: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def fit_regression(
    design: csr_matrix,
    labels: np.ndarray,
    penalty: float,
    num_labels: int,
    name: str = "The linear model",
    sample_weights: np.ndarray | None = None,
    problem: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (K, C) and biases (C,) of a regression; a class that no row has is never the answer.

    Its losses are those of scikit-learn: the sum of the cross entropies, each times its weight if there are weights, and half the squares
    of the weights, over `penalty`. Of several labels each has a regression of its own. Of numbers it is a ridge regression (Hoerl and
    Kennard 1970), which sums half the squares of errors in units of their deviation. Labels, weights and problem are those of `row_losses`.
    """
    if problem == NUMBERS:
        centre, scale = labels.mean(), labels.std() or 1.0
        slope, offset = _fit(design, (labels - centre) / scale, penalty, 1, name, sample_weights, squared_errors)
        return slope * scale, offset * scale + centre
    weight = np.zeros((design.shape[1], num_labels), dtype=np.float32)
    bias: np.ndarray = np.full(num_labels, ABSENT, dtype=np.float32)
    if problem == SEVERAL:
        shares = labels.mean(0)
        bias[shares == 1] = -ABSENT
        # labels that tell rows apart
        present = np.flatnonzero((shares > 0) & (shares < 1))
        if sample_weights is not None and sample_weights.ndim == 2:
            sample_weights = sample_weights[:, present]
        if len(present):
            weight[:, present], bias[present] = _fit(design, labels[:, present], penalty, len(present), name, sample_weights, of_each_label)
        return weight, bias
    if labels.ndim == 2:
        present = np.flatnonzero(labels.any(0))
        targets = labels[:, present[1]] if len(present) == 2 else labels[:, present]
    else:
        present, targets = np.unique(labels, return_inverse=True)
    if len(present) == 1:
        bias[present] = 0.0
    elif len(present) == 2:
        # one column tells the second class from the first
        halves = np.array([-0.5, 0.5], dtype=np.float32)
        weight[:, present], bias[present] = (
            halves * part for part in _fit(design, targets, penalty, 1, name, sample_weights, of_each_label)
        )
    else:
        weight[:, present], bias[present] = _fit(design, targets, penalty, len(present), name, sample_weights, of_classes)
    return weight, bias


def _fit(
    design: csr_matrix, targets: np.ndarray, penalty: float, columns: int, name: str, sample_weights: np.ndarray | None, losses: Losses
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (K, C) and biases (C,) of C columns."""
    objective = regression_loss(design, targets, penalty, columns, sample_weights, losses)
    found = minimize(objective, torch.zeros((design.shape[1] + 1) * columns), 1 / penalty, len(targets), name).view(-1, columns).numpy()
    return found[:-1], found[-1]


def of_classes(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses of rows of one class each, wanted as ids (N, 1) or shares (N, C)."""
    logs = logits.log_softmax(1)
    if wanted.is_floating_point():
        return -(wanted * logs).sum(1, keepdim=True), logs.exp_() - wanted
    return -logs.gather(1, wanted), logs.exp_().scatter_add_(1, wanted, torch.full(wanted.shape, -1.0))


def of_each_label(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses of labels that each are there or not, or in part, (N, C); one column tells two classes apart."""
    return nn.functional.softplus(logits) - wanted * logits, logits.sigmoid() - wanted


def squared_errors(outputs: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return half the squares of errors, (N, C)."""
    errors = outputs - wanted
    return errors.square() / 2, errors


def regression_loss(
    design: csr_matrix,
    targets: np.ndarray,
    penalty: float,
    columns: int,
    sample_weights: np.ndarray | None = None,
    losses_of: Losses = of_classes,
) -> Objective:
    """Return the loss of a regression by its weights and biases, ((K + 1) C,), with its gradient.

    Targets are what `losses_of` wants, (N,) where that is one column.
    """
    design = hstack([design, np.ones((len(targets), 1))], format="csr", dtype=np.float32)
    rows, transposed = sparse_tensor(design), sparse_tensor(design.T.tocsr())
    wanted = torch.tensor(targets.reshape(len(targets), -1))
    # ids stay whole
    wanted = wanted.float() if losses_of is not of_classes or wanted.is_floating_point() else wanted
    # (N, 1), of several labels (N, C)
    counts = None if sample_weights is None else torch.tensor(sample_weights, dtype=torch.float32).view(len(targets), -1)

    def objective(point: Tensor) -> tuple[float, Tensor]:
        table = point.view(-1, columns)
        losses, errors = losses_of(rows @ table, wanted)
        if counts is not None:
            losses, errors = losses * counts, errors * counts
        gradient = transposed @ errors
        gradient[:-1].add_(table[:-1], alpha=1 / penalty)
        return float(losses.double().sum() + squares(table[:-1]) / (2 * penalty)), gradient.flatten()

    return objective


def sparse_tensor(matrix: csr_matrix) -> Tensor:
    """Return a sparse matrix as a tensor, whose products take half the time of scipy's."""
    with warnings.catch_warnings():
        # sparse tensors are called beta; products with dense ones are all that is asked of them
        warnings.simplefilter("ignore", UserWarning)
        parts = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
        return torch.sparse_csr_tensor(*parts, size=matrix.shape)


def choose_penalty(
    kinds: list[csr_matrix],
    labels: np.ndarray,
    num_labels: int,
    folds: int = FOLDS,
    sample_weights: np.ndarray | None = None,
    problem: str | None = None,
) -> tuple[float, float]:
    """Return the penalty under which held-out folds of enough rows are likeliest, of all five of them or fewer, and what logits are worth.

    Logits of each penalty are judged at their best temperature: a strong penalty would be chosen else where it makes a model less sure, not
    better. What they are worth is one over that temperature, 1 for numbers. Rows of what a fold has not seen say nothing of either.

    Args:
        kinds (`list`): Values of features, (N, K) each; what they tell, each fold finds out by itself.
        labels (`np.ndarray`): See `row_losses`.
        num_labels (`int`): Number of classes.
        folds (`int`): How many of them.
        sample_weights (`np.ndarray`, *optional*): See `row_losses`.
        problem (`str`, *optional*): See `row_losses`.
    """
    rows = np.random.default_rng(0).permutation(len(labels))[:ENOUGH_ROWS]
    kinds, labels = [kind[rows] for kind in kinds], labels[rows]
    counts = None if sample_weights is None else sample_weights[rows]
    outputs: dict[float, list[np.ndarray]] = {each: [] for each in (PENALTIES_OF_NUMBERS if problem == NUMBERS else PENALTIES)}
    judged = []
    for train, held_out in list(KFold(min(FOLDS, len(rows))).split(rows))[:folds] if len(rows) > 1 else []:
        own = None if counts is None else counts[train]
        known = [kind[train] for kind in kinds]
        weights = telling_weights(known, told_apart(labels[train], problem))
        design, asked = weigh_columns(known, weights), weigh_columns([kind[held_out] for kind in kinds], weights)
        for penalty, found in outputs.items():
            weight, bias = fit_regression(design, labels[train], penalty, num_labels, sample_weights=own, problem=problem)
            found.append(asked @ weight + bias)
        is_known = _are_known(labels[held_out], bias, problem)
        judged.append(held_out[is_known])
        for found in outputs.values():
            found[-1] = found[-1][is_known]
    if not judged:
        return next(iter(outputs)), 1.0
    order = np.concatenate(judged)
    wanted, theirs = labels[order], None if counts is None else counts[order]
    worth, losses = dict.fromkeys(outputs, 1.0), dict.fromkeys(outputs, 0.0)
    for penalty, found in outputs.items():
        answers = np.concatenate(found).astype(float)
        if problem != NUMBERS:
            worth[penalty] = 1 / fit_temperature(answers, wanted, problem, theirs)
        losses[penalty] = negative_log_likelihood(worth[penalty] * answers, wanted, theirs, problem)
    best = min(losses, key=lambda penalty: losses[penalty])
    return best, worth[best]


def _are_known(labels: np.ndarray, bias: np.ndarray, problem: str | None) -> np.ndarray:
    """Return whether what rows have was there when a regression with such biases (C,) was fitted, and what they lack was missing, (N,)."""
    if problem == NUMBERS:
        return np.ones(len(labels), dtype=bool)
    wanted = labels if labels.ndim == 2 else np.eye(len(bias))[labels]
    return ~(((bias == ABSENT) & (wanted > 0)) | ((bias == -ABSENT) & (wanted < 1))).any(1)


def class_ids(labels: np.ndarray) -> np.ndarray:
    """Return class ids (N,), the likeliest ones of shares (N, C)."""
    return labels.argmax(1) if labels.ndim == 2 else labels


def told_apart(labels: np.ndarray, problem: str | None) -> np.ndarray:
    """Return what features are weighted by telling apart: class ids (N,), or 0 and 1 of several labels (N, C); numbers are one class."""
    if problem == NUMBERS:
        return np.zeros(len(labels), dtype=int)
    return labels if problem == SEVERAL else class_ids(labels)
