"""Save a model in half precision."""

import copy
import shutil
from pathlib import Path

import torch
from transformers.utils.logging import get_logger

from ..data.loading import forget_lengths
from ..data.writing import check_output_dir
from ..inference.predictor import Predictor
from ..models.pretrained import leads_out, let_read

logger = get_logger(__name__)

DTYPES = ("float16", "bfloat16", "float32")
# the card, its pictures and the figures that it quotes
KEPT = ("README.md", "*.png", "*_results.json", "report.txt")


def convert(predictor: Predictor, source: str | Path, folder: str | Path, dtype: str) -> None:
    """Write a checkpoint in another dtype: weights, config, tokenizer and code anew, card and pictures as they are.

    Args:
        predictor (`Predictor`): Model and tokenizer.
        source (`str`): Folder that they come from, for its card; a name on the Hub has none.
        folder (`str`): Folder to write to.
        dtype (`str`): One of `DTYPES`.

    Raises:
        ValueError: The folders are the same, the model is an exported graph, or a weight is beyond the range of the dtype.
    """
    check_output_dir(str(folder), "output_dir", str(source))
    if next(predictor.model.parameters(), None) is None:
        raise ValueError(f"{str(source)!r} holds a graph of `hf-rnn export`. Pass the checkpoint that it was made from.")
    source, folder = Path(source), Path(folder)
    target = getattr(torch, dtype)
    for name, parameter in predictor.model.named_parameters():
        if not parameter.to(target).isfinite().all():
            raise ValueError(f"Weight {name!r} has values beyond the range of {dtype}. Pass --dtype bfloat16.")
    for path in (path for pattern in KEPT for path in source.glob(pattern)):
        if leads_out(path, source) or not path.is_file():
            logger.warning(f"{path} is no file of the folder, and is left out.")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.name)
    copy.deepcopy(predictor.model).to(target).save_pretrained(folder)
    let_read(folder)
    forget_lengths(predictor.tokenizer)
    predictor.tokenizer.save_pretrained(folder)
