"""Keep back what libraries show of their own work."""

from collections.abc import Callable
from typing import Any

from transformers.utils.logging import set_tqdm_hook


def hide_library_bars() -> None:
    """Leave out the bars that transformers draws for a moment when it reads or writes weights; those of downloads stay."""
    set_tqdm_hook(_hidden)


def _hidden(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return factory(*args, **{**kwargs, "disable": True})
