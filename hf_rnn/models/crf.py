"""Linear-chain conditional random field (Lafferty et al. 2001; Collobert et al. 2011, section 3.2.2) over dense rows.

Rows are dense: the positions that count come first, so a row is described by its length. The score of a path y of a row is
start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_t, y_t+1] + end[y_last].
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# scores of moves, of as many rows as are searched together: more of them leave the cache of a core
CACHED_MOVES = 2**16


class LinearChainCRF(nn.Module):
    """Score, sum over and search all tag paths of a batch of rows.

    Args:
        num_tags (`int`): C.

    Forbidden transitions are kept apart from the learned ones, in three persistent boolean buffers, so that training cannot
    undo them; see `forbid`.
    """

    # large enough to lose against any learned score, small enough to stay exact when summed in fp32
    FORBIDDEN = -1e4

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        self.num_tags = num_tags
        self.start_transitions = nn.Parameter(torch.zeros(num_tags))
        self.end_transitions = nn.Parameter(torch.zeros(num_tags))
        # from row to column
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))
        self.register_buffer("forbidden_start", torch.zeros(num_tags, dtype=torch.bool))
        self.register_buffer("forbidden_end", torch.zeros(num_tags, dtype=torch.bool))
        self.register_buffer("forbidden_transitions", torch.zeros(num_tags, num_tags, dtype=torch.bool))

    def forbid(self, start: Tensor, end: Tensor, transitions: Tensor) -> None:
        """Forbid tags at the start (C,), at the end (C,) and from one tag to the next (C, C), wherever True."""
        self.forbidden_start.copy_(start)
        self.forbidden_end.copy_(end)
        self.forbidden_transitions.copy_(transitions)

    def _scores(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Return start (C,), end (C,) and transition scores (C, C) with what is forbidden filled in."""
        return (
            self.start_transitions.to(dtype).masked_fill(self.forbidden_start, self.FORBIDDEN),
            self.end_transitions.to(dtype).masked_fill(self.forbidden_end, self.FORBIDDEN),
            self.transitions.to(dtype).masked_fill(self.forbidden_transitions, self.FORBIDDEN),
        )

    def log_likelihood(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return log p(tags | emissions) of each row.

        Args:
            emissions (`Tensor`): (B, W, C); what lies behind a row's length is ignored.
            tags (`Tensor`): Tag ids, (B, W).
            lengths (`Tensor`): Positions a row, (B,); a row of length 0 has log-likelihood 0.

        Returns:
            `Tensor`: (B,), in fp32 or the wider dtype of the emissions.
        """
        # (B, W)
        mask = torch.arange(emissions.shape[1], device=emissions.device) < lengths[:, None]
        emissions = emissions.to(torch.promote_types(emissions.dtype, torch.float32)).masked_fill(~mask.unsqueeze(2), 0.0)
        return self._path_score(emissions, tags.masked_fill(~mask, 0), mask) - self._log_partition(emissions, mask)

    def _path_score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        if emissions.shape[1] == 0:
            return emissions.sum((1, 2))
        start, end, transitions = self._scores(emissions.dtype)
        # (B, W)
        score = emissions.gather(2, tags.unsqueeze(2)).squeeze(2)
        # (B, W - 1)
        moves = transitions[tags[:, :-1], tags[:, 1:]]
        last = tags.gather(1, mask.sum(1, keepdim=True).sub(1).clamp(min=0)).squeeze(1)
        ends = (start[tags[:, 0]] + end[last]) * mask[:, 0]
        return (score * mask).sum(1) + (moves * mask[:, 1:]).sum(1) + ends

    def _log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Sum over all paths: (B,)."""
        if emissions.shape[1] == 0:
            return emissions.sum((1, 2))
        scores = emissions.to(_wide_dtype(emissions.device))
        return (_LogPartition.apply(scores, mask, *self._scores(scores.dtype)) * mask[:, 0]).to(emissions.dtype)

    @torch.no_grad()
    def max_marginals(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return, for each position and tag, by how much the best path through it falls short of the best of all.

        The forward-backward algorithm in the max-plus semiring. The arg max at every position is the Viterbi path: of several
        paths with the best score one is chosen, and its tags alone have the value 0, so that ties never mix two paths.

        Args:
            emissions (`Tensor`): (B, W, C).
            lengths (`Tensor`): Positions a row, (B,).

        Returns:
            `Tensor`: (B, W, C), 0 on the Viterbi path and below 0 elsewhere; zero behind a row's length.
        """
        # sums along a path in fp64, so that rounding cannot reorder paths that fp32 tells apart
        run = max_marginals if torch.compiler.is_compiling() else _max_marginals
        return run(emissions, lengths, *self._scores(_wide_dtype(emissions.device)))

    @torch.no_grad()
    def forward_backward(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-sums over all paths: of what ends in each tag, its own emission included, and of what follows on it.

        Their sum, less its log-sum over tags, is the logarithm of the probability of a tag.

        Args:
            emissions (`Tensor`): (B, W, C).
            lengths (`Tensor`): Positions a row, (B,).

        Returns:
            `tuple`: (B, W, C) each, in fp64 where there is any; arbitrary behind a row's length.
        """
        run = forward_backward if torch.compiler.is_compiling() else _forward_backward
        alpha, beta = run(emissions, lengths, *self._scores(_wide_dtype(emissions.device))).unbind(0)
        return alpha, beta

    def moves(self, dtype: torch.dtype) -> Tensor:
        """Return the scores of moves from one tag to the next, (C, C), with what is forbidden filled in."""
        return self._scores(dtype)[2]


class _LogPartition(torch.autograd.Function):
    """The forward algorithm, whose gradients are marginals: of tags for emissions, of neighbours for transitions.

    Each step is a product of probabilities, scaled by that of the best tag (Rabiner 1989, section V.A); in fp64, where what falls
    below its range is less than e^-700 of the sum.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, mask: Tensor, start: Tensor, end: Tensor, transitions: Tensor) -> Tensor:
        """Sum over all paths of scores (B, W, C) where mask (B, W): (B,)."""
        highest = transitions.amax()
        # (C, C)
        factors = (transitions - highest).exp()
        # (B, C)
        alpha = start + scores[:, 0]
        tiny = torch.finfo(alpha.dtype).tiny
        # of each step, (W - 1, B, C): probabilities before it, and what the moves make of them
        before, after = scores.new_empty(2, scores.shape[1] - 1, *alpha.shape)
        for step in range(1, scores.shape[1]):
            peak = alpha.amax(1, keepdim=True)
            torch.exp(alpha - peak, out=before[step - 1])
            torch.mm(before[step - 1], factors, out=after[step - 1])
            moved = after[step - 1].clamp_(min=tiny).log() + (peak + highest) + scores[:, step]
            alpha = torch.where(mask[:, step, None], moved, alpha)
        totals = alpha + end
        ctx.save_for_backward(mask, factors, before, after, totals.softmax(1))
        return totals.logsumexp(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor, Tensor, Tensor]:
        """Follow the steps back."""
        mask, factors, before, after, last = ctx.saved_tensors
        # (B, C): the marginals of the tag of a row's last position so far
        marginal = last * grad[:, None]
        end = marginal.sum(0)
        steps = [marginal]
        ratios = torch.empty_like(after)
        for step in range(mask.shape[1] - 1, 0, -1):
            ratios[step - 1] = ratio = (marginal / after[step - 1]).masked_fill(~mask[:, step, None], 0.0)
            marginal = torch.where(mask[:, step, None], before[step - 1] * (ratio @ factors.T), marginal)
            steps.append(marginal)
        transitions = before.flatten(0, 1).T @ ratios.flatten(0, 1) * factors
        return torch.stack(steps[::-1], 1) * mask.unsqueeze(2), None, marginal.sum(0), end, transitions


def _wide_dtype(device: torch.device) -> torch.dtype:
    """Return fp64, or fp32 on devices without it."""
    return torch.float32 if device.type == "mps" else torch.float64


def _max_marginals(emissions: Tensor, lengths: Tensor, start: Tensor, end: Tensor, transitions: Tensor) -> Tensor:
    """Search rows in parts: on a processor as many at a time as its cache holds the moves of, no further than they are long."""
    batch_size, width, _ = emissions.shape
    if width == 0 or batch_size == 0:
        return torch.zeros_like(emissions)
    rows = max(1, CACHED_MOVES // transitions.numel())
    if emissions.device.type != "cpu" or batch_size <= rows:
        return _search(emissions, lengths, start, end, transitions)
    found = torch.zeros_like(emissions)
    for first in range(0, batch_size, rows):
        part = lengths[first : first + rows]
        longest = int(part.max())
        if longest > 0:
            scores = emissions[first : first + rows, :longest]
            found[first : first + rows, :longest] = _search(scores, part, start, end, transitions)
    return found


def _search(emissions: Tensor, lengths: Tensor, start: Tensor, end: Tensor, transitions: Tensor) -> Tensor:
    batch_size, width, _ = emissions.shape
    # each row forwards and backwards, so that both searches are one
    both, mirror = _both_ways(emissions, lengths, transitions.dtype)
    mask = torch.arange(width, device=emissions.device) < lengths[:, None]
    # (2, 1, C, C): to a tag from those that come before it in reading
    moves = torch.stack([transitions.T, transitions]).unsqueeze(1)
    # best score of what is read before each tag: (2, B, C)
    reached = [torch.stack([start, end]).unsqueeze(1).expand(-1, batch_size, -1)]
    for step in both[:-1].unbind(0):
        reached.append((moves + (reached[-1] + step).unsqueeze(2)).amax(3))
    # (B, W, C)
    forwards, backwards = torch.stack(reached, 2)
    alpha = forwards + both[:, 0].transpose(0, 1)
    marginal = alpha + backwards.gather(1, mirror)
    peak = marginal.amax(2, keepdim=True)
    viterbi = marginal.argmax(2)
    # where another tag comes as close as rounding reaches, arg maxes may be of different paths
    margin = torch.finfo(peak.dtype).eps ** 0.5 * peak.abs().clamp(min=1)
    if bool(((marginal >= peak - margin).sum(2) > 1).logical_and(mask).any()):
        viterbi = _follow(alpha, viterbi, lengths, transitions)
    shortfall = (marginal - peak).to(emissions.dtype).clamp(max=-torch.finfo(emissions.dtype).tiny)
    return shortfall.scatter(2, viterbi.unsqueeze(2), 0.0) * mask.unsqueeze(2)


def _follow(alpha: Tensor, best: Tensor, lengths: Tensor, transitions: Tensor) -> Tensor:
    """Return the Viterbi path (B, W) from the scores of the best path to each tag (B, W, C) and the best tags (B, W), read at the ends."""
    path = [best[:, -1]]
    for step in range(alpha.shape[1] - 2, -1, -1):
        before = (alpha[:, step] + transitions.T[path[-1]]).argmax(1)
        path.append(torch.where(step < lengths - 1, before, best[:, step]))
    return torch.stack(path[::-1], 1)


def _forward_backward(emissions: Tensor, lengths: Tensor, start: Tensor, end: Tensor, transitions: Tensor) -> Tensor:
    batch_size, width, _ = emissions.shape
    if width == 0 or batch_size == 0:
        return torch.stack([emissions, emissions]).to(transitions.dtype)
    both, mirror = _both_ways(emissions, lengths, transitions.dtype)
    highest, tiny = transitions.amax(), torch.finfo(transitions.dtype).tiny
    # (2, C, C)
    factors = (torch.stack([transitions, transitions.T]) - highest).exp()
    # log-sum of what is read before each tag: (2, B, C)
    reached = [torch.stack([start, end]).unsqueeze(1).expand(-1, batch_size, -1)]
    for step in both[:-1].unbind(0):
        ends = reached[-1] + step
        peak = ends.amax(2, keepdim=True)
        reached.append((ends - peak).exp_().bmm(factors).clamp_(min=tiny).log_() + (peak + highest))
    forwards, backwards = torch.stack(reached, 2)
    return torch.stack([forwards + both[:, 0].transpose(0, 1), backwards.gather(1, mirror)])


def _both_ways(emissions: Tensor, lengths: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return scores read forwards and backwards (W, 2, B, C), what is behind a row last, and the mirror image of positions (B, W, C)."""
    places = torch.arange(emissions.shape[1], device=emissions.device)
    mask = places < lengths[:, None]
    scores = emissions.to(dtype).masked_fill(~mask.unsqueeze(2), 0.0)
    mirror = (lengths[:, None] - 1 - places).clamp(min=0).unsqueeze(2).expand_as(scores)
    return torch.stack([scores, scores.gather(1, mirror)]).permute(2, 0, 1, 3), mirror


# a graph holds a search as one node: as loops it would be unrolled over a fixed number of steps
max_marginals = torch.library.custom_op("hf_rnn::max_marginals", _max_marginals, mutates_args=())
max_marginals.register_fake(lambda emissions, *_: torch.empty_like(emissions))
forward_backward = torch.library.custom_op("hf_rnn::forward_backward", _forward_backward, mutates_args=())
forward_backward.register_fake(lambda emissions, *scores: scores[2].new_empty(2, *emissions.shape))


def dense_positions(mask: Tensor) -> Tensor:
    """Return the positions (B, W) that are True in mask (B, T), in order, W of the fullest row; shorter rows end arbitrarily."""
    width = int(mask.sum(1).max()) if mask.numel() else 0
    return torch.argsort(~mask, dim=1, stable=True)[:, :width]
