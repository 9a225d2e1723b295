"""The commands that train a model for a task, by the name of the task."""

from typing import Any

from . import text_classification, token_classification

TASKS: dict[str, Any] = {"text-classification": text_classification, "token-classification": token_classification}
