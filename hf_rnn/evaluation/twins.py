"""Texts that stand twice: with different labels, or in two splits."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from transformers.utils import logging

from ..data.rows.folds import essence
from .checked_rows import Row

logger = logging.get_logger(__name__)

# of texts that are nearly the same: the least cosine of their n-grams, and the most texts that are all compared with each other
NEAR, MOST_COMPARED, BLOCK = 0.9, 20_000, 500


@dataclass(frozen=True)
class Twins:
    """Two rows whose texts are the same, but for case, punctuation and a few letters."""

    first: Row
    second: Row
    similarity: float

    @property
    def kind(self) -> str:
        """Return what is wrong with them; tags and spans of texts that are not quite the same differ by right."""
        first, second = self.first, self.second
        if not first.units:
            return "other label" if first.label != second.label else "both splits"
        is_same = first.text.casefold() == second.text.casefold()
        return "other label" if is_same and first.tags != second.tags else "both splits"


def find_twins(rows: Sequence[Row]) -> list[Twins]:
    """Return the pairs of rows with the same text that have different labels or are of different splits, the same texts first."""
    alike = defaultdict(list)
    for index, row in enumerate(rows):
        alike[essence(row.text)].append(index)
    # a text that stands a hundred times is told by a chain of its pairs
    pairs = [(a, b, 1.0) for group in alike.values() for a, b in _telling(group, rows)]
    firsts = [group[0] for group in alike.values()]
    if len(firsts) > MOST_COMPARED:
        logger.warning(f"Of {len(firsts):,} texts only those that are the same but for case and punctuation are compared.")
    else:
        pairs += [(firsts[a], firsts[b], cosine) for a, b, cosine in _near(list(alike))]
    twins = [Twins(rows[a], rows[b], cosine) for a, b, cosine in pairs]
    told = (each for each in twins if each.kind == "other label" or each.first.split != each.second.split)
    return sorted(told, key=lambda each: (each.kind != "other label", -each.similarity))


def _telling(group: Sequence[int], rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Return one pair for each two different (split, label or tags) of rows with the same text."""
    kinds: dict[tuple[str, str | tuple[str, ...]], int] = {}
    for index in group:
        kinds.setdefault((rows[index].split, rows[index].tags or rows[index].label), index)
    return combinations(kinds.values(), 2)


def _near(texts: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """Return the pairs of texts whose n-grams have a cosine of at least NEAR, each pair once."""
    try:
        design = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), binary=True, dtype=np.float32).fit_transform(texts)
    except ValueError:
        # not one n-gram in all texts
        return
    transposed = design.T.tocsr()
    for start in range(0, len(texts), BLOCK):
        cosines = (design[start : start + BLOCK] @ transposed).tocoo()
        for a, b, cosine in zip(cosines.row + start, cosines.col, cosines.data, strict=True):
            if a < b and cosine >= NEAR:
                yield int(a), int(b), float(cosine)
