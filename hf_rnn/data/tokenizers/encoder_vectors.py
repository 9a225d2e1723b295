"""Vectors of pieces from an encoder of the Hub, or from a checkpoint of static embeddings."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import cached_file

from ..devices import find_device
from ..progress import Progress

# where static checkpoints keep their matrix and tokenizer: Model2Vec, and sentence-transformers
STATIC = (("model.safetensors", "embeddings", ""), ("0_StaticEmbedding/model.safetensors", "embedding.weight", "0_StaticEmbedding"))
# Arora et al. 2017, as Model2Vec sets it
SIF = 1e-4


def load_source_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Return the tokenizer of an encoder or of a static checkpoint (folder or Hub name)."""
    return _load_tokenizer(name, _find_static(name))


def _load_tokenizer(name: str, static: tuple[Tensor, str] | None) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(name, **({"subfolder": static[1]} if static and static[1] else {}))


def borrow_vectors(name: str, tokenizer: PreTrainedTokenizerBase, size: int, scale: float = 0.1) -> Tensor:
    """Return one vector for each entry of a tokenizer, (V, size), from what an encoder makes of the piece alone.

    The mean of the encoder's states over the piece and the special tokens around it, reduced by principal components and weighted
    by a / (a + p), p being Zipf's estimate of the piece's frequency by its rank (Tulkens and van Dongen 2024, Model2Vec). Vectors of
    a static checkpoint are taken as they are and reduced.

    Args:
        name (`str`): Encoder or static checkpoint, folder or Hub name.
        tokenizer (`PreTrainedTokenizerBase`): That of the encoder, or one cut from it by `cut_vocabulary`.
        size (`int`): Width of a vector.
        scale (`float`): Standard deviation of the values.

    Raises:
        ValueError: The encoder's vectors have fewer than `size` values.
    """
    static = _find_static(name)
    source = _load_tokenizer(name, static)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    ids = source.convert_tokens_to_ids(tokens)
    vectors = static[0][ids].float() if static else _encode_alone(name, source, [[index] for index in ids])
    reduced = _reduce(name, vectors, size)
    if not static:
        # ids of an encoder's vocabulary fall with frequency
        frequency = 1 / (torch.tensor(ids).argsort().argsort() + 2.0)
        frequency /= frequency.sum()
        reduced *= (SIF / (SIF + frequency)).unsqueeze(1)
    return reduced * (scale / reduced.std())


def vector_width(name: str) -> int:
    """Return how many values the vectors of an encoder or of a static checkpoint (folder or Hub name) have."""
    static = _find_static(name)
    return static[0].shape[1] if static else AutoConfig.from_pretrained(name).hidden_size


def borrow_word_vectors(name: str, words: Sequence[str], size: int, scale: float = 0.1) -> Tensor:
    """Return one vector for each word, (W, size), from what an encoder makes of its pieces alone.

    As `borrow_vectors` does for pieces, but not weighted by frequency: words of a tagger are not summed over a text.

    Args:
        name (`str`): Encoder or static checkpoint, folder or Hub name.
        words (`Sequence`): Words, of one piece of the encoder's tokenizer or several.
        size (`int`): Width of a vector.
        scale (`float`): Standard deviation of the values.

    Raises:
        ValueError: The encoder's vectors have fewer than `size` values.
    """
    reduced = _reduce(name, _encode_words(name, words), size)
    return reduced * (scale / reduced.std())


def find_similar(name: str, words: Sequence[str], count: int = 10, most: int = 30_000) -> dict[str, list[str]]:
    """Return for each word the others of an encoder's vocabulary whose vectors are nearest to its own, by cosine, the nearest first.

    Args:
        name (`str`): Encoder or static checkpoint, folder or Hub name.
        words (`Sequence`): Words; any case.
        count (`int`): Neighbours a word.
        most (`int`): Only so many words of the vocabulary are looked at, the first by id.
    """
    listed = list_words(name)
    lower = {word for word in listed if word == word.lower()}
    # one form of each word
    pool = [word for word in listed if word == word.lower() or word.lower() not in lower][:most]
    if not pool or not words:
        return {}
    vectors = _encode_words(name, [*pool, *words])
    vectors = functional.normalize(vectors - vectors[: len(pool)].mean(0), dim=-1)
    known, asked = vectors[: len(pool)], vectors[len(pool) :]
    similar: dict[str, list[str]] = {}
    for start in range(0, len(words), 1000):
        nearest = (asked[start : start + 1000] @ known.T).topk(min(count + 1, len(pool))).indices.tolist()
        for word, row in zip(words[start : start + 1000], nearest, strict=True):
            similar[word] = [pool[index] for index in row if pool[index].lower() != word.lower()][:count]
    return similar


