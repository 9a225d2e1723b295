"""Models that answer texts: those of a checkpoint by PyTorch, those of an exported folder without."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from ..data.writing import file_digest
from ..inference.loading import load
from ..onnx.standalone import predictor as standalone
from ..onnx.standalone import predictor_settings

Answer = dict[str, Any]
BATCH_TEXTS = 64
# the first characters of a digest tell versions apart
VERSION_DIGITS = 12


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
        predict (`Callable`): From texts to answers as `Predictor.predict` gives them, with the `scores` of all labels.
    """

    settings: standalone.Settings
    version: str
    predict: Callable[[list[str]], list[Answer]] = field(repr=False)


def open_engine(source: Source) -> Engine:
    """Load a model and answer a text with it.

    Raises:
        ValueError: There is no such model, or it is neither a classifier nor a tagger.
        OSError: The same, of a name on the Hub.
    """
    engine = _open_exported(source) if (Path(source.path) / standalone.SETTINGS_FILE).is_file() else _open_checkpoint(source)
    # what is wrong shows before anyone asks
    engine.predict(["a"])
    return engine


def _open_exported(source: Source) -> Engine:
    predictor = standalone.load(source.path, source.quantized, source.threads, source.long_texts)
    graph = Path(source.path) / (standalone.QUANTIZED_FILE if source.quantized else standalone.MODEL_FILE)
    return Engine(predictor.settings, _digest(graph), lambda texts: predictor.predict(texts, all_scores=True))


def _open_checkpoint(source: Source) -> Engine:
    if source.quantized:
        raise ValueError(f"{source.path!r} holds no int8 graph. Pass a folder that `hf-rnn export --quantize true` wrote.")
    torch.set_num_threads(source.threads)
    predictor = load(source.path, source.trust_remote_code, long_texts=source.long_texts)
    for tensor in chain(predictor.model.parameters(), predictor.model.buffers()):
        # they lie in the file, which may be written over while it is served
        tensor.data = tensor.data.clone()
    settings = predictor_settings(predictor.model.config, predictor.tokenizer)
    answer = partial(predictor.predict, all_scores=True) if predictor.decoder.kind == "label" else predictor.predict
    return Engine(settings, _digest(Path(source.path) / "model.safetensors"), answer)


def _digest(weights: Path) -> str:
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
