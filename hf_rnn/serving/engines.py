"""Models that answer texts, where they come from, and what a server has to know of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.digests import file_digest
from ..onnx.standalone import predictor as standalone

Answer = dict[str, Any]
# what a server computes: the answers to texts, long ones read one way, with `scores` of all labels, and with `cut` of a classifier
Predict = Callable[[list[str], str], list[Answer]]
# the first characters of a digest tell versions apart
VERSION_DIGITS = 12
# ways of reading long texts, from the cheapest on
WAYS = ("truncate", "windows", "whole")


@dataclass(frozen=True)
class Source:
    """Where a model comes from.

    Args:
        name (`str`): What the server calls it.
        path (`str`): Checkpoint, exported folder, or name on the Hub.
        quantized (`bool`): Whether to run the int8 graph of an exported folder.
        threads (`int`): Threads of one batch.
        trust_remote_code (`bool`): Whether to run model code that comes with a checkpoint.
        long_texts (`str`, *optional*): Whether a classifier cuts long texts or reads them whole; what the model says by default.
    """

    name: str
    path: str
    quantized: bool = False
    threads: int = 1
    trust_remote_code: bool = False
    long_texts: str | None = None


@dataclass(frozen=True)
class Engine:
    """A loaded model.

    Args:
        settings (`Settings`): Its task, labels and the like.
        version (`str`): Tells models in one place apart; a digest of the weights.
        predict (`Callable`): From texts, and how long ones are read, to answers as `Predictor.predict` gives them, with the `scores` of all
            labels; those of a classifier say whether a text was `cut`.
    """

    settings: standalone.Settings
    version: str
    predict: Predict = field(repr=False)

    @property
    def way(self) -> str:
        """Return how it reads long texts unless it is asked to read less of them."""
        return self.settings.long_texts or WAYS[0]


def weights_digest(weights: Path) -> str:
    """Return what tells the version of a model: digits of a digest of its weights, 0 where they are in no file of that name."""
    return file_digest(weights)[:VERSION_DIGITS] if weights.is_file() else "0"


def read_sources(models: list[str], **options: Any) -> list[Source]:
    """Return where models come from: each a folder or Hub name, after `name=` if it is to be called otherwise.

    Raises:
        ValueError: Two models have one name, or a name cannot stand in an address.
    """
    sources: list[Source] = []
    for model in models:
        before, equals, path = model.partition("=")
        name, path = (before, path) if equals else (Path(model).name or model, model)
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII):
            raise ValueError(f"A model must be called by letters, digits, '.', '-' and '_', got {name!r}. Pass it as NAME={path or model}.")
        if any(name == other.name for other in sources):
            raise ValueError(f"Two models are called {name!r}. Give one another name: OTHER={path}.")
        sources.append(Source(name, path, **options))
    return sources
