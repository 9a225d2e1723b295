"""Which evaluation of a run is the best, and when none better is to be expected: by the metric, and by the loss where that is silent.

Few validation rows know few different accuracies, and the F1 of spans is 0.0 until the first one is found, while the loss already falls.
The losses are read from the log, which checkpoints hold, so that a resumed run knows them.
"""

from math import inf
from typing import Any

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments

LOSS = "eval_loss"


def validation_losses(state: TrainerState) -> dict[int, float]:
    """Return the validation loss of each evaluation so far, by its step."""
    return {entry["step"]: entry[LOSS] for entry in state.log_history if LOSS in entry}


def is_best(state: TrainerState, metric: float, greater_is_better: bool | None) -> bool:
    """Return whether the evaluation at hand is better than the best one before: by its metric, of equal ones by its loss."""
    if state.best_metric is None:
        return True
    if metric == state.best_metric:
        losses = validation_losses(state)
        return losses.get(state.global_step, inf) < losses.get(state.best_global_step or 0, -inf)
    return metric > state.best_metric if greater_is_better else metric < state.best_metric


class Patience(EarlyStoppingCallback):
    """Early stopping that waits while the loss falls: an evaluation is in vain if neither it nor its loss is the best so far."""

    early_stopping_patience_counter: int

    def check_metric_value(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metric_value: Any) -> None:
        """Count the evaluations in vain since the last one that was not."""
        losses = validation_losses(state)
        loss = losses.pop(state.global_step, inf)
        is_new = is_best(state, metric_value, args.greater_is_better) or loss < min(losses.values(), default=inf)
        self.early_stopping_patience_counter = 0 if is_new else self.early_stopping_patience_counter + 1
