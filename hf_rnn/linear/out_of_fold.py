"""Answers of linear models to rows that they have not seen: each fold by a model of the others, of texts and of sentences of tags."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..models.crf import LinearChainCRF
from ..models.packing import Packing
from .baselines import fit_texts
from .chain import LoneTags, TagChain
from .tagger import MOVES, TaggedBatch, fit_field, sum_weights

# weight of the squares of a tagger, what a feature has to be there for at least, and rows of a batch
PENALTY, FEWEST, BATCH = 0.3, 2, 128


def text_probabilities(texts: Sequence[str], labels: Sequence[str], folds: np.ndarray) -> np.ndarray:
    """Return the probabilities of the labels in their order, (N, C), each row's by linear models of the rows of other folds.

    Args:
        texts, labels (`Sequence`): N texts and the label of each.
        folds (`np.ndarray`): The fold of each, (N,).
    """
    given, names = np.array(labels), sorted(set(labels))
    found = np.zeros((len(given), len(names)))
    for fold in np.unique(folds):
        held_out = np.flatnonzero(folds == fold).tolist()
        kept = np.flatnonzero(folds != fold).tolist()
        probabilities, known = fit_texts([texts[row] for row in kept], given[kept], [texts[row] for row in held_out])
        found[np.ix_(held_out, np.searchsorted(names, known))] = probabilities
    return found


def tag_probabilities(
    sentences: Iterable[Sequence[Sequence[str]]], tags: Sequence[Sequence[int]], num_tags: int, folds: np.ndarray, has_chain: bool
) -> list[np.ndarray]:
    """Return the probabilities of the tags of each word, (W, C) a sentence, by a linear tagger of the sentences of other folds.

    Args:
        sentences (`Iterable`): The features of each word of N sentences.
        tags (`Sequence`): Ids of their tags.
        num_tags (`int`): Number of tags.
        folds (`np.ndarray`): The fold of each sentence, (N,).
        has_chain (`bool`): Whether tags depend on their neighbours (Lafferty et al. 2001): marginals then, else softmax.
    """
    numbers: dict[str, int] = {}
    known = [_numbered(words, numbers) for words in sentences]
    found: list[np.ndarray] = [np.zeros((0, num_tags))] * len(known)
    for fold in np.unique(folds):
        kept, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        ids = _frequent([known[row] for row in kept], len(numbers))
        crf = LinearChainCRF(num_tags) if has_chain else None
        weight = fit_field(list(_batches(known, tags, kept, ids)), int(ids.max(initial=0)), crf, num_tags, PENALTY)
        for rows, batch in zip(_parts(known, held_out), _batches(known, tags, held_out, ids), strict=True):
            for row, probabilities in zip(rows, _marginals(batch, weight, crf), strict=True):
                found[row] = probabilities
    return found


def _numbered(words: Sequence[Sequence[str]], numbers: dict[str, int]) -> np.ndarray:
    """Return the numbers of features from 1 on, (W, F), 0 where a word has fewer; new ones are added."""
    table: np.ndarray = np.zeros((len(words), max(map(len, words), default=0)), dtype=np.int32)
    for word, features in enumerate(words):
        table[word, : len(features)] = [numbers.setdefault(each, len(numbers) + 1) for each in features]
    return table


def _frequent(tables: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Return for each number of a feature (K + 1,) the one that it has among those that are there often enough, else 0."""
    counts = np.bincount(np.concatenate([table.ravel() for table in tables]), minlength=count + 1)
    counts[0] = 0
    is_kept = counts >= FEWEST
    return np.where(is_kept, np.cumsum(is_kept), 0)


def _parts(known: Sequence[np.ndarray], rows: np.ndarray) -> list[list[int]]:
    """Return rows in parts of similar length."""
    order = sorted(rows.tolist(), key=lambda row: len(known[row]))
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


def _batches(known: Sequence[np.ndarray], tags: Sequence[Sequence[int]], rows: np.ndarray, ids: np.ndarray) -> list[TaggedBatch]:
    """Return rows of sentences with the ids of their features, in the order of `_parts`."""
    batches = []
    width = max(table.shape[1] for table in known)
    for part in _parts(known, rows):
        lengths = [len(known[row]) for row in part]
        values = np.zeros((len(part), max(lengths), width), dtype=np.int64)
        wanted = np.zeros(values.shape[:2], dtype=np.int64)
        for place, row in enumerate(part):
            table = known[row]
            values[place, : len(table), : table.shape[1]] = ids[table]
            wanted[place, : len(table)] = tags[row]
        batches.append(TaggedBatch(torch.from_numpy(values), torch.from_numpy(wanted), torch.tensor(lengths)))
    return batches


def _marginals(batch: TaggedBatch, weight: Tensor, crf: LinearChainCRF | None) -> list[np.ndarray]:
    """Return the probabilities of the tags of each word, (W, C) a row of a batch."""
    lengths = batch.lengths.tolist()
    if not sum(lengths):
        return [np.zeros((0, weight.shape[1])) for _ in lengths]
    packing = Packing.from_lengths(batch.lengths)
    source = packing.source.numpy()
    exists = torch.arange(batch.tags.shape[1]) < batch.lengths[:, None]
    # (N, C) and (N,)
    emissions = sum_weights(batch.values, weight)[exists].double().numpy()[source]
    tags = batch.tags[exists].numpy()[source]
    words = TagChain(tags, packing.steps, crf) if crf is not None else LoneTags(tags)
    moves = np.concatenate([getattr(crf, name).detach().double().numpy().ravel() for name in MOVES if crf is not None] or [np.zeros(0)])
    # the gradient of the loss is what tags are likely, less the tag that is given
    probabilities = words.loss(emissions, moves).emissions
    probabilities[np.arange(len(tags)), tags] += 1
    laid_out = np.empty_like(probabilities)
    laid_out[source] = probabilities
    return np.split(laid_out.clip(0, 1), np.cumsum(lengths)[:-1])
