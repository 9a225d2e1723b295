"""What a model reads of one text: pieces, and the words that they belong to."""

import re
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.tokenizers.words import encode_words
from ..tasks.decoding import decoder_class


@dataclass(frozen=True)
class Reading:
    """A text as ids, words and places.

    Attributes:
        text (`str`): The text.
        ids (`Tensor`): Ids of the pieces, (T,).
        word_of (`list`): Word of each piece, None for special tokens.
        spans (`dict`): Start and end in characters of each word.
        pieces (`list`): Start and end in characters of each piece; nothing, (0, 0), of special tokens.
    """

    text: str
    ids: Tensor
    word_of: list[int | None]
    spans: dict[int, tuple[int, int]]
    pieces: list[tuple[int, int]]

    @cached_property
    def places(self) -> dict[int, list[int]]:
        """Return the places of the pieces of each word."""
        return {word: [place for place, other in enumerate(self.word_of) if other == word] for word in self.spans}


def read_text(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str) -> Reading:
    """Read a text as predicting does: words as the tokenizer cuts them, for a tagger of tokens as white space parts them.

    Args:
        model (`PreTrainedModel`): Says which of both.
        tokenizer (`PreTrainedTokenizerBase`): A fast tokenizer.
        text (`str`): The text; what is beyond the longest row of a classifier is not read.
    """
    kind = getattr(decoder_class(model), "kind", None)
    if kind == "tags":
        tokens = [match.span() for match in re.finditer(r"\S+", text)]
        encoding = encode_words(tokenizer, [[text[start:end] for start, end in tokens]])
        word_of = encoding.word_ids(0)
        return Reading(text, torch.tensor(encoding["input_ids"][0]), word_of, dict(enumerate(tokens)), _within(tokens, word_of))
    encoding = tokenizer(text, truncation=kind != "spans", return_offsets_mapping=True)
    word_of, pieces = encoding.word_ids(), [tuple(offsets) for offsets in encoding["offset_mapping"]]
    spans: dict[int, tuple[int, int]] = {}
    for word, (start, end) in zip(word_of, pieces, strict=True):
        if word is not None:
            spans[word] = (spans.get(word, (start, end))[0], end)
    return Reading(text, torch.tensor(encoding["input_ids"], dtype=torch.long), word_of, spans, pieces)


def _within(tokens: list[tuple[int, int]], word_of: list[int | None]) -> list[tuple[int, int]]:
    """Return for each piece the place of its token, as `encode_words` keeps no finer one."""
    return [(0, 0) if word is None else tokens[word] for word in word_of]
