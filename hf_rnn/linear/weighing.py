"""Weigh a linear model against the recurrence beside it, on rows that neither has seen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset
from scipy.special import log_expit, log_softmax
from transformers import PreTrainedModel

from ..data.rows.collator import SHARES
from ..models.packing import pad_batches
from .convergence import search

# problem types of transformers
SEVERAL, NUMBERS = "multi_label_classification", "regression"
# mean of half the squared errors of numbers, of which the logarithm is taken, at least
LEAST_ERROR = 1e-12
# share of the loss on validation rows that a linear model must take away to be worth its time
LEAST_GAIN = 0.05


@dataclass(frozen=True)
class Prior:
    """What the factors of a linear model and of the recurrence beside it are likely to be, before validation rows have their say.

    Attributes:
        linear (`float`): Centre of the first factor.
        recurrence (`float`): Centre of the second, as a multiple of the first.
        widths (`tuple`): Standard deviations of the logarithms of both.
    """

    linear: float = 1.0
    recurrence: float = 0.1
    widths: tuple[float, float] = (2.0, 1.0)

    @property
    def centres(self) -> np.ndarray:
        """Return the centres of the logarithms."""
        return np.log([self.linear, self.recurrence])

    @property
    def factors(self) -> np.ndarray:
        """Return the factors (2,) that it says without validation rows."""
        return np.exp(np.cumsum(self.centres))


# of a recurrence that learnt from labels alone, whose few validation rows must not make a model sure that has them all right, and of one
# that learnt from a teacher or from text too, which knows more and is less sure
FROM_LABELS, LEARNED = Prior(widths=(0.5, 1.0)), Prior(recurrence=1.0)
# of numbers, of which two that know as much have a mean
LEARNED_NUMBERS = Prior(linear=0.5, recurrence=1.0, widths=(0.5, 1.0))


def row_losses(outputs: np.ndarray, labels: np.ndarray, sample_weights: np.ndarray | None = None, problem: str | None = None) -> np.ndarray:
    """Return the loss of each row, (N,): the cross entropy of its class, the sum of those of its several labels, or half a squared error.

    Args:
        outputs (`np.ndarray`): Logits or numbers, (N, C).
        labels (`np.ndarray`): Class ids (N,), shares of the classes (N, C), 0 and 1 of several labels (N, C), or numbers (N,).
        sample_weights (`np.ndarray`, *optional*): How much each row counts, (N,), or each of its several labels, (N, C).
        problem (`str`, *optional*): The `problem_type` of the model; None is one class a row.
    """
    if problem == SEVERAL:
        losses = -(labels * log_expit(outputs) + (1 - labels) * log_expit(-outputs))
        weights = 1.0 if sample_weights is None else sample_weights.reshape(len(losses), -1)
        return (losses * weights).sum(1)
    if problem == NUMBERS:
        losses = np.square(outputs[:, 0] - labels) / 2
    else:
        logs = log_softmax(outputs, axis=1)
        losses = -(logs * labels).sum(1) if labels.ndim == 2 else -logs[np.arange(len(labels)), labels]
    return losses if sample_weights is None else losses * sample_weights


def negative_log_likelihood(
    outputs: np.ndarray, labels: np.ndarray, sample_weights: np.ndarray | None = None, problem: str | None = None
) -> float:
    """Return the negative log-likelihood of labels, but for a constant; errors of numbers are normal, of a deviation that is not known.

    Arguments are those of `row_losses`.
    """
    losses = row_losses(outputs, labels, sample_weights, problem)
    if problem == NUMBERS:
        return 0.5 * len(losses) * float(np.log(max(losses.mean(), LEAST_ERROR))) if len(losses) else 0.0
    return float(losses.sum())


def blend(factors: np.ndarray, linear: np.ndarray, recurrent: np.ndarray, centre: float = 0.0) -> np.ndarray:
    """Return what both parts say together, (N, C): each times its factor, numbers by how far they are from their centre."""
    return centre + factors[0] * (linear - centre) + factors[1] * (recurrent - centre)


def labels_of(rows: Dataset) -> np.ndarray:
    """Return class ids or numbers of rows, (N,); of soft labels the shares of the classes, and of several labels 0 and 1, (N, C)."""
    ids = np.array(rows["labels"])
    if SHARES not in rows.column_names:
        return ids
    shares = list(rows[SHARES])
    one_class = np.eye(max(len(each) for each in shares if each is not None))
    return np.array([one_class[label] if each is None else each for label, each in zip(ids, shares, strict=True)])


@torch.no_grad()
def logits_of(model: PreTrainedModel, rows: list[list[int]]) -> np.ndarray:
    """Return the logits (N, C) of a classifier as it is, of rows of ids."""
    batches = ((ids.to(model.device), mask.to(model.device)) for ids, mask in pad_batches(rows))
    return torch.cat([model.eval()(input_ids=ids, attention_mask=mask).logits.float().cpu() for ids, mask in batches]).numpy()


def choose_factors(loss: Callable[[np.ndarray], float], prior: Prior) -> np.ndarray:
    """Return the factors (2,) of a linear model and of a recurrence with the least loss, given a log-normal prior.

    Args:
        loss (`Callable`): Negative log-likelihood of validation rows, by the factors.
        prior (`Prior`): What is likely without them.
    """

    def posterior(logarithms: np.ndarray) -> float:
        return loss(np.exp(np.cumsum(logarithms))) + 0.5 * float(np.square((logarithms - prior.centres) / prior.widths).sum())

    return np.exp(np.cumsum(search(posterior, prior.centres, "The factors of both parts")))


def pays(linear: np.ndarray, recurrent: np.ndarray, labels: np.ndarray, prior: Prior, problem: str | None = None) -> bool:
    """Return whether validation rows are likelier, by more than chance, with a linear model than by the recurrence alone.

    Each half of them is judged with the factors, or the recurrence's own, that the other half chose; the mean gain of a row must be two of
    its standard errors above 0, and `LEAST_GAIN` of the loss.

    Args:
        linear (`np.ndarray`): Logits of the linear model, (N, C).
        recurrent (`np.ndarray`): Those of the recurrence, (N, C).
        labels (`np.ndarray`): See `row_losses`, of classes or of several labels.
        prior (`Prior`): Of the factors.
        problem (`str`, *optional*): See `row_losses`.
    """
    if not len(labels):
        return False
    alone, both = np.zeros((2, len(labels)))
    halves = np.array_split(np.random.default_rng(0).permutation(len(labels)), 2)
    for chosen_by, judged in (halves, halves[::-1]):
        for losses, part in ((alone, np.zeros_like(linear)), (both, linear)):

            def loss(pair: np.ndarray, part: np.ndarray = part, rows: np.ndarray = chosen_by) -> float:
                return negative_log_likelihood(blend(pair, part[rows], recurrent[rows]), labels[rows], problem=problem)

            factors = choose_factors(loss, prior)
            losses[judged] = row_losses(blend(factors, part[judged], recurrent[judged]), labels[judged], problem=problem)
    gains = alone - both
    return bool(gains.mean() > max(2 * gains.std() / len(gains) ** 0.5, LEAST_GAIN * alone.mean()))
