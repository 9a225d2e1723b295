"""Token embeddings, and how pieces of a subword vocabulary become words."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import logging

from .cells import LSTM
from .masked import Compaction, take_positions, word_recurrence
from .packing import Packing, pad_batches
from .pieces import CONTINUATION, SPACE, SPECIAL, WORD_START
from .recurrence import new_recurrence

logger = logging.get_logger(__name__)

# sorts behind every hash
UNUSED_KEY = torch.iinfo(torch.int64).max
# powers of the hash's base modulo 2^64, from the first on
POWERS = torch.full((1024,), 0x5851F42D4C957F2D).cumprod(0).tolist()


@dataclass(frozen=True)
class Segments:
    """Which positions of a batch the recurrence visits, and which pieces belong together.

    A unit is what the recurrence takes as one step: every position that exists, or with word pooling every word and every
    special token. N positions exist among B * T, in U units, both counted row by row.

    Attributes:
        starts (`Tensor`): True where a unit starts, (B, T).
        special (`Tensor`): True at special tokens, at white space before the first unit, and at positions that do not exist, (B, T).
        positions (`Tensor`): Existing positions in the flattened batch, (N,).
        unit_of (`Tensor`): Unit of each of them, (N,).
    """

    starts: Tensor
    special: Tensor
    positions: Tensor
    unit_of: Tensor


def check_inputs(input_ids: Tensor | None, inputs_embeds: Tensor | None, attention_mask: Tensor | None) -> Tensor:
    """Return the mask (B, T) as booleans after checking that the inputs fit together.

    Raises:
        ValueError: Both or none of ids and embeddings, or a mask of another shape.
    """
    if (input_ids is None) == (inputs_embeds is None):
        got = "neither" if input_ids is None else "both"
        raise ValueError(f"Give exactly one of `input_ids` and `inputs_embeds`, got {got}.")
    given: Tensor = input_ids if inputs_embeds is None else inputs_embeds[:, :, 0]
    if given.dim() != 2:
        raise ValueError(f"`input_ids` must have shape (batch, length), got {tuple(given.shape)}. Add a batch dimension with ids[None].")
    if attention_mask is None:
        return torch.ones(given.shape, dtype=torch.bool, device=given.device)
    if attention_mask.shape != given.shape:
        raise ValueError(
            f"`attention_mask` must have the shape of the input, {tuple(given.shape)}, got {tuple(attention_mask.shape)}. "
            "A recurrence knows no masks between positions: pass the tokenizer's two-dimensional mask."
        )
    return attention_mask.to(device=given.device, dtype=torch.bool)


def hash_units(ids: Tensor, segments: Segments, counted: Tensor) -> Tensor:
    """Return a 63-bit hash (U,) of the counted ones of the piece ids (N,) of each unit: a polynomial of mixed ids, modulo 2^64."""
    unit_of = segments.unit_of
    # (N,): place of each piece in its unit
    starts = torch.ones_like(unit_of, dtype=torch.bool)
    starts[1:] = unit_of[1:] != unit_of[:-1]
    index = torch.arange(len(ids), device=ids.device)
    place = index - (index * starts).cummax(0).values
    hashes = ids.new_zeros(int(unit_of[-1]) + 1 if len(ids) else 0).index_add(0, unit_of, _hash_pieces(ids, place) * counted)
    return _finish_hash(hashes)


def _hash_pieces(ids: Tensor, place: Tensor) -> Tensor:
    """Return what each piece adds to the hash of its unit, given its place there; places beyond 1,023 count as that."""
    mixed = (ids + 1) * 0x2545F4914F6CDD1D
    mixed = (mixed ^ (mixed >> 29)) * 0x369DEA0F31A53F85
    return mixed * torch.tensor(POWERS, device=ids.device)[place.clamp(max=1023)]


def _finish_hash(hashes: Tensor) -> Tensor:
    return (hashes ^ (hashes >> 31)) & UNUSED_KEY


def _neighbours(hashes: Tensor, segments: Segments) -> tuple[Tensor, Tensor]:
    """Return the hashes of the units before and after each unit of its row, 0 where there is none, (U,) each."""
    width = max(segments.starts.shape[1], 1)
    rows = segments.starts.flatten().nonzero().squeeze(1) // width
    same = torch.zeros_like(rows)
    same[1:] = (rows[1:] == rows[:-1]).long()
    return hashes.roll(1) * same, (hashes * same).roll(-1)


def _distinct(hashes: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first (D,) of each group of units with the same hash (U,), and the group of each unit (U,).

    Units of so many pieces, `lengths` (U,), that their hash forgets the order of some are all kept apart.
    """
    index = torch.arange(len(hashes), device=hashes.device)
    if bool((lengths > len(POWERS)).any()):
        return index, index
    found, group = torch.unique(hashes, return_inverse=True)
    return index.new_full((len(found),), len(hashes)).scatter_reduce(0, group, index, "amin"), group


