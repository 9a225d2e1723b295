"""Load a tokenizer that comes from elsewhere, with one error for whatever is wrong with it."""

import json
from math import prod
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

# characters that one character may become: unicode's own forms make at most 18
MOST_GROWTH = 2000
FORMS = ("NFKC", "NFKD", "NFC", "NFD", "Precompiled", "BertNormalizer")


def load_tokenizer(name: str, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """Load a tokenizer.

    Args:
        name (`str`): Folder or Hub name.
        trust_remote_code (`bool`): Whether to run code that comes with it.

    Raises:
        ValueError: Its files are broken, or its rules blow texts up.
        OSError: There is none.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
        rules = tokenizer.backend_tokenizer.normalizer if tokenizer.is_fast else None
        growth = _growth(json.loads(rules.__getstate__())) if rules is not None else 1
    except (OSError, ImportError):
        raise
    except Exception as error:
        # the tokenizers library raises nothing narrower
        if "trust_remote_code" in str(error):
            raise
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{name!r} has no whole tokenizer: {reason}. Save or download it again.") from error
    if growth > MOST_GROWTH:
        raise ValueError(
            f"{name!r}: the normalizer of the tokenizer makes {growth:.1g} characters of one. Download it from a source you trust."
        )
    return tokenizer


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
