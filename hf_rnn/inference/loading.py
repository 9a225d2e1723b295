"""Load a trained model, whichever head it has."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedConfig
from transformers.utils import logging

from ..data.devices import find_device
from ..data.loading import EXPORTED, load_config, load_tokenizer
from ..tasks.decoding import HEADS, task_of
from ..tasks.long_texts import check_long_texts
from .predictor import Predictor

# what may be wrong with weights, and how it is told
PROBLEMS = {"missing": "lacks", "mismatched": "has, of other sizes than its config says,", "unexpected": "has beside its own"}


def load(
    name: str,
    trust_remote_code: bool = False,
    device: str = "auto",
    threshold: float | None = None,
    long_texts: str | None = None,
    **kwargs: Any,
) -> Predictor:
    """Load a classifier or tagger, whichever the checkpoint holds, in evaluation mode, and its tokenizer.

    Args:
        name (`str`): Folder or Hub name; an exported folder is run by ONNX Runtime.
        trust_remote_code (`bool`): Whether to run model code that comes with the checkpoint.
        device (`str`): Where it runs: "auto" for the accelerator if there is one, or "cpu", "cuda" and the like.
        threshold (`float`, *optional*): Score below which no answer is given; see `Predictor`.
        long_texts (`str`, *optional*): Whether long texts are cut ("truncate") or read ("whole" or "windows"); see `Predictor`.
        kwargs: For the `from_pretrained` of the model.

    Returns:
        `Predictor`: Answers texts; holds `model` and `tokenizer`.

    Raises:
        ValueError: The checkpoint is broken or holds a model without such a head, or `long_texts` is neither.
    """
    check_long_texts(long_texts)
    if _is_exported(name):
        # makes such folders known to the Auto classes
        import_module("hf_rnn.onnx")
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    try:
        head = (load_config(name, trust_remote_code).architectures or [""])[0]
        task = task_of(head)
        if task is None:
            raise ValueError(f"{name!r} must be a classifier or a tagger, got {head or 'a model of unknown kind'}. Train one first.")
        with _quiet():
            # what does not fit is told below, in one line
            options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
            model, report = HEADS[task].from_pretrained(name, **options, **kwargs)
        tokenizer = load_tokenizer(name, trust_remote_code)
    except (SafetensorError, RuntimeError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # what the libraries raise on files that are not what their names say
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{name!r} is no whole checkpoint: {reason}. Save or download it again.") from error
    for kind, problem in PROBLEMS.items():
        found = sorted(str(key[0] if isinstance(key, tuple) else key) for key in report.get(f"{kind}_keys", ()))
        # models of others may have more to load than they use
        if found and (kind != "unexpected" or model.config.model_type == "hf_rnn"):
            raise ValueError(f"{name!r} is no whole checkpoint: it {problem} the weights {found[:5]}. Save or download it again.")
    return Predictor(model.to(find_device(device)).eval(), tokenizer, threshold, long_texts)


def _is_exported(name: str) -> bool:
    """Return whether a folder or repository holds a graph; what is wrong with a config is told where it is loaded."""
    with suppress(OSError, TypeError, AttributeError, ValueError, RecursionError):
        return PreTrainedConfig.get_config_dict(name)[0].get("model_type") == EXPORTED
    return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back the table of weights that do not fit."""
    before = logging.get_verbosity()
    logging.set_verbosity(max(before, logging.ERROR))
    try:
        yield
    finally:
        logging.set_verbosity(before)
