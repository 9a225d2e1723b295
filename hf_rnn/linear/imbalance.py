"""Classes of very different numbers of rows: logits are adjusted, and what becomes of the rare ones is told.

A penalised regression is too sure that a text is of no rare class. Logits less a share of the logarithm of the class's share of rows (Menon
et al. 2021) mend that without weights in any loss, so that factors fitted by likelihood afterwards still make scores what they say.
"""

from collections.abc import Mapping, Sequence

import numpy as np

# rows of the largest class for one of the smallest from which on classes are unbalanced, and how far logits are adjusted then
UNBALANCED, ADJUSTMENT = 10.0, 0.75
# rare classes that are told, and how much smaller than the largest one they are
MOST_TOLD = 5


def is_unbalanced(counts: Sequence[int] | np.ndarray) -> bool:
    """Return whether the largest class has so many more rows than the smallest that has any, which single rows do not decide."""
    present = [count for count in counts if count]
    return len(present) > 1 and max(present) >= UNBALANCED * min(present) and sum(present) >= UNBALANCED * len(present)


def class_shift(labels: np.ndarray, num_labels: int, asked: float | None) -> np.ndarray | None:
    """Return what the logits of classes (C,) are lowered by: in the mean over rows nothing; None if nothing is.

    Args:
        labels (`np.ndarray`): Class ids (N,) of the training rows.
        num_labels (`int`): Number of classes.
        asked (`float`, *optional*): How far to adjust; by default only where classes are unbalanced.
    """
    counts = np.bincount(labels, minlength=num_labels)
    strength = (ADJUSTMENT if is_unbalanced(counts) else 0.0) if asked is None else asked
    if not strength:
        return None
    logs = np.log(np.maximum(counts, 1) / len(labels))
    shift = strength * (logs - logs[labels].mean())
    # a class that no row has is no rare one
    return np.where(counts > 0, shift, 0.0)


def rare_recalls(predictions: Sequence[int], references: Sequence[int], counts: Mapping[str, int], labels: Sequence[str]) -> str | None:
    """Return a line with the recall of the rarest classes among labelled rows, or None where classes are not unbalanced.

    Args:
        predictions, references (`Sequence`): Class ids.
        counts (`Mapping`): Training rows by label.
        labels (`Sequence`): Names of the classes.
    """
    if not len(references) or not is_unbalanced(list(counts.values())):
        return None
    largest = max(counts.values())
    rare = sorted((count, label) for label, count in counts.items() if count * UNBALANCED <= largest and label in labels)[:MOST_TOLD]
    right = np.array(predictions) == np.array(references)
    told = []
    for count, label in rare:
        own = np.array(references) == labels.index(label)
        told.append(f"{label} ({count:,} training rows) {right[own].sum()} of {own.sum()}")
    return f"Recall of the rarest classes: {', '.join(told)}."
