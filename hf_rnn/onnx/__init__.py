"""ONNX: export, operators, and a runtime model.

Importing this package registers the `model_type` of exported folders, so that `pipeline(task, model=folder)` and the Auto classes load
them as they load any checkpoint.
"""

from .runtime import MODEL_FILE, QUANTIZED_FILE, OnnxRnnConfig, OnnxRnnModel

__all__ = ["MODEL_FILE", "QUANTIZED_FILE", "OnnxRnnConfig", "OnnxRnnModel"]
