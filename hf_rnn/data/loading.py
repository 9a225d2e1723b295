"""Load a config or a tokenizer that comes from elsewhere, with one error for whatever is wrong with it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import validate_repo_id
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.utils import cached_file

# `model_type` of exported folders, which `hf_rnn.onnx` knows and `hf_rnn` does not
EXPORTED = "hf_rnn_onnx"
# characters that one character may become: unicode's own forms make at most 18
MOST_GROWTH = 2000
FORMS = ("NFKC", "NFKD", "NFC", "NFD", "Precompiled", "BertNormalizer")


def check_source(name: str, is_config: bool = False) -> None:
    """Raise a ValueError if a name is neither that of a folder nor that of a repository that can be reached; a config may be a file.

    A file is no model: the libraries would take it for weights, and unpickle it.
    """
    if Path(name).is_dir() or (is_config and Path(name).is_file() and Path(name).suffix == ".json"):
        return
    if Path(name).exists():
        raise ValueError(f"{name!r} is a file, not the folder of a model. Pass the folder, or a name on the Hub.")
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise ValueError(f"There is no folder {name!r}, and no repository can be called so. Check the path.") from None
    reason = ""
    # of a tokenizer alone there may be no config
    for file in ("config.json", "tokenizer_config.json"):
        try:
            cached_file(name, file)
            return
        except OSError as error:
            if isinstance(error.__cause__, EntryNotFoundError) and not isinstance(error.__cause__, LocalEntryNotFoundError):
                # the repository is there
                return
            reason = reason or " ".join(str(error).split()).partition(". ")[0]
    raise ValueError(f"There is no folder {name!r}, and no such repository was reached ({reason}). Check the path, or the name.")


def load_config(name: str, trust_remote_code: bool = False, is_config: bool = False, **fields: Any) -> PreTrainedConfig:
    """Load a config.

    Args:
        name (`str`): Folder or Hub name.
        trust_remote_code (`bool`): Whether to run code that comes with it.
        is_config (`bool`): Whether a JSON file will do.
        fields: Values in place of those that it has.

    Raises:
        ValueError: There is none, or it is broken.
    """
    check_source(name, is_config)
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code, **fields)
    except ValueError as error:
        if EXPORTED in str(error):
            told = "holds a graph of `hf-rnn export`, which is there to be run. Pass the checkpoint that it was made from."
            raise ValueError(f"{name!r} {told}") from error
        raise
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        # what the library raises on a file that is not what its name says
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{name!r} has no whole config: {reason}. Save or download it again.") from error
    architectures = config.architectures or []
    if not isinstance(architectures, list) or not all(isinstance(each, str) for each in architectures):
        raise ValueError(f"{name!r}: `architectures` must be a list of names, got {architectures!r}. Save or download it again.")
    return config


def load_tokenizer(name: str, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """Load a tokenizer.

    Args:
        name (`str`): Folder or Hub name.
        trust_remote_code (`bool`): Whether to run code that comes with it.

    Raises:
        ValueError: Its files are broken, or its rules blow texts up.
        OSError: There is none.
    """
    check_source(name)
    with _whole(name):
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
        rules = tokenizer.backend_tokenizer.normalizer if tokenizer.is_fast else None
        growth = _growth(json.loads(rules.__getstate__())) if rules is not None else 1
    if growth > MOST_GROWTH:
        raise ValueError(
            f"{name!r}: the normalizer of the tokenizer makes {growth:.1g} characters of one. Download it from a source you trust."
        )
    with _whole(name):
        # a setting of another type shows when it is used
        tokenizer("a", truncation=True)
    forget_lengths(tokenizer)
    return tokenizer


def forget_lengths(tokenizer: PreTrainedTokenizerBase) -> None:
    """Let a tokenizer neither truncate nor pad by itself: what it was last called with would be saved, and others would go by it.

    transformers set both at every call, whatever is saved; the tokenizers library does what `tokenizer.json` says.
    """
    if tokenizer.is_fast:
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()


@contextmanager
def _whole(name: str) -> Iterator[None]:
    """Turn what the libraries raise on broken files into a ValueError."""
    try:
        yield
    except (OSError, ImportError):
        raise
    except Exception as error:
        # the tokenizers library raises nothing narrower
        if "trust_remote_code" in str(error):
            raise
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{name!r} has no whole tokenizer: {reason}. Save or download it again.") from error


def _growth(rules: Any) -> float:
    """Return how many characters the rules of a normalizer can make of one."""
    if not isinstance(rules, dict):
        return 1
    if rules.get("type") == "Sequence":
        return float(prod(_growth(single) for single in rules.get("normalizers", ())))
    if rules.get("type") == "Replace":
        return max(1, len(rules.get("content", "")))
    if rules.get("type") == "Prepend":
        return 1 + len(rules.get("prepend", ""))
    return 18 if rules.get("type") in FORMS else 1
