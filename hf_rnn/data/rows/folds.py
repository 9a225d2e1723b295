"""Folds: rows in parts of which each is judged by a model of the others, the same text never on both sides."""

import re
import unicodedata
from collections.abc import Hashable, Sequence

import numpy as np

# in the folder of a training: what it keeps of its folds (nothing of a name like this is pushed to the Hub), and their answers to all rows
FOLDS = "_folds"
ANSWERS = f"{FOLDS}/out_of_fold.jsonl"


def essence(text: str) -> str:
    """Return the letters and digits of a text, without case; of a text that has none all of it."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())) or text


def draw_folds(texts: Sequence[str], labels: Sequence[Hashable] | None, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each row (N,), 0 to `folds` - 1: rows whose texts differ in case and punctuation alone are in one.

    Args:
        texts (`Sequence`): Texts of N rows.
        labels (`Sequence`, *optional*): A label for each, of which every fold gets an equal share, counted in different texts.
        folds (`int`): Number of folds.
        seed (`int`): Seed of the draw.
    """
    firsts: dict[str, int] = {}
    groups: dict[str, int] = {}
    group_of: np.ndarray = np.empty(len(texts), dtype=np.int64)
    for row, text in enumerate(texts):
        key = essence(text)
        group_of[row] = groups.setdefault(key, len(groups))
        firsts.setdefault(key, row)
    numbers: dict[Hashable, int] = {}
    kinds = np.array([0 if labels is None else numbers.setdefault(labels[row], len(numbers)) for row in firsts.values()], dtype=np.int64)
    order = np.lexsort([np.random.default_rng(seed).permutation(len(groups)), kinds])
    fold_of_group: np.ndarray = np.empty(len(groups), dtype=np.int64)
    # label by label in turn, so that shares and sizes differ by one text at most
    fold_of_group[order] = np.arange(len(groups)) % folds
    return fold_of_group[group_of]
