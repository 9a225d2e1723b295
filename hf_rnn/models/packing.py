"""How the tokens of rows of unequal length are laid out in order of time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from .kernel import Steps


def pad_batches(rows: Iterable[list[int]], batch_size: int = 256) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ids (B, T), padded with 0 on the right, and masks (B, T) of rows in order."""
    remaining = iter(rows)
    while batch := list(islice(remaining, batch_size)):
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row, dtype=torch.long) for row in batch], batch_first=True)
        yield ids, torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in batch])[:, None]


@dataclass(frozen=True)
class Packing:
    """Where each token of ragged rows stands once the rows are packed, the layout of `torch.nn.utils.rnn.PackedSequence`.

    R rows of together N tokens, laid end to end, become N tokens in order of time: first the first token of every row that
    has one, longest row first, then the second tokens, and so on. Rows without tokens are legal and come last.

    Attributes:
        lengths (`Tensor`): Tokens a row, (R,).
        order (`Tensor`): Rows by falling length, (R,).
        inverse (`Tensor`): The place of each row in `order`, (R,).
        rows (`Tensor`): For each packed token its row's place in `order`, (N,).
        source (`Tensor`): For each packed token its place among the rows laid end to end, (N,).
        reverse (`Tensor`): For each packed token the packed place of its mirror image in its own row, (N,).
        steps (`list`): First packed token and number of running rows of every time step.
    """

    lengths: Tensor
    order: Tensor
    inverse: Tensor
    rows: Tensor
    source: Tensor
    reverse: Tensor
    steps: Steps

    @classmethod
    def from_lengths(cls, lengths: Tensor) -> "Packing":
        """Plan the packing of rows with `lengths` (R,) tokens each; lengths on another device are fetched once."""
        device, lengths = lengths.device, lengths.cpu()
        if len(set(lengths.tolist())) == 1:
            return cls._rectangular(lengths, device)
        # (R,)
        ordered, order = lengths.sort(descending=True, stable=True)
        firsts = (lengths.cumsum(0) - lengths)[order]
        longest = int(ordered[0]) if len(ordered) else 0
        # (S, R): whether a row runs at a step
        running = ordered > torch.arange(longest)[:, None]
        # (S,)
        sizes = running.sum(1)
        starts = sizes.cumsum(0) - sizes
        # (N,)
        times, rows = running.nonzero(as_tuple=True)
        reverse = starts[ordered[rows] - 1 - times] + rows
        steps = list(zip(starts.tolist(), sizes.tolist(), strict=True))
        fields = {
            "lengths": lengths,
            "order": order,
            "inverse": order.argsort(),
            "rows": rows,
            "source": firsts[rows] + times,
            "reverse": reverse,
        }
        return cls(**{name: index.to(device, non_blocking=True) for name, index in fields.items()}, steps=steps)

    @classmethod
    def _rectangular(cls, lengths: Tensor, device: torch.device) -> "Packing":
        """Plan the packing of rows that all have the same length."""
        rows, longest = len(lengths), int(lengths[0])
        order = torch.arange(rows, device=device)
        # (S, R)
        places = torch.arange(longest * rows, device=device).view(longest, rows)
        source, reverse = places.view(rows, longest).t().flatten(), places.flip(0).flatten()
        steps = [(start, rows) for start in range(0, longest * rows, rows)]
        return cls(lengths.to(device), order, order, order.repeat(longest), source, reverse, steps)

    @property
    def batch_sizes(self) -> Tensor:
        """Return the number of running rows of every step, (S,), on the CPU as cuDNN wants it."""
        return torch.tensor([size for _, size in self.steps], dtype=torch.int64)

    @property
    def is_rectangular(self) -> bool:
        """Return whether all rows have the same number of tokens, at least one."""
        return bool(self.steps) and self.steps[-1][1] == len(self.lengths)
