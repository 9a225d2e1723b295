"""Write the model card of a run."""

from typing import Any

from .arguments import DataArguments


def write_card(trainer: Any, data: DataArguments, outputs: dict[str, Any], tokenizer: Any, task: str, metric: str) -> None:
    """stub"""
