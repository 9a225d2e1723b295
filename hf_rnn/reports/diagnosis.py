"""What went wrong in a training, in a line with the remedy each."""

from collections.abc import Sequence
from typing import Any

import numpy as np

# the last epoch still lowers the loss by so much, the training score is so near that of the most frequent class
FALLING, NEAR_CHANCE = 0.1, 0.05
# the validation loss is so many times the lowest one, and the training accuracy is so high
RISEN, LEARNT = 1.5, 0.97
FEWEST_ROWS = 50


def diagnose(history: Sequence[dict[str, Any]], predictions: Sequence[int], references: Sequence[int], rows: int) -> list[str]:
    """Return what is wrong, if anything is.

    Args:
        history (`Sequence`): `trainer.state.log_history`.
        predictions (`Sequence`): Class ids that the model answers to the validation rows or words.
        references (`Sequence`): Right ones.
        rows (`int`): Validation rows.
    """
    checks = (_underfit(history, references), _overfit(history), _one_class(predictions, references), _few(rows))
    return [line for line in checks if line is not None]


def _underfit(history: Sequence[dict[str, Any]], references: Sequence[int]) -> str | None:
    losses = [entry["loss"] for entry in history if "loss" in entry]
    accuracies = [entry["accuracy"] for entry in history if "accuracy" in entry]
    if len(losses) >= 2 and losses[-1] < (1 - FALLING) * losses[-2] and losses[-1] > 0.3 * losses[0]:
        fall = f"{losses[-2]:.2f} to {losses[-1]:.2f}"
        return f"The training loss was still falling fast when training ended ({fall}): pass more --num_train_epochs."
    if accuracies and len(references):
        chance = np.unique(references, return_counts=True)[1].max() / len(references)
        if accuracies[-1] < min(chance + NEAR_CHANCE, 1.0 - NEAR_CHANCE) and chance < 1.0 - 2 * NEAR_CHANCE:
            scores = f"{accuracies[-1]:.2f}, where the most frequent class alone gives {chance:.2f}"
            return f"The recurrence learnt little (training accuracy {scores}): pass more --num_train_epochs or a smaller dropout."
    return None


def _overfit(history: Sequence[dict[str, Any]]) -> str | None:
    losses = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    accuracies = [entry["accuracy"] for entry in history if "accuracy" in entry]
    if len(losses) >= 2 and accuracies and losses[-1] > RISEN * min(losses) and accuracies[-1] > LEARNT:
        rise = f"{min(losses):.2f} to {losses[-1]:.2f}"
        return f"The validation loss rose from {rise} while training rows were learnt by heart: more rows or more dropout may help."
    return None


def _one_class(predictions: Sequence[int], references: Sequence[int]) -> str | None:
    if len(predictions) and len(set(predictions)) == 1 and len(set(references)) > 1:
        return "One class is predicted throughout: pass more --num_train_epochs, or rows of the other classes."
    return None


def _few(rows: int) -> str | None:
    if 0 < rows < FEWEST_ROWS:
        return (
            f"Only {rows} validation rows: the score, and what it chooses, is that of few: pass --validation_file or a --validation_share."
        )
    return None
