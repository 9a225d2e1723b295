"""Load pretrained word vectors in text format into an embedding."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from ...models.pieces import CONTINUATION, piece_types
from ..files.errors import DataError
from ..files.opening import open_text


@dataclass(frozen=True)
class Coverage:
    """How much of a vocabulary a file of vectors covers.

    Attributes:
        found (`int`): Entries of the vocabulary that got a vector.
        total (`int`): Entries that could have one: starts of words.
    """

    found: int
    total: int

    def __str__(self) -> str:
        return f"{self.found} of {self.total} entries ({100 * self.found / max(self.total, 1):.1f}%)"


def load_vectors(path: str, tokenizer: PreTrainedTokenizerBase, embedding: nn.Embedding) -> Coverage:
    """Copy vectors of whole words into the rows of the vocabulary's entries that start a word.

    Args:
        path (`str`): word2vec, GloVe or fastText text format, plain or .gz: a word and E numbers a line, after an optional line
            with the number of words and E.
        tokenizer (`PreTrainedTokenizerBase`): A fast tokenizer; words also match in lower case where it lower-cases.
        embedding (`nn.Embedding`): Rows to fill, (V, E); others keep their values.

    Returns:
        `Coverage`: Entries found.

    Raises:
        DataError: A line with another number of values or one that is not a number; names file and line.
    """
    types = piece_types(tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(types))))
    wanted = {token.lstrip("▁Ġ"): index for index, token in enumerate(tokens) if types[index] not in (0, CONTINUATION)}
    wanted.pop("", None)
    found: set[int] = set()
    for word, vector in _read_vectors(path, embedding.embedding_dim):
        index = wanted.get(word)
        if index is not None and index not in found:
            found.add(index)
            with torch.no_grad():
                embedding.weight[index] = torch.from_numpy(vector)
    return Coverage(len(found), len(wanted))


def _read_vectors(path: str, size: int) -> Iterator[tuple[str, np.ndarray]]:
    with open_text(path, "utf-8") as file:
        for number, line in enumerate(file, start=1):
            parts = line.rstrip().split(" ")
            if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
                if int(parts[1]) != size:
                    raise DataError(
                        f"{path}, line 1: vectors of {parts[1]} values, but the embedding has {size}. Pass --embedding_size {parts[1]}."
                    )
                continue
            # a word may itself hold spaces: the last E values are the vector
            word, values = " ".join(parts[:-size]), parts[-size:]
            if len(parts) <= size:
                raise DataError(
                    f"{path}, line {number}: {len(parts) - 1} values, but the embedding has {size}. Pass --embedding_size {len(parts) - 1}."
                )
            try:
                with np.errstate(over="ignore"):
                    vector = np.array(values, dtype=np.float32)
            except ValueError:
                bad = next(value for value in values if not _is_number(value))
                raise DataError(f"{path}, line {number}: {bad!r} is not a number (word {word!r}). Mend or remove the line.") from None
            if not np.isfinite(vector).all():
                bad = next(value for value, number in zip(values, vector, strict=True) if not np.isfinite(number))
                raise DataError(f"{path}, line {number}: {bad!r} is no finite number in fp32 (word {word!r}). Mend or remove the line.")
            if len(parts) > size + 1 and all(_is_number(part) for part in parts[1:]):
                raise DataError(
                    f"{path}, line {number}: {len(parts) - 1} values, but the embedding has {size}. Pass --embedding_size {len(parts) - 1}."
                )
            yield word, vector


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
