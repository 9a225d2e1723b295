"""From the states of positions to labels: losses and searches over words, and what comes next."""

import torch
from torch import Tensor

from .crf import LinearChainCRF, dense_positions
from .masked import Compaction, take_positions
from .posteriors import span_scores


def crf_loss(
    crf: LinearChainCRF, emissions: Tensor, labels: Tensor, num_items: Tensor | int | None, weights: Tensor | None = None
) -> Tensor:
    """Return the negative log-likelihood of tags (B, T), -100 off the first pieces of words, per word or divided by `num_items`.

    Weights (B,) say how much each row counts in the sum.
    """
    # (B, W): the labelled positions, first pieces of words, side by side
    labelled = labels != -100
    dense = dense_positions(labelled)
    tags = labels.gather(1, dense)
    likelihood = crf.log_likelihood(take_positions(emissions, dense), tags, labelled.sum(1))
    total = -(likelihood if weights is None else likelihood * weights.to(likelihood.dtype)).sum()
    return total / (labelled.sum().clamp(min=1) if num_items is None else num_items)


def decode(
    crf: LinearChainCRF, emissions: Tensor, starts: Tensor, special: Tensor, is_masked: bool, goes_on: Tensor | None = None
) -> Tensor:
    """Replace the emissions (B, T, C) of words by scores of the best path; those of special tokens and padding stay.

    Args:
        crf (`LinearChainCRF`): Holds the scores of moves.
        emissions (`Tensor`): (B, T, C).
        starts (`Tensor`): Where a word or special token starts, (B, T).
        special (`Tensor`): Where there is a special token or nothing, (B, T).
        is_masked (`bool`): Whether to use the mask-only form.
        goes_on (`Tensor`, *optional*): Which tag goes on with the span of the one before, (C, C); the softmax of scores is the probability
            of spans then, see `span_scores`. Max-marginals without.
    """
    words = starts & ~special
    dense = Compaction.from_mask(words).order if is_masked else dense_positions(words)
    of_words, lengths = take_positions(emissions, dense), words.sum(1)
    scores = crf.max_marginals(of_words, lengths) if goes_on is None else span_scores(crf, of_words, lengths, goes_on)
    if scores.shape[1] == 0:
        return emissions
    # (B, T): the word of each position
    word_of = (words.cumsum(1) - 1).clamp(min=0)
    is_word = (word_of < words.sum(1, keepdim=True)) & ~special
    return torch.where(is_word.unsqueeze(2), take_positions(scores, word_of), emissions)


def next_labels(labels: Tensor, mask: Tensor) -> Tensor:
    """Return for each position of (B, T) the label of the next one that exists, -100 at the last and where there is none."""
    compaction = Compaction.from_mask(mask)
    following = compaction.take(labels).roll(-1, 1)
    places = torch.arange(mask.shape[1], device=mask.device)
    following = following.masked_fill(places >= compaction.lengths[:, None] - 1, -100)
    return take_positions(following, compaction.rank).masked_fill(~mask, -100)
