"""What a linear model reads of rows: TF-IDF of words and of characters, times how much each feature tells the classes apart."""

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from sklearn.preprocessing import normalize

from ..models.hashing import UNUSED_KEY
from ..models.linear import LinearPath
from ..models.packing import pad_batches

# what a class has seen of each feature before any row, and the power of the ratio by which features are weighted
SEEN_BEFORE, POWER = 1.0, 0.5


def frequent_keys(found: list[np.ndarray], size: int) -> tuple[torch.Tensor, np.ndarray]:
    """Return the keys (K,) that occur most, at most `size`, sorted as they are looked up, and how often each occurs."""
    keys, counts = np.unique(np.concatenate(found), return_counts=True)
    keys, counts = keys[keys != UNUSED_KEY], counts[keys != UNUSED_KEY]
    # of equal counts the smaller keys
    chosen = np.sort(np.argsort(-counts, kind="stable")[:size])
    return torch.tensor(keys[chosen]), counts[chosen]


def choose_features(path: LinearPath, rows: list[list[int]], size: int) -> None:
    """Give a linear path the features of most rows, at most `size`, and their inverse document frequencies."""
    found = []
    for ids, mask in pad_batches(rows):
        for keys in path.features(ids, mask):
            keys = keys.sort(1).values
            # each feature of a row once
            found.append(keys[(keys != keys.roll(1, 1)) | (torch.arange(keys.shape[1]) == 0)].numpy())
    keys, frequencies = frequent_keys(found, size)
    idf = np.log((1 + len(rows)) / (1 + frequencies)) + 1
    path.set_features(keys, torch.tensor(idf, dtype=torch.float32))


def read_kinds(path: LinearPath, rows: list[list[int]]) -> list[csr_matrix]:
    """Return the values of the features of rows, those of words and those of characters: (N, K) each, in rows of length 1."""
    parts: list[list[csr_matrix]] = [[], []]
    for ids, mask in pad_batches(rows):
        for part, keys in zip(parts, path.features(ids, mask), strict=True):
            features, values = (found.numpy() for found in path.weigh(keys))
            row, column = features.nonzero()
            part.append(csr_matrix((values[row, column], (row, features[row, column] - 1)), shape=(len(ids), len(path.keys))))
    return [vstack(part).tocsr() for part in parts]


def design_matrix(path: LinearPath, rows: list[list[int]]) -> csr_matrix:
    """Return the values of all features of rows, (N, K)."""
    words, characters = read_kinds(path, rows)
    return (words + characters).tocsr()


def telling_weights(kinds: list[csr_matrix], labels: np.ndarray) -> np.ndarray:
    """Return how much each feature (K,) tells one class from the others, 0 where no row has it.

    The largest of the classes' log-count ratios (Wang and Manning 2012, section 2.1), each of which compares the shares that a feature has
    of all that rows of a class have and of all that the others have; of each kind by itself. Of one class alone all features tell alike.

    Args:
        kinds (`list`): Values of features, (N, K) each.
        labels (`np.ndarray`): Class ids (N,), or 0 and 1 of several labels (N, C).
    """
    weights = np.zeros(kinds[0].shape[1])
    # (N,) each: which rows have a label, of labels that tell rows apart
    members = labels.T > 0 if labels.ndim == 2 else [labels == each for each in np.unique(labels)]
    members = [own for own in members if 0 < own.sum() < len(own)]
    for kind in kinds:
        seen = csr_matrix((np.ones_like(kind.data), kind.indices, kind.indptr), shape=kind.shape)
        total = np.asarray(seen.sum(0)).ravel()
        known = np.flatnonzero(total)
        if not members:
            weights[known] = 1.0
        for rows in members:
            own = np.asarray(seen[rows].sum(0)).ravel()[known]
            shares = (np.log(count / count.sum()) for count in (own + SEEN_BEFORE, total[known] - own + SEEN_BEFORE))
            weights[known] = np.maximum(weights[known], np.abs(np.subtract(*shares)))
    return weights**POWER


def weigh_columns(kinds: list[csr_matrix], weights: np.ndarray) -> csr_matrix:
    """Return the values of all features (N, K) times their weights (K,), what a row has of either kind of length 1 again."""
    weighted = [csr_matrix((kind.data * weights[kind.indices], kind.indices, kind.indptr), shape=kind.shape) for kind in kinds]
    return sum(normalize(kind, copy=False) for kind in weighted).tocsr().astype(np.float32)
