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


def cross_entropies(
    logits: np.ndarray, labels: np.ndarray, sample_weights: np.ndarray | None = None, has_several: bool = False
) -> np.ndarray:
    """Return the cross entropy of each row, (N,), of several labels their sum.

    Args:
        logits (`np.ndarray`): (N, C).
        labels (`np.ndarray`): Class ids (N,), shares of the classes (N, C), or 0 and 1 of several labels (N, C).
        sample_weights (`np.ndarray`, *optional*): How much each row counts, (N,), or each of its several labels, (N, C).
        has_several (`bool`): Whether a row may have several labels.
    """
    if has_several:
        losses = -(labels * log_expit(logits) + (1 - labels) * log_expit(-logits))
        weights = 1.0 if sample_weights is None else sample_weights.reshape(len(losses), -1)
        return (losses * weights).sum(1)
    logs = log_softmax(logits, axis=1)
    losses = -(logs * labels).sum(1) if labels.ndim == 2 else -logs[np.arange(len(labels)), labels]
    return losses if sample_weights is None else losses * sample_weights


def cross_entropy(logits: np.ndarray, labels: np.ndarray, sample_weights: np.ndarray | None = None, has_several: bool = False) -> float:
    """Return the sum of `cross_entropies`."""
    return float(cross_entropies(logits, labels, sample_weights, has_several).sum())


def labels_of(rows: Dataset) -> np.ndarray:
    """Return the class ids of rows (N,), where they have soft labels the shares of the classes, or of several labels 0 and 1, (N, C)."""
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


def pays(linear: np.ndarray, recurrent: np.ndarray, labels: np.ndarray, prior: Prior, has_several: bool = False) -> bool:
    """Return whether validation rows are likelier, by more than chance, with a linear model than by the recurrence alone.

    Each half of them is judged with the factors, or the recurrence's own, that the other half chose; the mean gain of a row must be two of
    its standard errors above 0, and `LEAST_GAIN` of the loss.

    Args:
        linear (`np.ndarray`): Logits of the linear model, (N, C).
        recurrent (`np.ndarray`): Those of the recurrence, (N, C).
        labels (`np.ndarray`): See `cross_entropies`.
        prior (`Prior`): Of the factors.
        has_several (`bool`): Whether a row may have several labels.
    """
    if not len(labels):
        return False
    alone, both = np.zeros((2, len(labels)))
    halves = np.array_split(np.random.default_rng(0).permutation(len(labels)), 2)
    for chosen_by, judged in (halves, halves[::-1]):
        for losses, part in ((alone, np.zeros_like(linear)), (both, linear)):

            def loss(pair: np.ndarray, part: np.ndarray = part, rows: np.ndarray = chosen_by) -> float:
                return cross_entropy(pair[0] * part[rows] + pair[1] * recurrent[rows], labels[rows], has_several=has_several)

            factors = choose_factors(loss, prior)
            logits = factors[0] * part[judged] + factors[1] * recurrent[judged]
            losses[judged] = cross_entropies(logits, labels[judged], has_several=has_several)
    gains = alone - both
    return bool(gains.mean() > max(2 * gains.std() / len(gains) ** 0.5, LEAST_GAIN * alone.mean()))