def list_words(name: str) -> list[str]:
    """Return the words that are a piece of their own in the vocabulary of an encoder, in the order of their ids.

    Where its tokenizer lower-cases, each comes a second time with a capital, as a cased text may have it.
    """
    source = load_source_tokenizer(name)
    tokens = source.convert_ids_to_tokens(list(range(len(source))))
    texts = [source.convert_tokens_to_string([token]).strip() for token in tokens]
    rows = source([f" {text}" for text in texts], add_special_tokens=False, return_attention_mask=False)["input_ids"]
    special = set(source.all_special_ids)
    words = [
        text
        for index, (text, row) in enumerate(zip(texts, rows, strict=True))
        # a tokenizer that parts at white space alone takes the text "##s" for the continuation of that name
        if row == [index] and index not in special and not text.startswith("##") and any(letter.isalnum() for letter in text)
    ]
    is_lower = source.tokenize("A") == source.tokenize("a")
    return [form for word in words for form in dict.fromkeys((word, word.capitalize()) if is_lower else (word,))]


def _encode_words(name: str, words: Sequence[str]) -> Tensor:
    """Return the mean vector of each word's pieces, which go through the encoder together and alone, (W, D)."""
    static = _find_static(name)
    source = _load_tokenizer(name, static)
    rows = source([f" {word}" for word in words], add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return torch.stack([static[0][row].float().mean(0) for row in rows]) if static else _encode_alone(name, source, rows)


def _find_static(name: str) -> tuple[Tensor, str] | None:
    """Return the matrix and the folder of the tokenizer of a static checkpoint, or None if it is none."""
    for path, key, folder in STATIC:
        if not (Path(name) / path).is_file() and Path(name).is_dir():
            continue
        file = cached_file(name, path, _raise_exceptions_for_missing_entries=False)
        if file is not None and key in (tensors := load_file(file)):
            return tensors[key], folder
    return None


@torch.inference_mode()
def _encode_alone(name: str, source: PreTrainedTokenizerBase, rows: list[list[int]], batch_size: int = 512) -> Tensor:
    """Return the mean state of an encoder over each row of pieces alone between the special tokens of a text, (R, D)."""
    encoder: Any = AutoModel.from_pretrained(name).to(find_device()).eval()
    before, after = _frame(source)
    # rows of one length together need no padding
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    states = torch.empty(len(rows), encoder.config.hidden_size)
    with Progress(f"{len(rows):,} vectors of {Path(name).name}", len(rows)) as progress:
        for _, group in groupby(order, key=lambda index: len(rows[index])):
            alike = list(group)
            for start in range(0, len(alike), batch_size):
                chosen = alike[start : start + batch_size]
                ids = torch.tensor([[*before, *rows[index], *after] for index in chosen])
                states[chosen] = encoder(input_ids=ids.to(encoder.device)).last_hidden_state.float().mean(1).cpu()
                progress.advance(len(chosen))
    return states


def _frame(source: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the ids that a tokenizer puts before and behind a text."""
    plain = source("a", add_special_tokens=False)["input_ids"]
    whole = source("a", truncation=False, padding=False)["input_ids"]
    start = next(index for index in range(len(whole)) if whole[index : index + len(plain)] == plain)
    return whole[:start], whole[start + len(plain) :]


def _reduce(name: str, vectors: Tensor, size: int) -> Tensor:
    """Return the first principal components of the vectors (V, D) of an encoder, (V, size); raise a ValueError if D is smaller."""
    if vectors.shape[1] < size:
        raise ValueError(f"Vectors of {name!r} have {vectors.shape[1]} values, fewer than `embedding_size` {size}. Pass a smaller one.")
    centred = (vectors - vectors.mean(0)).double()
    _, directions = np.linalg.eigh((centred.T @ centred).numpy())
    # the largest last
    components = torch.from_numpy(directions[:, ::-1][:, :size].copy())
    return (centred @ components).float()
