"""How a batch lies while it is read: packed, with shapes that depend on data, or padded, as graphs need it.

Pieces are the positions that exist; units are what the recurrence takes as one step, every piece, or every word and special token.
There are N pieces among B * T positions, in U units, both counted row by row. Shapes are told as P for pieces and U for units: (N,) and
(U,) where a batch is packed; (B, T) each where it is padded, pieces and units at the left of their row.
"""

from abc import ABC, abstractmethod
from functools import cached_property

import torch
from torch import Tensor, nn

from .hashing import find_distinct, finish_hash, hash_pieces
from .masked import Compaction, take_positions, word_recurrence
from .packing import Packing
from .pieces import CONTINUATION, SPACE, SPECIAL
from .recurrence import Recurrence, State


def find_starts(types: Tensor, is_first: Tensor) -> tuple[Tensor, Tensor]:
    """Return whether each piece starts a word or is a special token, and whether it is one or white space before any word, P each.

    Args:
        types (`Tensor`): Kind of each piece, P, rows one after the other along the last dimension.
        is_first (`Tensor`): Whether it is the first of its row, P.
    """
    is_start = ((types != CONTINUATION) & (types != SPACE)) | is_first | (types.roll(1, -1) == SPECIAL)
    return is_start, (types == SPECIAL) | (is_start & (types == SPACE))


