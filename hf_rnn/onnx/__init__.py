"""ONNX: export, operators, and a runtime model.

Importing this package registers the `model_type` of exported folders, so that `pipeline(task, model=folder)` and the Auto classes load
them as they load any checkpoint. `export_onnx` writes them; `torch.onnx.export(..., dynamo=True)` works with
`custom_translation_table=TRANSLATIONS`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .runtime import MODEL_FILE, QUANTIZED_FILE, OnnxRnnConfig, OnnxRnnModel

if TYPE_CHECKING:
    from .export import export_onnx, quantize
    from .operators import TRANSLATIONS

__all__ = ["MODEL_FILE", "QUANTIZED_FILE", "TRANSLATIONS", "OnnxRnnConfig", "OnnxRnnModel", "export_onnx", "quantize"]

# what running a graph does not need is loaded on first use
_LAZY = {"export_onnx": "export", "quantize": "export", "TRANSLATIONS": "operators"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
