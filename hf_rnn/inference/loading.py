"""Load a trained model, whichever head it has."""

from collections.abc import Iterable
from typing import Any

from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification

from ..data.loading import load_tokenizer
from .predicting import Predictor

HEADS = (AutoModelForSequenceClassification, AutoModelForTokenClassification)


def load(name: str, trust_remote_code: bool = False, **kwargs: Any) -> Predictor:
    """Load a classifier or tagger, whichever the checkpoint holds, in evaluation mode, and its tokenizer.

    Args:
        name (`str`): Folder or Hub name.
        trust_remote_code (`bool`): Whether to run model code that comes with the checkpoint.
        kwargs: For the `from_pretrained` of the model.

    Returns:
        `Predictor`: Answers texts; holds `model` and `tokenizer`.

    Raises:
        ValueError: The checkpoint is broken or holds a model without such a head.
    """
    options = {"trust_remote_code": trust_remote_code}
    try:
        head = (AutoConfig.from_pretrained(name, **options).architectures or [""])[0]
        auto_class = auto_class_of(head, HEADS)
        if auto_class is None:
            raise ValueError(f"{name!r} must be a classifier or a tagger, got {head or 'a model of unknown kind'}. Train one first.")
        model, report = auto_class.from_pretrained(name, output_loading_info=True, **options, **kwargs)
        tokenizer = load_tokenizer(name, trust_remote_code)
    except (SafetensorError, RuntimeError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # what the libraries raise on files that are not what their names say
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{name!r} is no whole checkpoint: {reason}. Save or download it again.") from error
    if report["missing_keys"]:
        raise ValueError(f"{name!r} is no whole checkpoint: it is missing the weights {sorted(report['missing_keys'])[:5]}. Save it again.")
    return Predictor(model.eval(), tokenizer)


def auto_class_of(architecture: str, auto_classes: Iterable[Any]) -> Any:
    """Return which of some Auto classes loads an architecture, by the head that both are named for, or None."""
    return next((auto for auto in auto_classes if architecture.endswith(auto.__name__.removeprefix("AutoModel"))), None)
