"""What is fitted once a model is trained: a linear model beside its recurrence, or its temperature."""

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from ..models.modeling_rnn import RnnForSequenceClassification, RnnForTokenClassification
from ..tasks.decoding import task_of
from .classifier import ClassifierFit, LinearFit
from .tagger import TaggerFit
from .temperature import TemperatureFit
from .weighing import FROM_LABELS, LEARNED, LEARNED_NUMBERS, NUMBERS

logger = logging.get_logger(__name__)


def choose_linear_fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    size: int | None,
    default: int,
    knows_more: bool,
    is_kept: bool = False,
    adjustment: float | None = None,
    has_teacher: bool = False,
) -> LinearFit | None:
    """Take away the linear model that a checkpoint came with, and return what makes one for the rows at hand, if anything does.

    Its factors are fitted by likelihood; classifiers without one get a temperature.

    Args:
        model (`PreTrainedModel`): New, or a checkpoint to go on from.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        size (`int`, *optional*): Features that are asked for.
        default (`int`): Features of a new model, where nothing is asked for; a checkpoint goes on with as many as it has.
        knows_more (`bool`): Whether the recurrence knows more than the labels tell, by a teacher or by text without labels.
        is_kept (`bool`): Whether the rows at hand tell too little to fit the linear model of a checkpoint again, which stays then as it is.
        adjustment (`float`, *optional*): How far logits are adjusted for the shares of classes.
        has_teacher (`bool`): Whether a teacher answers rows too: a new linear model of a classifier, unless it is asked for, must pay then.

    Raises:
        ValueError: Adjusted logits are asked for, and the model can have none.
    """
    is_classifier = isinstance(model, RnnForSequenceClassification)
    problem = model.config.problem_type
    is_fitted = is_classifier and bool(size or (size is None and (model.config.linear_size or default)))
    if adjustment and not (is_fitted and problem in (None, "single_label_classification")):
        raise ValueError(f"`logit_adjustment` needs a classifier of one label a row with a linear model, got {adjustment}. Leave it out.")
    if not is_classifier and not isinstance(model, RnnForTokenClassification):
        return _temperature(model)
    known = model.config.linear_size
    chosen = size if size is not None else known or default
    if known and chosen and is_kept:
        logger.warning(f"The linear model of the checkpoint, of {known:,} features, is kept as it is.")
        return None
    if known:
        is_again = "is fitted again to these rows" if chosen else "is left out"
        logger.warning(f"The linear model of the checkpoint, of {known:,} features, {is_again}.")
    if known and problem == NUMBERS:
        # near which numbers are, of which the linear model had the most
        with torch.no_grad():
            model.classifier.bias += model.linear.bias.to(model.classifier.bias)
    model.set_linear_path(None)
    if not chosen:
        return _temperature(model)
    if is_classifier:
        learned = LEARNED_NUMBERS if problem == NUMBERS else LEARNED
        prior, is_asked = learned if knows_more else FROM_LABELS, size is not None
        must_pay = has_teacher and not (is_asked or known)
        return ClassifierFit(model, tokenizer, chosen, prior, is_asked, adjustment, must_pay)
    return TaggerFit(model, tokenizer, chosen)


def _temperature(model: PreTrainedModel) -> TemperatureFit | None:
    """Return what fits the temperature of a classifier; None for a tagger or a regression."""
    has_scores = task_of(type(model).__name__) == "text-classification" and model.config.problem_type != "regression"
    return TemperatureFit(model) if has_scores else None
