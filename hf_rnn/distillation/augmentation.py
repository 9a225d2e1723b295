"""Made-up rows for a teacher to answer: masking, replacement, cutting and splicing (Tang et al. 2019, section 3.3)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..models.tags import guess_scheme, split_tag

Text = str | list[str]
# a word, or the words of a span, which stay together
Chunk = tuple[str, ...]


@dataclass(frozen=True)
class Rates:
    """How often each thing happens.

    Attributes:
        mask, replace (`float`): Probability of each chunk to be masked, or replaced by one from elsewhere in the data.
        similar (`float`): Probability of each chunk to have its words replaced by similar ones, where similar ones are known.
        cut (`float`): Share of the rows that are a few neighbouring words of one.
        splice (`float`): Share of the rows that begin as one and end as another.
        shortest, longest (`int`): Words of a row that is cut.
    """

    mask: float = 0.1
    replace: float = 0.1
    similar: float = 0.2
    cut: float = 0.25
    splice: float = 0.2
    shortest: int = 2
    longest: int = 6


def split_chunks(text: Text, tags: Sequence[str] | None = None) -> list[Chunk]:
    """Return the words of a text, or the tokens of a sentence, with those of a span of BIO or BIOES tags together."""
    words = text.split() if isinstance(text, str) else text
    if tags is None:
        return [(word,) for word in words]
    chunks: list[list[str]] = []
    for word, tag in zip(words, tags, strict=True):
        if chunks and split_tag(tag)[0] in ("I", "E"):
            chunks[-1].append(word)
        else:
            chunks.append([word])
    return [tuple(chunk) for chunk in chunks]


def frequent_words(texts: Sequence[Text], most: int = 50_000) -> list[str]:
    """Return the most frequent words of texts, or tokens of sentences, the most frequent first."""
    counts = Counter(word for text in texts for word in (text.split() if isinstance(text, str) else text))
    return [word for word, _ in counts.most_common(most)]


def make_up_rows(
    texts: Sequence[Text],
    count: int,
    seed: int,
    mask: str | None = None,
    tags: Sequence[Sequence[str]] | None = None,
    rates: Rates = Rates(),
    similar: Mapping[str, Sequence[str]] | None = None,
) -> list[Text]:
    """Return made-up rows from rows of the training data.

    Args:
        texts (`Sequence`): Texts, or lists of tokens; what comes out is of the same kind.
        count (`int`): Rows to make.
        seed (`int`): The same seed gives the same rows.
        mask (`str`, *optional*): Stands for a masked word; without it the word is left out.
        tags (`Sequence`, *optional*): Tags of the tokens; spans of BIO or BIOES tags are kept whole.
        rates (`Rates`): How often each thing happens.
        similar (`Mapping`, *optional*): Words to put in a word's place (Jiao et al. 2020, section 3.3).
    """
    spans = tags if tags is not None and guess_scheme(sorted({tag for row in tags for tag in row})) else None
    rows = [split_chunks(text, None if spans is None else spans[index]) for index, text in enumerate(texts)]
    rows = [row for row in rows if row]
    if not rows:
        return []
    # as often as in the data
    known = [chunk for row in rows for chunk in row]
    generator = np.random.default_rng(seed)
    made: list[Text] = []
    while len(made) < count:
        row = _vary(_draw(rows, generator, rates), known, mask, generator, rates, similar or {})
        words = [word for chunk in row for word in chunk]
        if words:
            made.append(" ".join(words) if isinstance(texts[0], str) else words)
    return made


def _draw(rows: list[list[Chunk]], generator: np.random.Generator, rates: Rates) -> list[Chunk]:
    """Return a row, a part of one, or the beginning of one with the end of another."""
    row, kind = rows[generator.integers(len(rows))], generator.random()
    if kind < rates.cut:
        length = int(generator.integers(rates.shortest, rates.longest + 1))
        start = int(generator.integers(max(len(row) - length, 0) + 1))
        return row[start : start + length]
    if kind < rates.cut + rates.splice:
        other = rows[generator.integers(len(rows))]
        return [*row[: int(generator.integers(len(row) + 1))], *other[int(generator.integers(len(other) + 1)) :]]
    return row


def _vary(
    row: list[Chunk],
    known: list[Chunk],
    mask: str | None,
    generator: np.random.Generator,
    rates: Rates,
    similar: Mapping[str, Sequence[str]],
) -> list[Chunk]:
    """Mask or replace some chunks."""
    varied: list[Chunk] = []
    for chunk, chance in zip(row, generator.random(len(row)), strict=True):
        if chance < rates.mask:
            varied += [(mask,) * len(chunk)] if mask is not None else []
        elif chance < rates.mask + rates.replace:
            varied.append(known[generator.integers(len(known))])
        elif chance < rates.mask + rates.replace + rates.similar:
            varied.append(tuple(_resemble(word, similar, generator) for word in chunk))
        else:
            varied.append(chunk)
    return varied


def _resemble(word: str, similar: Mapping[str, Sequence[str]], generator: np.random.Generator) -> str:
    """Return a word like this one, with a capital if it has one; the word itself if none is known."""
    others = similar.get(word)
    if not others:
        return word
    other = others[int(generator.integers(len(others)))]
    return other.capitalize() if word[:1].isupper() else other
