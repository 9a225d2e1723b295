"""The loss of tagged words given emissions, with its gradients, for all rows at once: explicit, where autograd would record every step."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from ..models.crf import LinearChainCRF
from ..models.kernel import Steps

# what probabilities are divided by at least
TINY = float(np.finfo(np.float32).tiny)


class Loss(NamedTuple):
    """A loss and where it falls.

    Attributes:
        value (`float`): Nats, summed over words or rows.
        emissions (`np.ndarray`): Its gradient to emissions, (N, C).
        moves (`np.ndarray`): Its gradient to the moves of a chain, laid end to end; nothing without a chain.
    """

    value: float
    emissions: np.ndarray
    moves: np.ndarray


def column_of(weights: np.ndarray | None) -> np.ndarray | None:
    """Return weights (N,) as a column (N, 1) of the type of emissions, if there are any."""
    return None if weights is None else weights.astype(np.float32)[:, None]


class LoneTags:
    """Tags of words that know nothing of each other: softmax.

    Args:
        tags (`np.ndarray`): Those of words, (N,).
        weights (`np.ndarray`, *optional*): How much the row of each counts, (N,).
    """

    moves = 0

    def __init__(self, tags: np.ndarray, weights: np.ndarray | None = None) -> None:
        self.tags, self.places, self.weights = tags, np.arange(len(tags)), column_of(weights)

    def loss(self, emissions: np.ndarray, moves: np.ndarray) -> Loss:
        """Return the loss of the words, given emissions (N, C)."""
        logs = log_softmax(emissions, axis=1)
        gradient = np.exp(logs)
        gradient[self.places, self.tags] -= 1
        own = logs[self.places, self.tags, None]
        if self.weights is not None:
            own, gradient = own * self.weights, gradient * self.weights
        return Loss(-float(own.sum(dtype=np.float64)), gradient, moves)


class TagChain:
    """Rows of tags in a linear chain, all read in one pass by the scaled forward-backward algorithm (Rabiner 1989, section V.A).

    Rows are packed: the first words of all of them, longest row first, then all second ones, and so on. A step is then one product.

    Args:
        tags (`np.ndarray`): Those of packed words, (N,).
        steps (`list`): First word and number of rows of each step.
        crf (`LinearChainCRF`): Says how many tags there are, and which moves are forbidden.
        weights (`np.ndarray`, *optional*): How much the row of each word counts, (N,).
    """

    def __init__(self, tags: np.ndarray, steps: Steps, crf: LinearChainCRF, weights: np.ndarray | None = None) -> None:
        self.tags, self.steps, self.size = tags, steps, crf.num_tags
        self.moves = self.size * (self.size + 2)
        self.places = np.arange(len(tags))
        # packed places of the first and the last words of rows, of the words that have one before them, and of those before them
        self.firsts, self.later = np.split(self.places, [steps[0][1]])
        self.before = np.concatenate([self.later[:0], *(start + np.arange(after) for (start, _), (_, after) in pairwise(steps))])
        self.lasts = np.setdiff1d(self.places, self.before)
        masks = (crf.forbidden_start, crf.forbidden_end, crf.forbidden_transitions)
        self.forbidden = np.concatenate([mask.numpy().ravel() for mask in masks])
        self.weights = column_of(weights)
        # how often the rows move so, each as much as it counts
        counts = np.ones(len(tags)) if weights is None else weights
        pairs = np.bincount(tags[self.before] * self.size + tags[self.later], counts[self.later], minlength=self.size**2)
        ends = [np.bincount(tags[places], counts[places], minlength=self.size) for places in (self.firsts, self.lasts)]
        self.counts = np.concatenate([*ends, pairs])

    # a step of a fit that goes much too far has a loss that is no number, and is taken back
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def loss(self, emissions: np.ndarray, moves: np.ndarray) -> Loss:
        """Return the loss of the rows, given emissions (N, C) and moves (2 C + C C,): of the start, of the end, from tag to tag."""
        moves = np.where(self.forbidden, LinearChainCRF.FORBIDDEN, moves).astype(emissions.dtype)
        peaks = emissions.max(1, keepdims=True)
        shares = np.exp(emissions - peaks)
        start, end, transitions = np.split(np.exp(moves), [self.size, 2 * self.size])
        transitions = transitions.reshape(self.size, self.size)
        forward, scales = self._forward(shares, start, transitions)
        shares /= scales
        marginals, arriving = self._backward(shares, end, transitions)
        marginals *= forward
        # (N, 1): the same at all words of a row
        totals = marginals @ np.ones((self.size, 1), dtype=marginals.dtype)
        marginals /= totals
        arriving /= totals
        if self.weights is not None:
            marginals *= self.weights
            arriving *= self.weights
        pairs = forward[self.before].T @ arriving[self.later] * transitions
        expected = np.concatenate([marginals[self.firsts].sum(0), marginals[self.lasts].sum(0), pairs.ravel()])
        partition = self._sum(peaks) + self._sum(np.log(scales)) + self._sum(np.log(totals[self.lasts]), self.lasts)
        path = self._sum(emissions[self.places, self.tags, None]) + float(self.counts @ moves.astype(np.float64))
        marginals[self.places, self.tags] -= 1 if self.weights is None else self.weights[:, 0]
        return Loss(partition - path, marginals, np.where(self.forbidden, 0, expected - self.counts))

    def _sum(self, values: np.ndarray, places: np.ndarray | slice = slice(None)) -> float:
        """Return the sum of values of words (N, 1), each as much as its row counts."""
        return float((values if self.weights is None else values * self.weights[places]).sum(dtype=np.float64))

    def _forward(self, shares: np.ndarray, start: np.ndarray, transitions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities of tags given what comes up to them, (N, C), and what they were divided by, (N, 1)."""
        forward, scales, before = shares.copy(), np.empty_like(shares[:, :1]), shares
        ones = np.ones((self.size, 1), dtype=shares.dtype)
        for step, (first, size) in enumerate(self.steps):
            here, scale = forward[first : first + size], scales[first : first + size]
            # what comes before is the step before, of as many rows as go on
            here *= before[:size] @ transitions if step else start
            np.matmul(here, ones, out=scale)
            here /= np.maximum(scale, TINY, out=scale)
            before = here
        return forward, scales

    def _backward(self, shares: np.ndarray, end: np.ndarray, transitions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how likely what follows each tag is, and that times the tag's own scaled share, (N, C) each."""
        backward, arriving = np.empty_like(shares), np.empty_like(shares)
        backward[self.lasts] = end
        for (earlier, _), (first, size) in zip([(0, 0), *self.steps][::-1][1:], self.steps[::-1], strict=True):
            part = slice(first, first + size)
            np.multiply(shares[part], backward[part], out=arriving[part])
            if first:
                np.matmul(arriving[part], transitions.T, out=backward[earlier : earlier + size])
        return backward, arriving
