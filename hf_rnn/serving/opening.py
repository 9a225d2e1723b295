"""Load models that answer texts: exported folders by ONNX Runtime, checkpoints by PyTorch, which only they load."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer

from ..onnx.standalone import predictor as standalone
from .engines import Answer, Engine, Source, weights_digest


def open_engine(source: Source) -> Engine:
    """Load a model and answer a text with it.

    Raises:
        ValueError: There is no such model, or it is neither a classifier nor a tagger.
        OSError: The same, of a name on the Hub.
    """
    if is_exported(source.path):
        engine = _open_exported(source)
    else:
        # PyTorch need not be there for others
        from .checkpoints import open_checkpoint

        engine = open_checkpoint(source)
    # what is wrong shows before anyone asks
    engine.predict(["a"], engine.way)
    return engine


def is_exported(path: str) -> bool:
    """Return whether a path is that of a folder that `hf-rnn export` wrote."""
    return (Path(path) / standalone.SETTINGS_FILE).is_file()


def _open_exported(source: Source) -> Engine:
    predictor = standalone.load(source.path, source.quantized, source.threads, source.long_texts)
    graph = Path(source.path) / (standalone.QUANTIZED_FILE if source.quantized else standalone.MODEL_FILE)

    @cache
    def reading(way: str) -> standalone.Predictor:
        """Return the same model with another way of reading long texts."""
        settings = replace(predictor.settings, long_texts=way)
        tokenizer = Tokenizer.from_str(predictor.tokenizer.to_str())
        standalone.limit_texts(tokenizer, settings)
        return standalone.Predictor(settings, tokenizer, predictor.session)

    def predict(texts: list[str], way: str) -> list[Answer]:
        return reading(way).predict(texts, all_scores=True, tell_cuts=True)

    return Engine(predictor.settings, weights_digest(graph), predict)