def hash_ngrams(hashes: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Return hashes (3, ...) of each unit (...) with the one before it, with the one after it, and with both."""
    left, right = before * POWERS[1] + hashes * POWERS[2] + 1, hashes * POWERS[3] + after * POWERS[4] + 2
    return torch.stack([_finish_hash(key * POWERS[5]) for key in (left, right, left * POWERS[6] + right)])


def _fill_keys(keys: Tensor, counts: Counter[int], min_frequency: int) -> int:
    """Write the hashes that occur most often into a buffer, sorted; return their number."""
    # the order of equal counts must not depend on that of the rows
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    chosen = [key for key, count in ranked[: len(keys)] if count >= min_frequency]
    keys.fill_(UNUSED_KEY)
    keys[: len(chosen)] = torch.tensor(sorted(chosen), dtype=torch.int64)
    return len(chosen)


def _look_up(hashes: Tensor, keys: Tensor, vectors: nn.Embedding) -> Tensor:
    """Return the vectors of hashes, zero for unknown ones."""
    place = torch.searchsorted(keys, hashes).clamp(max=len(keys) - 1)
    return vectors((place + 1) * (keys[place] == hashes))


class RnnEmbeddings(nn.Module):
    """Embed tokens and, with word pooling, make one vector of the pieces of a word.

    Where a word starts is read from `piece_types`, a buffer with one entry for each id of the vocabulary, so that ids alone are
    enough. A continuation that follows no word (at the start of a row or after a special token) starts one. White space that is a
    piece of its own goes with the word before it.

    Args:
        vocab_size (`int`): V.
        embedding_size (`int`): E.
        pad_token_id (`int`, *optional*): Row that stays zero.
        word_pooling (`str`, *optional*): `"first"`, `"mean"`, `"max"` or `"rnn"`; None takes every piece as a unit.
        word_vocab_size (`int`): Words that have a vector of their own beside that of their pieces, see `set_word_vocabulary`.
        dropout (`float`): Probability that a unit's whole vector is dropped while training (Iyyer et al. 2015); of words with a
            vector of their own only that is dropped, as if the word were unknown.
        ngram_vocab_size (`int`): Pairs and triples of neighbouring words, each as seen from one of them, that have a vector of their
            own, added to the word's, see `set_word_vocabulary`.
    """

    piece_types: Tensor
    word_keys: Tensor
    ngram_keys: Tensor

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        pad_token_id: int | None,
        word_pooling: str | None,
        word_vocab_size: int,
        dropout: float,
        ngram_vocab_size: int = 0,
    ) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, embedding_size, padding_idx=pad_token_id)
        self.word_pooling = word_pooling
        self.dropout = dropout
        self._has_looked = False
        if word_pooling == "rnn":
            self.piece_recurrence = new_recurrence(LSTM.name, embedding_size, embedding_size // 2, bidirectional=True)
        if word_vocab_size:
            # row 0 is the unknown word and stays zero
            self.whole_word_embeddings = nn.Embedding(word_vocab_size + 1, embedding_size, padding_idx=0)
            self.register_buffer("word_keys", torch.full((word_vocab_size,), UNUSED_KEY))
        if ngram_vocab_size:
            self.ngram_embeddings = nn.Embedding(ngram_vocab_size + 1, embedding_size, padding_idx=0)
            self.register_buffer("ngram_keys", torch.full((ngram_vocab_size,), UNUSED_KEY))
        self.register_buffer("piece_types", torch.full((vocab_size,), WORD_START, dtype=torch.uint8))

    def set_piece_types(self, piece_types: list[int]) -> None:
        """Fill the buffer; raise a ValueError if there is not one entry for each id."""
        if len(piece_types) != len(self.piece_types):
            raise ValueError(
                f"`piece_types` must have one entry for each of vocab_size = {len(self.piece_types)} ids, got {len(piece_types)}. "
                "Build the config with vocab_size=len(tokenizer), or call resize_token_embeddings(len(tokenizer)) first."
            )
        self.piece_types.copy_(torch.tensor(piece_types, dtype=torch.uint8))

    def resize_piece_types(self, vocab_size: int) -> None:
        """Cut or extend the buffer; new ids start words."""
        kept = self.piece_types[:vocab_size]
        self.piece_types = torch.cat([kept, kept.new_full((vocab_size - len(kept),), WORD_START)])

    def set_word_vocabulary(self, rows: Iterable[list[int]], min_frequency: int = 2) -> int:
        """Give the most frequent words and n-grams of a corpus vectors of their own, found again by a hash of the ids of their pieces.

        Args:
            rows (`Iterable`): `input_ids` of each row.
            min_frequency (`int`): Occurrences a word needs.

        Returns:
            `int`: Words taken, at most `word_vocab_size`.
        """
        words: Counter[int] = Counter()
        ngrams: Counter[int] = Counter()
        for hashes, segments in self._hash_rows(rows):
            words.update(hashes.tolist())
            if hasattr(self, "ngram_keys"):
                ngrams.update(hash_ngrams(hashes, *_neighbours(hashes, segments)).flatten().tolist())
        if hasattr(self, "ngram_keys"):
            _fill_keys(self.ngram_keys, ngrams, min_frequency)
        return _fill_keys(self.word_keys, words, min_frequency) if hasattr(self, "word_keys") else 0

    def set_word_vectors(self, rows: Iterable[list[int]], vectors: Tensor) -> int:
        """Give words vectors that are known, in place of those of `set_word_vocabulary`.

        Args:
            rows (`Iterable`): `input_ids` of each word alone, the most important first; rows that are not one word are left out.
            vectors (`Tensor`): (number of rows, E).

        Returns:
            `int`: Words taken, at most `word_vocab_size`.
        """
        places: dict[int, int] = {}
        start = 0
        for hashes, segments in self._hash_rows(rows):
            units = segments.starts.sum(1)
            first = (units.cumsum(0) - units).tolist()
            for row in (units == 1).nonzero().squeeze(1).tolist():
                places.setdefault(int(hashes[first[row]]), start + row)
            start += len(units)
        chosen = sorted(list(places.items())[: len(self.word_keys)])
        self.word_keys.fill_(UNUSED_KEY)
        self.word_keys[: len(chosen)] = torch.tensor([key for key, _ in chosen], dtype=torch.int64)
        with torch.no_grad():
            self.whole_word_embeddings.weight[1 : len(chosen) + 1] = vectors[[place for _, place in chosen]].to(self.word_keys.device)
        return len(chosen)

    def _hash_rows(self, rows: Iterable[list[int]]) -> Iterator[tuple[Tensor, Segments]]:
        """Yield the hashes (U,) of the words of rows of ids, batch by batch, and where they are."""
        for ids, mask in pad_batches(rows, 1000):
            ids, mask = ids.to(self.piece_types.device), mask.to(self.piece_types.device)
            segments = self.segment(ids, mask, by_words=True)
            yield self._hash(ids.flatten()[segments.positions], segments), segments

    def segment(self, input_ids: Tensor | None, mask: Tensor, by_words: bool) -> Segments:
        """Find the units of a batch from ids (B, T) and mask (B, T): words and special tokens if `by_words`, else positions.

        Without ids, every position is a word; positions as units tell nothing of special tokens.
        """
        # (N,)
        positions = mask.flatten().nonzero().squeeze(1)
        if input_ids is None or not by_words:
            return Segments(mask, ~mask, positions, torch.arange(len(positions), device=mask.device))
        types = self.piece_types[input_ids.flatten()[positions]]
        rows = positions // max(mask.shape[1], 1)
        is_start = (types != CONTINUATION) & (types != SPACE)
        is_start[:1] = True
        is_start[1:] |= (rows[1:] != rows[:-1]) | (types[:-1] == SPECIAL)
        is_special = (types == SPECIAL) | (is_start & (types == SPACE))
        special = torch.ones_like(mask).flatten().index_copy(0, positions, is_special).view_as(mask)
        starts = torch.zeros_like(mask).flatten().index_copy(0, positions, is_start).view_as(mask)
        return Segments(starts, special, positions, is_start.cumsum(0) - 1)

    def forward(self, input_ids: Any, inputs_embeds: Any, mask: Tensor) -> tuple[Tensor, Segments]:
        """Return the vectors of all units, (U, E), and the segments they come from.

        Raises:
            ValueError: Words without ids.
        """
        self._check_ids(input_ids)
        self._warn_of_missing_types()
        segments = self.segment(input_ids, mask, self.word_pooling is not None)
        if input_ids is None:
            # (N, E)
            return self._drop(inputs_embeds.flatten(0, 1).index_select(0, segments.positions)), segments
        # (N,)
        ids = input_ids.flatten()[segments.positions]
        units = self.word_embeddings(ids) if self.word_pooling is None else self._pool(ids, segments)
        if not hasattr(self, "word_keys") and not hasattr(self, "ngram_keys"):
            return self._drop(units), segments
        hashes = self._hash(ids, segments)
        neighbours = _neighbours(hashes, segments) if hasattr(self, "ngram_keys") else ()
        return self._add_own_vectors(units, hashes, neighbours), segments

    def _hash(self, ids: Tensor, segments: Segments) -> Tensor:
        """Return a hash (U,) of each unit from its pieces (N,), but for white space."""
        return hash_units(ids, segments, self.piece_types[ids] != SPACE)

    def _add_own_vectors(self, units: Tensor, hashes: Tensor, neighbours: tuple[Tensor, ...]) -> Tensor:
        """Add to vectors of units (..., E) those of the words and n-grams known by the hashes (...) of units and their neighbours."""
        if hasattr(self, "word_keys"):
            units = units + self._drop(_look_up(hashes, self.word_keys, self.whole_word_embeddings))
        for keys in hash_ngrams(hashes, *neighbours).unbind(0) if neighbours else ():
            units = units + self._drop(_look_up(keys, self.ngram_keys, self.ngram_embeddings))
        return units

    def _check_ids(self, input_ids: Tensor | None) -> None:
        if input_ids is None and (self.word_pooling is not None or hasattr(self, "word_keys")):
            raise ValueError("`word_pooling` needs `input_ids` to know where words start, got `inputs_embeds`. Set word_pooling=None.")

    def _warn_of_missing_types(self) -> None:
        """Say once, when training begins, that every piece counts as a word of its own."""
        if not self.training or self.word_pooling is None or self._has_looked:
            return
        self._has_looked = True
        if bool((self.piece_types == WORD_START).all()):
            logger.warning(
                f"word_pooling={self.word_pooling!r} does not know which pieces start a word, so each counts as one. "
                "Call model.set_piece_types(tokenizer) before training."
            )

    def _drop(self, units: Tensor) -> Tensor:
        if not self.training or self.dropout == 0:
            return units
        return units * units.new_empty(*units.shape[:-1], 1).bernoulli_(1 - self.dropout).div_(1 - self.dropout)

    def segment_masked(self, input_ids: Tensor | None, compaction: Compaction, by_words: bool) -> tuple[Tensor, Tensor]:
        """Return at each compact position whether a unit starts and whether it is special or nothing, (B, T) each; see `segment`."""
        exists = compaction.exists
        if input_ids is None:
            return exists, ~exists
        types = self.piece_types[compaction.take(input_ids)]
        if not by_words:
            return exists, (types == SPECIAL) | ~exists
        # a slice of T - 1 positions would tie a graph to rows of more than one
        follows = (types.roll(1, 1) != SPECIAL) & (torch.arange(types.shape[1], device=types.device) > 0)
        starts = exists & ~(follows & ((types == CONTINUATION) | (types == SPACE)))
        return starts, (types == SPECIAL) | (starts & (types == SPACE)) | ~exists

    def forward_masked(self, input_ids: Any, inputs_embeds: Any, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Do what `forward` does without a shape that depends on data.

        Returns:
            `tuple`: Units (B, T, E) at the left of each row, their number (B,), the unit of each position (B, T), and the position
                where each unit starts (B, T).
        """
        self._check_ids(input_ids)
        compaction = Compaction.from_mask(mask)
        starts, _ = self.segment_masked(input_ids, compaction, self.word_pooling is not None)
        units = Compaction.from_mask(starts)
        pieces = self.word_embeddings(compaction.take(input_ids)) if input_ids is not None else compaction.take(inputs_embeds)
        vectors = pieces if self.word_pooling is None else self._pool_masked(pieces, compaction, units)
        if hasattr(self, "word_keys") or hasattr(self, "ngram_keys"):
            ids = compaction.take(input_ids)
            place = torch.arange(ids.shape[1], device=ids.device) - take_positions(units.order, units.rank)
            added = _hash_pieces(ids, place) * (compaction.exists & (self.piece_types[ids] != SPACE))
            hashes = _finish_hash(torch.zeros_like(ids).scatter_add(1, units.rank, added))
            column = torch.arange(ids.shape[1], device=ids.device)
            before = hashes.roll(1, 1) * (column > 0)
            after = hashes.roll(-1, 1) * (column < units.lengths[:, None] - 1)
            vectors = self._add_own_vectors(vectors, hashes, (before, after) if hasattr(self, "ngram_keys") else ())
        else:
            vectors = self._drop(vectors)
        unit_of, home = take_positions(units.rank, compaction.rank), take_positions(compaction.order, units.order)
        return vectors, units.lengths, unit_of, home

    def _pool_masked(self, pieces: Tensor, compaction: Compaction, units: Compaction) -> Tensor:
        """Return one vector a unit from pieces, both (B, T, E) at the left of each row."""
        if self.word_pooling == "first":
            return units.take(pieces)
        if self.word_pooling == "rnn":
            return word_recurrence(pieces, units.rank, compaction.lengths, self.piece_recurrence.weights())
        index, exists = units.rank.unsqueeze(2).expand_as(pieces), compaction.exists.unsqueeze(2)
        if self.word_pooling == "max":
            lowest = torch.full_like(pieces, torch.finfo(pieces.dtype).min)
            largest = lowest.scatter_reduce(1, index, torch.where(exists, pieces, lowest), "amax")
            return largest.masked_fill(~units.exists.unsqueeze(2), 0.0)
        total = torch.zeros_like(pieces).scatter_add(1, index, pieces * exists)
        return total / torch.zeros_like(pieces).scatter_add(1, index, exists.to(pieces.dtype).expand_as(pieces)).clamp(min=1)

    def _pool(self, ids: Tensor, segments: Segments) -> Tensor:
        """Return one vector a unit, (U, E), from the ids of its pieces, (N,)."""
        unit_of, count = segments.unit_of, int(segments.starts.sum())
        if self.word_pooling == "first":
            return self.word_embeddings(ids[segments.starts.flatten()[segments.positions]])
        # (U,)
        lengths = torch.bincount(unit_of, minlength=count)
        if self.word_pooling == "rnn":
            return self._read(ids, segments, lengths)
        # (N, E)
        pieces = self.word_embeddings(ids)
        if self.word_pooling == "mean":
            return pieces.new_zeros(count, pieces.shape[1]).index_add(0, unit_of, pieces) / lengths.unsqueeze(1)
        index = unit_of.unsqueeze(1).expand_as(pieces)
        return pieces.new_zeros(count, pieces.shape[1]).scatter_reduce(0, index, pieces, "amax", include_self=False)

    def _read(self, ids: Tensor, segments: Segments, lengths: Tensor) -> Tensor:
        """Return the last states of the piece recurrence over each unit, (U, E); outside of training units that look alike are read once.

        While training every piece is embedded where it stands: an adversarial perturbation differs from place to place.
        """
        if self.training:
            packing = Packing.from_lengths(lengths)
            _, (h, _) = self.piece_recurrence(self.word_embeddings(ids).index_select(0, packing.source), packing)
            return torch.cat([h[0], h[1]], dim=1)
        firsts, unit = _distinct(hash_units(ids, segments, torch.ones_like(ids)), lengths)
        lengths, ends = lengths[firsts], lengths.cumsum(0)[firsts]
        packing = Packing.from_lengths(lengths)
        # (M,): from pieces of distinct units laid end to end to pieces of all
        moved = (ends - lengths.cumsum(0)).repeat_interleave(lengths)[packing.source]
        _, (h, _) = self.piece_recurrence(self.word_embeddings(ids[packing.source + moved]), packing)
        # (2, D, E/2) -> (U, E)
        return torch.cat([h[0], h[1]], dim=1).index_select(0, unit)
