"""How likely the spans of the best path are, among all paths of a linear-chain CRF.

The tags of a span are right together or not at all: its probability is that of its tags side by side, with no neighbour that belongs to it
(Culotta and McCallum 2004, "Confidence Estimation for Information Extraction"). A word outside spans is a span of its own here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .crf import LinearChainCRF
from .tags import split_tag

# probabilities whose logarithm is taken are that at least
LEAST = 1e-30
# share of the probability of the best tag that others have at most, so that rounding makes no ties
LEAD = 0.999


def span_kinds(labels: Sequence[str]) -> list[list[int]]:
    """Return for each of C tags the kind of span that it leaves open, -1 for none, and that which it goes on with, -2 for none, (2 x C)."""
    parts = [split_tag(label) for label in labels]
    number = {kind: place for place, kind in enumerate(dict.fromkeys(kind for _, kind in parts))}
    opened = [number[kind] if prefix in ("B", "I") else -1 for prefix, kind in parts]
    return [opened, [number[kind] if prefix in ("I", "E") else -2 for prefix, kind in parts]]


def going_on(kinds: Tensor) -> Tensor:
    """Return whether a tag goes on with the span of the one before, (C, C), from row to column, from `span_kinds` (2, C)."""
    return kinds[0].unsqueeze(1) == kinds[1]


@torch.no_grad()
def span_scores(crf: LinearChainCRF, emissions: Tensor, lengths: Tensor, goes_on: Tensor) -> Tensor:
    """Return scores whose arg max is the Viterbi path, and whose softmax gives each word of it the probability of its span.

    Args:
        crf (`LinearChainCRF`): Of C tags.
        emissions (`Tensor`): (B, W, C).
        lengths (`Tensor`): Words a row, (B,).
        goes_on (`Tensor`): Which tag goes on with the span of the one before, (C, C), boolean.

    Returns:
        `Tensor`: (B, W, C), 0 on the Viterbi path and below 0 elsewhere; zero behind a row's length.
    """
    best = crf.max_marginals(emissions, lengths)
    if best.shape[1] == 0:
        return best
    path = best.argmax(2)
    exists = torch.arange(best.shape[1], device=best.device) < lengths[:, None]
    tags, spans = _probabilities(crf, emissions, lengths, path, exists, goes_on)
    is_path = torch.arange(best.shape[2], device=best.device) == path.unsqueeze(2)
    scores = _share(tags, spans.unsqueeze(2), is_path).to(best.dtype).clamp(max=-torch.finfo(best.dtype).tiny)
    return scores.masked_fill(is_path | ~exists.unsqueeze(2), 0.0)


def _probabilities(
    crf: LinearChainCRF, emissions: Tensor, lengths: Tensor, path: Tensor, exists: Tensor, goes_on: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the probability of each tag of each word (B, W, C), and that of the span which a word of the path (B, W) is in, (B, W)."""
    # (B, W, C): log-sums of what ends in a tag, and of what follows on it; what moves score
    alpha, beta = crf.forward_backward(emissions, lengths)
    transitions = crf.moves(alpha.dtype)
    scores = emissions.to(alpha.dtype).masked_fill(~exists.unsqueeze(2), 0.0)
    tags = (alpha + beta).softmax(2)
    here, before, after = path.unsqueeze(2), path.roll(1, 1), (scores + beta).roll(-1, 1)
    # (B, W, C): probabilities of the next tag, and of the one before, given the tag of the path
    following = (transitions[path] + after - beta.gather(2, here)).exp()
    preceding = (alpha.roll(1, 1) + transitions.T[path] + (scores - alpha).gather(2, here)).exp()
    # (B, W)
    places = torch.arange(path.shape[1], device=path.device)
    is_first, is_last = places == 0, places == lengths[:, None] - 1
    goes_on_here = goes_on[before, path] & ~is_first
    stops = (following * ~goes_on[path]).sum(2).masked_fill(is_last, 1.0)
    starts = (preceding * ~goes_on.T[path]).sum(2).masked_fill(is_first, 1.0)
    moved = following.roll(1, 1).gather(2, here).squeeze(2)
    begun = tags.gather(2, here).squeeze(2) * starts
    ends = is_last | ~goes_on_here.roll(-1, 1)
    parts = torch.where(goes_on_here, moved, begun) * torch.where(ends, stops, 1.0)
    # of each span the sum of logarithms, at all of its words
    span = (~goes_on_here).cumsum(1) - 1
    logs = torch.zeros_like(parts).scatter_add(1, span, parts.clamp(min=LEAST).log().masked_fill(~exists, 0.0)).gather(1, span)
    return tags, logs.exp()


def _share(tags: Tensor, span: Tensor, is_path: Tensor) -> Tensor:
    """Return logarithms of the probabilities of tags less that of the tag of the path, which is its span's (B, W, 1).

    The others share what is left as they share their own probabilities (B, W, C), evenly as far as it takes for none to beat the path;
    so of C tags that of the path has 1 / C at least.
    """
    others = tags.clamp(min=LEAST).masked_fill(is_path, 0.0)
    shares = others / others.sum(2, keepdim=True)
    even = 1 / max(tags.shape[2] - 1, 1)
    own = span.clamp(min=1 / (tags.shape[2] * LEAD**2), max=1.0)
    left = (1 - own).clamp(min=LEAST)
    # (B, W, 1): how evenly
    highest = left * shares.amax(2, keepdim=True)
    evenly = ((highest - LEAD * own) / (highest - left * even).clamp(min=LEAST)).clamp(0.0, 1.0)
    return (left * ((1 - evenly) * shares + evenly * even) / own).log()
