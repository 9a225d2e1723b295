"""How sure the linear part of a classifier has to be for its answers to be those of the whole model, as often as is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor
from transformers.utils import logging

from ..inference.cascade import Cascade, check_cascades, linear_logits
from ..inference.predictor import Predictor
from ..tasks.decoding import ClassDecoder, Text
from .promises import CONFIDENCE, lower_bound

logger = logging.get_logger(__name__)

# texts that both answer, evenly drawn from those at hand
COMPARED = 2048


@dataclass(frozen=True)
class Found:
    """What was found on texts that both answered.

    Attributes:
        cascade (`Cascade`): When the linear part answers alone.
        answered (`float`): Share of the texts that it answers.
        agreement (`float`): Share of all texts that get the answer of the whole model.
    """

    cascade: Cascade
    answered: float
    agreement: float


def find_cascade(linear: Tensor, whole: Tensor, agreement: float, confidence: float = CONFIDENCE) -> Found | None:
    """Return the lowest threshold with which, at a confidence, a share of all answers is that of the whole model, or None if there is none.

    Thresholds are tested from high to low, each by the bound of Clopper and Pearson, until one is not shown to hold: a fixed sequence, in
    which no error adds up. What the linear part does not answer agrees by itself.

    Args:
        linear (`Tensor`): Logits of the linear part, (N, C).
        whole (`Tensor`): Logits of the model, (N, C).
        agreement (`float`): The share, in (0, 1).
        confidence (`float`): Probability that the texts are such that it holds.
    """
    ours, theirs = (logits - logits.mean(-1, keepdim=True) for logits in (linear, whole))
    # least squares without a constant: as sure, on the whole, as the model
    scale = float((ours * theirs).sum() / ours.square().sum().clamp(min=1e-12))
    if scale <= 0:
        return None
    scores = (scale * linear).softmax(-1).amax(-1).numpy()
    differs = (linear.argmax(-1) != whole.argmax(-1)).numpy()
    order = np.argsort(-scores, kind="stable")
    wrong = np.cumsum(differs[order])
    holds = lower_bound(len(order) - wrong, len(order), confidence) >= agreement
    count = len(holds) if holds.all() else int(holds.argmin())
    # those of one score go together
    while 0 < count < len(order) and scores[order[count]] == scores[order[count - 1]]:
        count -= 1
    if not count:
        return None
    threshold = float(scores[order[count - 1]])
    return Found(Cascade(threshold, scale), count / len(order), 1 - float(wrong[count - 1]) / len(order))


def with_cascade(predictor: Predictor, texts: Sequence[Text], agreement: float, batch_size: int) -> Predictor:
    """Return a predictor whose linear part answers what it is sure of, if some texts show that enough answers stay; say it in a line.

    Args:
        predictor (`Predictor`): Of a classifier with a linear part.
        texts (`Sequence`): Texts like those to be answered.
        agreement (`float`): Share of answers that have to be those of the whole model, in (0, 1).
        batch_size (`int`): Texts at a time, at most.

    Raises:
        ValueError: The model has no such part.
    """
    decoder = predictor.decoder
    check_cascades(decoder)
    assert isinstance(decoder, ClassDecoder)
    some = [texts[place] for place in np.unique(np.linspace(0, len(texts) - 1, min(len(texts), COMPARED)).round().astype(int))]
    windows = decoder.encode(some)
    ids = None if windows is None else [each[0] for each in windows if len(each) == 1]
    found = None
    if ids:
        found = find_cascade(linear_logits(decoder, ids, batch_size), predictor.logits_of(ids, batch_size), agreement)
    if found is None:
        logger.warning(f"No cascade: {len(ids or ())} texts do not show that {agreement:.4g} of its answers would be those of the model.")
        return predictor
    logger.warning(
        f"Cascade: the linear part alone answers what it is sure of, {found.answered:.0%} of {len(ids or ())} texts compared; "
        f"{found.agreement:.2%} of all labels were those of the whole model, at least {agreement:.4g} with {CONFIDENCE:.0%} confidence."
    )
    return replace(predictor, cascade=found.cascade)
