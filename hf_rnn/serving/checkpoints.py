"""Checkpoints that answer texts, by PyTorch."""

from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path

import torch

from ..inference.loading import load
from ..inference.predictor import Predictor
from ..onnx.standalone import predictor_settings
from ..tasks.decoding import TextDecoder
from .engines import Answer, Engine, Source, weights_digest


def open_checkpoint(source: Source) -> Engine:
    """Load a checkpoint.

    Raises:
        ValueError: There is no such checkpoint, or it is neither of a classifier nor of a tagger.
        OSError: The same, of a name on the Hub.
    """
    if source.quantized:
        raise ValueError(f"{source.path!r} holds no int8 graph. Pass a folder that `hf-rnn export --quantize true` wrote.")
    torch.set_num_threads(source.threads)
    predictor = load(source.path, source.trust_remote_code, long_texts=source.long_texts)
    for tensor in chain(predictor.model.parameters(), predictor.model.buffers()):
        # they lie in the file, which may be written over while it is served
        tensor.data = tensor.data.clone()
    settings = predictor_settings(predictor.model.config, predictor.tokenizer)
    settings = replace(settings, long_texts=source.long_texts or settings.long_texts)

    @cache
    def reading(way: str) -> Predictor:
        """Return the same model with another way of reading long texts."""
        return replace(predictor, long_texts=way)

    def predict(texts: list[str], way: str) -> list[Answer]:
        decoder = reading(way).decoder
        answers = reading(way).predict(texts, all_scores=decoder.kind == "label")
        if isinstance(decoder, TextDecoder):
            for answer, is_cut in zip(answers, decoder.are_cut(texts), strict=True):
                answer["cut"] = is_cut
        return answers

    return Engine(settings, weights_digest(Path(source.path) / "model.safetensors"), predict)
