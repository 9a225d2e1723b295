"""The tasks that there are, and which of them rows pose."""

from dataclasses import fields

from ..data.files.annotations import SPAN_COLUMNS
from ..data.rows.annotated import holds_spans
from ..data.rows.splits import Splits, column_names
from .span_labelling import SpanLabelling
from .task import Task, TaskOptions
from .text_classification import TextClassification
from .token_classification import TokenClassification

# by the names that pipelines have for them; rows of raw text with spans make a tagger one of raw text
TASKS: dict[str, type[Task]] = {task.name: task for task in (TextClassification, TokenClassification)}


def find_task(name: str, splits: Splits, options: TaskOptions) -> type[Task]:
    """Return the task that rows pose, of those that go by a name.

    Args:
        name (`str`): One of `TASKS`.
        splits: Raw rows.
        options (`TaskOptions`): Whether they say that texts are raw.

    Raises:
        ValueError: There is no such task, or an option has no meaning in it.
    """
    if name not in TASKS:
        raise ValueError(f"`task` must be one of {tuple(TASKS)}, got {name!r}. Pass another one.")
    kind = TASKS[name]
    if kind is TokenClassification and _reads_raw_text(splits, options):
        kind = SpanLabelling
    usual = {each.name: each.default for group in (options.data, options.model) for each in fields(group)}
    for option, remedy in kind.without.items():
        value = getattr(options.data if hasattr(options.data, option) else options.model, option)
        if value not in (None, False, "none", usual[option]):
            raise ValueError(f"`{option}` means nothing to {name} of these rows, got {value!r}. {remedy}")
    return kind


def _reads_raw_text(splits: Splits, options: TaskOptions) -> bool:
    """Return whether the rows are raw texts with spans: as the options say, or because there are spans and no tokens."""
    if options.data.from_text is not None:
        return options.data.from_text
    rows, named = next(iter(splits.values())), options.data.label_column_name
    return holds_spans(rows, named if any(name in column_names(rows) for name in SPAN_COLUMNS) else None)
