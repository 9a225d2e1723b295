"""Masked pooling: the states of a row become one vector. A masked position is as if it were not there."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def last_pooling(hidden: Tensor, mask: Tensor, num_directions: int) -> Tensor:
    """Return the last state of each direction: the end of the row for the first, its beginning for the second.

    Args:
        hidden (`Tensor`): States, (B, T, H).
        mask (`Tensor`): True where a position counts, (B, T).
        num_directions (`int`): 1, or 2 when the second half of H was read from the end.

    Returns:
        `Tensor`: (B, H), zero for a row without positions.
    """
    batch_size, length, size = hidden.shape
    if length == 0:
        return hidden.new_zeros(batch_size, size)
    positions = torch.arange(length, device=hidden.device)
    # (B,)
    last = torch.where(mask, positions, -1).amax(1).clamp(min=0)
    rows = torch.arange(batch_size, device=hidden.device)
    if num_directions == 1:
        pooled = hidden[rows, last]
    else:
        first = torch.where(mask, positions, length).amin(1).clamp(max=length - 1)
        # (B, H/2) each
        pooled = torch.cat([hidden[rows, last, : size // 2], hidden[rows, first, size // 2 :]], dim=1)
    return pooled * mask.any(1, keepdim=True)


def mean_pooling(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average states (B, T, H) over the positions of mask (B, T): (B, H), zero for a row without positions."""
    # (B, T, 1)
    weights = mask.unsqueeze(2).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


def max_pooling(hidden: Tensor, mask: Tensor) -> Tensor:
    """Take the largest value of each feature of (B, T, H) over the positions of mask (B, T): (B, H), zero for an empty row."""
    if hidden.shape[1] == 0:
        return hidden.new_zeros(hidden.shape[0], hidden.shape[2])
    # (B, H)
    largest = hidden.masked_fill(~mask.unsqueeze(2), torch.finfo(hidden.dtype).min).amax(1)
    return largest.masked_fill(~mask.any(1, keepdim=True), 0.0)


class AttentionPooling(nn.Module):
    """Average states by learned weights, the word attention of Yang et al. 2016, equations 5 to 7.

    Args:
        hidden_size (`int`): H.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.projection = nn.Linear(hidden_size, hidden_size)
        self.context = nn.Linear(hidden_size, 1, bias=False)

    def weights(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the weight of each state of (B, T, H), (B, T): zero where mask (B, T) is, 1 together in a row that has positions."""
        # (B, T)
        scores = self.context(torch.tanh(self.projection(hidden))).squeeze(2)
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return scores.softmax(1) * mask

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Pool states (B, T, H) over the positions of mask (B, T): (B, H), zero for a row without positions."""
        return (self.weights(hidden, mask).unsqueeze(2) * hidden).sum(1)


class Pooling(nn.Module):
    """Pool by name.

    Args:
        name (`str`): `"last"`, `"mean"`, `"max"` or `"attention"`.
        hidden_size (`int`): H.
        num_directions (`int`): 1 or 2.
    """

    def __init__(self, name: str, hidden_size: int, num_directions: int) -> None:
        super().__init__()
        self.name = name
        self.num_directions = num_directions
        if name == "attention":
            self.attention = AttentionPooling(hidden_size)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Pool states (B, T, H) over the positions of mask (B, T): (B, H), zero for a row without positions."""
        if self.name == "last":
            return last_pooling(hidden, mask, self.num_directions)
        pool: Callable[[Tensor, Tensor], Tensor]
        pool = {"mean": mean_pooling, "max": max_pooling}[self.name] if self.name != "attention" else self.attention
        return pool(hidden, mask)
