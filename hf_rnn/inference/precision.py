"""Products in bfloat16 where they are faster and change no answer: chosen by measurement, never by belief."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from transformers.utils import logging

from ..models.onednn import is_available
from ..tasks.decoding import Text
from .predictor import Predictor

logger = logging.get_logger(__name__)

PRECISIONS = ("auto", "float32", "bfloat16")
# texts that are answered in both, of as many at least as make it worth while; how much faster bfloat16 has to be
COMPARED, WORTH_WHILE, FASTER = 512, 4096, 1.15


def products_in(precision: str, device: str = "cpu") -> AbstractContextManager[Any]:
    """Return a context in which products are made in a precision, "float32" or "bfloat16"; states and sums stay in fp32."""
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")


def choose_precision(predictor: Predictor, texts: Sequence[Text], batch_size: int) -> str:
    """Return "bfloat16" where a processor makes it faster and no answer to the first texts differs, else "float32"; say which in a line.

    Args:
        predictor (`Predictor`): What answers.
        texts (`Sequence`): The first of all texts; of too few of them fp32 is kept without a word.
        batch_size (`int`): Texts at a time, at most.
    """
    device = predictor.model.device.type
    if len(texts) < WORTH_WHILE or device != "cpu" or not is_available(torch.bfloat16):
        return "float32"
    compared = texts[:COMPARED]
    answers, seconds = {}, {}
    for precision in ("float32", "bfloat16"):
        with products_in(precision):
            # weights are laid out at the first call
            predictor.predict(compared[:8], batch_size)
            start = time.perf_counter()
            answers[precision] = predictor.predict(compared, batch_size)
            seconds[precision] = time.perf_counter() - start
    gain = seconds["float32"] / seconds["bfloat16"]
    whole, half = ([without_scores(answer) for answer in answers[precision]] for precision in answers)
    changed = sum(one != other for one, other in zip(whole, half, strict=True))
    chosen = "bfloat16" if not changed and gain >= FASTER else "float32"
    told = f"{changed} of the first {len(compared)} answers differ" if changed else f"the first {len(compared)} answers are the same"
    logger.warning(f"Products in {chosen}: bfloat16 is {gain:.1f} times as fast, and {told}. --precision says another one.")
    return chosen


def without_scores(answer: Any) -> Any:
    """Return an answer without the numbers that only tell how sure it is."""
    if isinstance(answer, dict):
        return {name: without_scores(value) for name, value in answer.items() if name not in ("score", "scores")}
    return [without_scores(each) for each in answer] if isinstance(answer, list) else answer
