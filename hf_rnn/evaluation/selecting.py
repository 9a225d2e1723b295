"""Choose the texts of a pool whose labels would teach a model most: those that it is unsure of, and that are unlike one another."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from ..inference.bulk import batches, size
from ..inference.predictor import Predictor
from ..tasks.decoding import Text, joined

# texts looked at for each that is chosen, the least sure first
SHORTLIST = 10


def choose_next(predictor: Predictor, texts: Sequence[Text], number: int, batch_size: int = 64) -> list[int]:
    """Return the places in a pool of the texts to label next, the most telling first.

    Args:
        predictor (`Predictor`): A trained classifier or tagger.
        texts (`Sequence`): The pool.
        number (`int`): How many to choose; all of a smaller pool.
        batch_size (`int`): Texts at a time, at most.

    Raises:
        ValueError: The model answers numbers, which it is neither sure nor unsure of.
    """
    return choose_diverse([joined(text) for text in texts], uncertainties(predictor, texts, batch_size), number)


def uncertainties(predictor: Predictor, texts: Sequence[Text], batch_size: int = 64) -> np.ndarray:
    """Return how unsure a model is of each text, (N,).

    Of one label it is 1 less the margin between the two best probabilities (Scheffer et al. 2001), of several the least sure one of them,
    of a tagger the number of tags that it expects to be wrong.
    """
    kind = predictor.decoder.kind
    if kind not in MEASURES:
        raise ValueError("Which numbers a regression is unsure of is not known. Pass a classifier or a tagger as --model_name_or_path.")
    found = np.zeros(len(texts))
    for rows in batches([size(text) for text in texts], batch_size):
        with torch.inference_mode():
            for row, logits in zip(rows, predictor.decoder.logits([texts[row] for row in rows]), strict=True):
                found[row] = MEASURES[kind](logits.float().cpu())
    return found


def _margin(logits: torch.Tensor) -> float:
    best = logits.softmax(-1).topk(min(2, len(logits))).values
    return float(1 - (best[0] - best[-1]))


def _least_sure(logits: torch.Tensor) -> float:
    return float((1 - (2 * logits.sigmoid() - 1).abs()).max())


def _wrong_tags(logits: torch.Tensor) -> float:
    # (W, C)
    return float((1 - logits.softmax(-1).max(-1).values).sum()) if len(logits) else 0.0


MEASURES = {"label": _margin, "labels": _least_sure, "tags": _wrong_tags, "spans": _wrong_tags}


def choose_diverse(texts: Sequence[str], scores: np.ndarray, number: int) -> list[int]:
    """Return the places of texts with high scores that are unlike one another.

    Of the texts with the highest scores the one is taken whose score, times its distance from the nearest that was taken, is largest: the
    farthest-first traversal (Gonzalez 1985) with weights. Distances are 1 less the cosine of words and pairs of words.

    Args:
        texts (`Sequence`): Of the pool.
        scores (`np.ndarray`): What each is worth alone, (N,).
        number (`int`): How many to choose.
    """
    shortlist = np.argsort(-scores, kind="stable")[: SHORTLIST * number]
    if len(shortlist) <= 1:
        return shortlist.tolist()
    vectors = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True).fit_transform(
        [texts[index] or "-" for index in shortlist]
    )
    worth = np.maximum(scores[shortlist], 1e-9)
    distances, left = np.ones(len(shortlist)), set(range(len(shortlist)))
    chosen: list[int] = []
    while left and len(chosen) < number:
        # what is like another one is better than nothing
        weighed: np.ndarray = worth * np.maximum(distances, 1e-6)
        best = max(left, key=lambda place: (weighed[place], -place))
        chosen.append(int(shortlist[best]))
        left.remove(best)
        distances = np.minimum(distances, 1 - (vectors @ vectors[best].T).toarray().ravel())
    return chosen