class Layout(ABC):
    """The pieces and units of a batch.

    Args:
        mask (`Tensor`): Where a position exists, (B, T).
        input_ids (`Tensor`, *optional*): Ids, (B, T), where units are words.
        piece_types (`Tensor`, *optional*): Kind of every id, (V,), where units are words; every piece is a unit without.
    """

    @abstractmethod
    def __init__(self, mask: Tensor, input_ids: Tensor | None = None, piece_types: Tensor | None = None) -> None: ...

    @abstractmethod
    def words(self) -> tuple[Tensor, Tensor]:
        """Return where a unit starts, and where there is a special token, white space before any word, or nothing, (B, T) each."""

    @abstractmethod
    def pieces(self, values: Tensor) -> Tensor:
        """Return the values (B, T, ...) of pieces, (P, ...)."""

    @abstractmethod
    def places(self) -> Tensor:
        """Return the place of each piece in its unit, P."""

    @abstractmethod
    def sizes(self) -> Tensor:
        """Return the number of pieces of each unit, U."""

    @abstractmethod
    def first(self, values: Tensor) -> Tensor:
        """Return the value P of the first piece of each unit, U."""

    @abstractmethod
    def total(self, values: Tensor) -> Tensor:
        """Return the sum of the values (P, ...) of the pieces of each unit, (U, ...)."""

    @abstractmethod
    def largest(self, values: Tensor) -> Tensor:
        """Return the largest of the values (P, E) of the pieces of each unit, (U, E)."""

    @abstractmethod
    def read(self, recurrence: Recurrence, embed: nn.Embedding, ids: Tensor) -> Tensor:
        """Return the last states (U, 2H) of a bidirectional LSTM over the embedded ids P of each unit."""

    @abstractmethod
    def neighbours(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values U of the unit before and after each one in its row, 0 where there is none, U each."""

    @abstractmethod
    def arrange(self, units: Tensor) -> Tensor:
        """Return vectors of units (U, E) in the order that `run` takes them in."""

    @abstractmethod
    def run(self, recurrence: Recurrence, x: Tensor, state: State | None, weight_dropout: float) -> tuple[Tensor, State]:
        """Run a layer over arranged units x (U, I): outputs (U, H) and the final state."""

    @abstractmethod
    def dropout(self, x: Tensor, p: float) -> Tensor:
        """Drop features of arranged units (U, H), the same ones at all steps of a row (Gal and Ghahramani 2016).

        Args:
            x (`Tensor`): Units.
            p (`float`): Probability of dropping; the rest is scaled by 1 / (1 - p).
        """

    @abstractmethod
    def spread(self, x: Tensor) -> Tensor:
        """Return arranged units (U, H) at the positions of their pieces, zero where nothing is, (B, T, H)."""

    @abstractmethod
    def gather(self, hidden: Tensor) -> Tensor:
        """Return what stands in `hidden` (B, T, H) where each unit starts, arranged, (U, H)."""

    def hash(self, ids: Tensor, counted: Tensor | None = None) -> Tensor:
        """Return a 63-bit hash U of the ids P of each unit, or of those that are counted, P."""
        added = hash_pieces(ids, self.places())
        return finish_hash(self.total(added if counted is None else added * counted))


class Packed(Layout):
    """Pieces and units of all rows one after the other, run in order of time: nothing is computed for what does not exist."""

    def __init__(self, mask: Tensor, input_ids: Tensor | None = None, piece_types: Tensor | None = None) -> None:
        self.mask = mask
        # (N,): pieces in the flattened batch
        self.positions = mask.flatten().nonzero().squeeze(1)
        if input_ids is None or piece_types is None:
            # (B, T)
            self.starts, self.special = mask, None
            # (U,): where units start in the flattened batch, and (N,): unit of each piece
            self.heads, self.unit_of = self.positions, torch.arange(len(self.positions), device=mask.device)
            return
        rows = self.positions // max(mask.shape[1], 1)
        is_first = torch.ones_like(rows, dtype=torch.bool)
        is_first[1:] = rows[1:] != rows[:-1]
        is_start, self.special = find_starts(piece_types[self.pieces(input_ids)], is_first)
        self.starts = torch.zeros_like(mask).flatten().index_copy(0, self.positions, is_start).view_as(mask)
        self.heads, self.unit_of = self.positions[is_start], is_start.cumsum(0) - 1

    def words(self) -> tuple[Tensor, Tensor]:
        if self.special is None:
            return self.starts, ~self.mask
        special = torch.ones_like(self.mask).flatten().index_copy(0, self.positions, self.special)
        return self.starts, special.view_as(self.mask)

    def pieces(self, values: Tensor) -> Tensor:
        return values.flatten(0, 1).index_select(0, self.positions)

    def places(self) -> Tensor:
        is_start = torch.ones_like(self.unit_of, dtype=torch.bool)
        is_start[1:] = self.unit_of[1:] != self.unit_of[:-1]
        index = torch.arange(len(self.unit_of), device=self.mask.device)
        return index - (index * is_start).cummax(0).values

    def sizes(self) -> Tensor:
        return torch.bincount(self.unit_of, minlength=len(self.heads))

    def first(self, values: Tensor) -> Tensor:
        return values[self.starts.flatten()[self.positions]]

    def total(self, values: Tensor) -> Tensor:
        return values.new_zeros(len(self.heads), *values.shape[1:]).index_add(0, self.unit_of, values)

    def largest(self, values: Tensor) -> Tensor:
        index = self.unit_of.unsqueeze(1).expand_as(values)
        return values.new_zeros(len(self.heads), values.shape[1]).scatter_reduce(0, index, values, "amax", include_self=False)

    def read(self, recurrence: Recurrence, embed: nn.Embedding, ids: Tensor) -> Tensor:
        lengths = self.sizes()
        if recurrence.training:
            # every piece is embedded where it stands: an adversarial perturbation differs from place to place
            packing = Packing.from_lengths(lengths)
            _, (h, _) = recurrence(embed(ids).index_select(0, packing.source), packing)
            return torch.cat([h[0], h[1]], dim=1)
        # units that look alike are read once
        firsts, group = find_distinct(self.hash(ids), lengths)
        lengths, ends = lengths[firsts], lengths.cumsum(0)[firsts]
        packing = Packing.from_lengths(lengths)
        # (M,): from pieces of distinct units laid end to end to pieces of all
        moved = (ends - lengths.cumsum(0)).repeat_interleave(lengths)[packing.source]
        _, (h, _) = recurrence(embed(ids[packing.source + moved]), packing)
        # (2, D, H) -> (U, 2H)
        return torch.cat([h[0], h[1]], dim=1).index_select(0, group)

    def neighbours(self, values: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.heads // max(self.mask.shape[1], 1)
        same = torch.zeros_like(rows)
        same[1:] = (rows[1:] == rows[:-1]).long()
        return values.roll(1) * same, (values * same).roll(-1)

    @cached_property
    def packing(self) -> Packing:
        """Return how units are put in order of time."""
        return Packing.from_lengths(self.starts.sum(1))

    @cached_property
    def _arranged(self) -> Tensor:
        """Return the place of the unit of each piece once they are arranged, (N,)."""
        return torch.argsort(self.packing.source).index_select(0, self.unit_of)

    def arrange(self, units: Tensor) -> Tensor:
        return units.index_select(0, self.packing.source)

    def run(self, recurrence: Recurrence, x: Tensor, state: State | None, weight_dropout: float) -> tuple[Tensor, State]:
        return recurrence(x, self.packing, state, weight_dropout)

    def dropout(self, x: Tensor, p: float) -> Tensor:
        # (B, H)
        kept = x.new_empty(len(self.mask), x.shape[1]).bernoulli_(1 - p).div_(1 - p)
        return x * kept.index_select(0, self.packing.rows)

    def spread(self, x: Tensor) -> Tensor:
        rows = x.new_zeros(self.mask.numel(), x.shape[1])
        return rows.index_copy(0, self.positions, x.index_select(0, self._arranged)).view(*self.mask.shape, x.shape[1])

    def gather(self, hidden: Tensor) -> Tensor:
        return hidden.flatten(0, 1).index_select(0, self.heads.index_select(0, self.packing.source))


class Padded(Layout):
    """Pieces and units at the left of their rows: no shape depends on data, as `torch.export` and `torch.compile` need it."""

    def __init__(self, mask: Tensor, input_ids: Tensor | None = None, piece_types: Tensor | None = None) -> None:
        self.mask = mask
        self.compaction = Compaction.from_mask(mask)
        # (B, T)
        self.exists = self.compaction.exists
        self.is_start, self.special = self.exists, ~self.exists
        if input_ids is not None and piece_types is not None:
            # a slice of T - 1 positions would tie a graph to rows of more than one
            is_first = self._columns() == 0
            is_start, special = find_starts(piece_types[self.pieces(input_ids)], is_first)
            self.is_start, self.special = is_start & self.exists, special | ~self.exists
        self.units = Compaction.from_mask(self.is_start)

    def _columns(self) -> Tensor:
        return torch.arange(self.mask.shape[1], device=self.mask.device)

    def words(self) -> tuple[Tensor, Tensor]:
        rank = self.compaction.rank
        return take_positions(self.is_start, rank) & self.mask, take_positions(self.special, rank) | ~self.mask

    def pieces(self, values: Tensor) -> Tensor:
        return self.compaction.take(values)

    def places(self) -> Tensor:
        return self._columns() - take_positions(self.units.order, self.units.rank)

    def sizes(self) -> Tensor:
        return self.total(self.exists.long())

    def first(self, values: Tensor) -> Tensor:
        return self.units.take(values)

    def total(self, values: Tensor) -> Tensor:
        index, exists = self.units.rank, self.exists
        if values.dim() == 3:
            index, exists = index.unsqueeze(2).expand_as(values), exists.unsqueeze(2)
        return torch.zeros_like(values).scatter_add(1, index, values * exists)

    def largest(self, values: Tensor) -> Tensor:
        lowest = torch.full_like(values, torch.finfo(values.dtype).min)
        index, exists = self.units.rank.unsqueeze(2).expand_as(values), self.exists.unsqueeze(2)
        largest = lowest.scatter_reduce(1, index, torch.where(exists, values, lowest), "amax")
        return largest.masked_fill(~self.units.exists.unsqueeze(2), 0.0)

    def read(self, recurrence: Recurrence, embed: nn.Embedding, ids: Tensor) -> Tensor:
        return word_recurrence(embed(ids), self.units.rank, self.compaction.lengths, recurrence.weights())

    def neighbours(self, values: Tensor) -> tuple[Tensor, Tensor]:
        column = self._columns()
        return values.roll(1, 1) * (column > 0), values.roll(-1, 1) * (column < self.units.lengths[:, None] - 1)

    def arrange(self, units: Tensor) -> Tensor:
        return units

    def run(self, recurrence: Recurrence, x: Tensor, state: State | None, weight_dropout: float) -> tuple[Tensor, State]:
        return recurrence.forward_masked(x, self.units.lengths, state, weight_dropout)

    def dropout(self, x: Tensor, p: float) -> Tensor:
        return x * x.new_empty(x.shape[0], 1, x.shape[2]).bernoulli_(1 - p).div_(1 - p)

    def spread(self, x: Tensor) -> Tensor:
        return take_positions(x, take_positions(self.units.rank, self.compaction.rank)) * self.mask.unsqueeze(2)

    def gather(self, hidden: Tensor) -> Tensor:
        return take_positions(hidden, take_positions(self.compaction.order, self.units.order))
