"""What models of other folds answered to rows while they were trained, beside what linear models make of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax
from transformers.utils import logging

from ..data.files.errors import DataError
from ..data.rows.folds import ANSWERS
from .checked_rows import Row

logger = logging.get_logger(__name__)

# the least probability, as logarithms are added
LEAST = 1e-6


@dataclass(frozen=True)
class KeptAnswers:
    """Answers by text: the same text is in one fold, so that one model has answered it.

    Attributes:
        of_text (`Mapping`): Lines of the file by their text, of sentences by their tokens parted by spaces.
    """

    of_text: Mapping[str, dict[str, Any]]

    def mix_labels(self, probabilities: np.ndarray, texts: Sequence[str], labels: Sequence[str]) -> np.ndarray:
        """Return the geometric mean of probabilities (N, C) of texts and the scores that were kept, as they are where none were."""
        rows = [self.of_text.get(text) for text in texts]
        self._tell(rows, "scores")
        mixed = probabilities.copy()
        for index, row in enumerate(rows):
            if row is not None:
                scores = np.array([row["scores"].get(label, 0.0) for label in labels])
                mixed[index] = _mean(probabilities[index], scores)
        return mixed

    def mix_tags(self, probabilities: Sequence[np.ndarray], rows: Sequence[Row], tags: Sequence[str]) -> list[np.ndarray]:
        """Return the geometric means of probabilities (W, C) of the tokens of sentences and of what was kept of them.

        Kept are the probabilities of the tag that was answered and of the one that was given then; the others share the rest.
        """
        ids = {tag: index for index, tag in enumerate(tags)}
        found = [self.of_text.get(row.text) for row in rows]
        self._tell(found, "given_scores")
        mixed = []
        for own, line in zip(probabilities, found, strict=True):
            if line is None or len(line["tags"]) != len(own):
                mixed.append(own)
                continue
            scores = np.empty_like(own)
            for token, parts in enumerate(zip(line["tags"], line["scores"], line["given"], line["given_scores"], strict=True)):
                known = {ids[tag]: score for tag, score in (parts[2:], parts[:2]) if tag in ids}
                scores[token] = max(1 - sum(known.values()), 0) / max(len(tags) - len(known), 1)
                scores[token, list(known)] = list(known.values())
            mixed.append(_mean(own, scores))
        return mixed

    def _tell(self, rows: Sequence[dict[str, Any] | None], needed: str) -> None:
        """Say how many rows have no answer; raise a DataError where none has one of this kind."""
        lacking = sum(row is None for row in rows)
        if lacking == len(rows) or any(row is not None and needed not in row for row in rows):
            raise DataError("`out_of_fold` has no answers to such rows. Name the folder of a training with --folds on these rows.")
        if lacking:
            logger.warning(
                f"{lacking:,} of {len(rows):,} rows are not among those that the folds were trained on: linear models judge them."
            )


def _mean(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the geometric mean of probabilities (..., C)."""
    return softmax((np.log(np.maximum(first, LEAST)) + np.log(np.maximum(second, LEAST))) / 2, axis=-1)


def read_answers(folder: str) -> KeptAnswers:
    """Return the answers that a training with folds kept in its folder.

    Raises:
        DataError: There are none.
    """
    path = Path(folder) / ANSWERS
    if not path.is_file():
        raise DataError(f"`out_of_fold` {folder!r} holds no {ANSWERS}. Name the folder of a training with --folds.")
    lines = map(json.loads, filter(None, path.read_text(encoding="utf-8").split("\n")))
    return KeptAnswers({line["text"] if "text" in line else " ".join(line["tokens"]): line for line in lines})
