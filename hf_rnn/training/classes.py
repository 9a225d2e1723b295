"""Classes of very different numbers of rows, as a run treats them: by macro-F1, and with a word on the rare ones."""

from collections.abc import Mapping

from datasets import Dataset
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from ..data.rows.labels import count_labels, feature_names
from ..data.rows.splits import Splits
from ..linear.imbalance import is_unbalanced, rare_recalls
from ..tasks.task import Task

logger = logging.get_logger(__name__)


def class_counts(task: Task, splits: Splits) -> Mapping[str, int]:
    """Return the number of training rows of each class; nothing where rows have not one class each, or are a stream."""
    rows = splits.get("train")
    if task.has_tags or not task.can_promise or not isinstance(rows, Dataset):
        return {}
    return count_labels(rows, task.columns.labels, feature_names(rows, task.columns.labels))


def usual_metric(task: Task, splits: Splits) -> tuple[str, bool]:
    """Return the metric that chooses the best epoch unless options do, and whether more is better: macro-F1 of unbalanced classes."""
    counts = class_counts(task, splits)
    if not is_unbalanced(list(counts.values())):
        return task.metric
    logger.warning(
        f"The largest class has {max(counts.values()):,} training rows, the smallest {min(counts.values()):,}: what counts is f1_macro, "
        "and the linear model favours rare classes. --metric_for_best_model accuracy and --logit_adjustment 0 are the other way."
    )
    return "f1_macro", True


def tell_rare(task: Task, splits: Splits, output: PredictionOutput | None) -> None:
    """Say how many rows of the rarest classes were found, where classes are unbalanced."""
    if output is not None and (line := rare_recalls(*task.class_ids(output), class_counts(task, splits), task.labels)):
        logger.warning(line)
