"""Token embeddings, and how pieces of a subword vocabulary become words."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import logging

from .cells import LSTM
from .hashing import UNUSED_KEY, fill_keys, hash_ngrams, look_up
from .layouts import Layout, Packed
from .packing import pad_batches
from .pieces import SPACE, WORD_START
from .recurrence import new_recurrence

logger = logging.get_logger(__name__)


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
        for hashes, layout in self._hash_rows(rows):
            words.update(hashes.tolist())
            if hasattr(self, "ngram_keys"):
                ngrams.update(hash_ngrams(hashes, *layout.neighbours(hashes)).flatten().tolist())
        if hasattr(self, "ngram_keys"):
            fill_keys(self.ngram_keys, ngrams, min_frequency)
        return fill_keys(self.word_keys, words, min_frequency) if hasattr(self, "word_keys") else 0

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
        for hashes, layout in self._hash_rows(rows):
            units = layout.starts.sum(1)
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

    def _hash_rows(self, rows: Iterable[list[int]]) -> Iterator[tuple[Tensor, Packed]]:
        """Yield the hashes (U,) of the words of rows of ids, batch by batch, and where they are."""
        for ids, mask in pad_batches(rows, 1000):
            ids, mask = ids.to(self.piece_types.device), mask.to(self.piece_types.device)
            layout = Packed(mask, ids, self.piece_types)
            yield self._hash(layout.pieces(ids), layout), layout

    def forward(self, input_ids: Any, inputs_embeds: Any, layout: Layout) -> Tensor:
        """Return the vectors of all units, (U, E), row by row.

        Raises:
            ValueError: Words without ids.
        """
        if input_ids is None:
            self._check_ids()
            return self._drop(layout.pieces(inputs_embeds))
        self._warn_of_missing_types()
        ids = layout.pieces(input_ids)
        units = self._pool(ids, layout)
        if not hasattr(self, "word_keys") and not hasattr(self, "ngram_keys"):
            return self._drop(units)
        hashes = self._hash(ids, layout)
        return self._add_own_vectors(units, hashes, layout.neighbours(hashes) if hasattr(self, "ngram_keys") else ())

    def _pool(self, ids: Tensor, layout: Layout) -> Tensor:
        """Return one vector a unit, (U, E), from the ids of its pieces, P."""
        if self.word_pooling is None:
            return self.word_embeddings(ids)
        if self.word_pooling == "first":
            return self.word_embeddings(layout.first(ids))
        if self.word_pooling == "rnn":
            return layout.read(self.piece_recurrence, self.word_embeddings, ids)
        pieces = self.word_embeddings(ids)
        if self.word_pooling == "max":
            return layout.largest(pieces)
        return layout.total(pieces) / layout.sizes().clamp(min=1).unsqueeze(-1)

    def _hash(self, ids: Tensor, layout: Layout) -> Tensor:
        """Return a hash U of each unit from its pieces P, but for white space."""
        return layout.hash(ids, self.piece_types[ids] != SPACE)

    def _add_own_vectors(self, units: Tensor, hashes: Tensor, neighbours: tuple[Tensor, ...]) -> Tensor:
        """Add to vectors of units (..., E) those of the words and n-grams known by the hashes (...) of units and their neighbours."""
        if hasattr(self, "word_keys"):
            units = units + self._drop(look_up(hashes, self.word_keys, self.whole_word_embeddings))
        for keys in hash_ngrams(hashes, *neighbours).unbind(0) if neighbours else ():
            units = units + self._drop(look_up(keys, self.ngram_keys, self.ngram_embeddings))
        return units

    def _check_ids(self) -> None:
        if self.word_pooling is not None or hasattr(self, "word_keys"):
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
