"""What options that are left out are, by the training rows."""

from dataclasses import replace
from typing import Any

from datasets import Dataset
from transformers.utils import logging

from ..data.rows.labels import count_labels, feature_names
from ..data.rows.splits import AnyDataset, iterate_texts
from ..tasks.defaults import UNKNOWN, Size, describe, fill, fine_tuning_defaults, validation_share
from ..tasks.task import Columns, Task, TaskOptions
from .building import foreign_width

logger = logging.get_logger(__name__)


def fill_defaults(kind: type[Task], rows: AnyDataset | None, columns: Columns, options: TaskOptions, more: int) -> dict[str, Any]:
    """Let what the options leave out follow from the training rows; return it, and say so before training.

    Args:
        kind (`type`): The task.
        rows (`Dataset`, *optional*): Training rows with labels as `Task.read_labels` returns them.
        columns (`Columns`): Their columns.
        options (`TaskOptions`): Is filled.
        more (`int`): Rows that a teacher answers beside them.
    """
    size = _measure(kind, rows, columns, options) if isinstance(rows, Dataset) else UNKNOWN
    if size.empty:
        told = f"{size.empty:,} of {size.rows:,} training rows have no text in column {columns.text!r}"
        logger.warning(f"{told}: remove them if they should.")
    # rows for a teacher are rows to learn from, but none to hold out
    grown, width = size.grown(more), foreign_width(options.model)
    chosen = kind.defaults(grown, options) if width is None else fine_tuning_defaults(grown, width, kind.has_tags)
    defaults = {**chosen, "validation_share": validation_share(size.rows)}
    if options.training.do_train:
        logger.warning(describe(size, defaults, options.goes_on, options.model, options.data, options.training))
    fill(defaults, options.data, options.training)
    return defaults


def _measure(kind: type[Task], rows: Dataset, columns: Columns, options: TaskOptions) -> Size:
    """Return how much rows have to learn from; classes are those of rows, not of words."""
    labels = [] if kind.has_tags else kind.drawn_by(columns, options.data)
    classes = sum(len(count_labels(rows, name, feature_names(rows, name))) for name in labels)
    return replace(Size.of(iterate_texts(rows, columns.text)), classes=classes)
