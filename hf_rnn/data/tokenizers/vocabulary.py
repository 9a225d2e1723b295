"""Cut the vocabulary of a tokenizer to what some texts use, so that a small model need not carry the rest."""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

# pieces of a cut vocabulary, so that a student of a few hundred units has five million parameters
CUT_SIZE = 16_000
ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token", "bos_token", "eos_token")


def cut_vocabulary(
    tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], size: int = CUT_SIZE, model_max_length: int = 256
) -> PreTrainedTokenizerFast:
    """Return a tokenizer with so many pieces, those that texts use most and some more.

    Kept are special tokens, single characters, the pieces that the texts use, the most frequent first, and, if there is room, others in
    the order of their ids, in which vocabularies that were trained by frequency begin with the most frequent. Texts whose pieces all
    found room come out in the same ones.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): A fast one, whose model is WordPiece, BPE, Unigram or WordLevel.
        texts (`Iterable[str]`): Read once.
        size (`int`): Pieces of the new vocabulary; more, if special tokens and characters alone are more.
        model_max_length (`int`): Tokens to which the new tokenizer truncates.

    Raises:
        ValueError: The tokenizer is not a fast one, or has no pad token.
    """
    if not tokenizer.is_fast or tokenizer.pad_token is None:
        what = "has no pad token" if tokenizer.is_fast else "is not a fast one"
        raise ValueError(f"The vocabulary of a fast tokenizer with a pad token can be cut; {type(tokenizer).__name__} {what}.")
    used: Counter[int] = Counter()
    remaining = iter(texts)
    while batch := list(islice(remaining, 1000)):
        for row in tokenizer(batch, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]:
            used.update(row)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    kept = {index for index, token in enumerate(tokens) if token is not None and len(token.removeprefix("##").lstrip("▁Ġ")) <= 1}
    kept |= set(tokenizer.all_special_ids)
    # the most frequent first, and then, as ids of most vocabularies fall with frequency, by id
    rest = dict.fromkeys([*(index for index, _ in used.most_common()), *range(len(tokens))])
    kept |= set(islice((index for index in rest if index not in kept), max(0, size - len(kept))))
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state |= {"truncation": None, "padding": None}
    _cut(state, {token for index, token in enumerate(tokens) if index in kept and token is not None})
    roles = {role: getattr(tokenizer, role) for role in ROLES if getattr(tokenizer, role, None) is not None}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_max_length=model_max_length,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **roles,
    )


def _cut(state: dict[str, Any], kept: set[str]) -> None:
    """Cut the state of a tokenizer to the tokens kept, and number them anew in their old order."""
    model = state["model"]
    kept |= {token["content"] for token in state["added_tokens"]}
    if model["type"] == "Unigram":
        entries = [entry for entry in model["vocab"] if entry[0] in kept]
        unknown = model["vocab"][model["unk_id"]][0]
        model["vocab"], model["unk_id"] = entries, [token for token, _ in entries].index(unknown)
        ids = {token: index for index, (token, _) in enumerate(entries)}
    else:
        if model["type"] == "BPE":
            kept |= _parts(model["merges"], kept)
            model["merges"] = [merge for merge in model["merges"] if {*_pair(merge), "".join(_pair(merge))} <= kept]
        ordered = sorted(model["vocab"], key=model["vocab"].__getitem__)
        ids = {token: index for index, token in enumerate(token for token in ordered if token in kept)}
        model["vocab"] = ids
    for token in state["added_tokens"]:
        token["id"] = ids.setdefault(token["content"], len(ids))
    _renumber(state["post_processor"], ids)


def _pair(merge: Any) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _parts(merges: list[Any], kept: set[str]) -> set[str]:
    """Return the pieces that byte-pair encoding passes through on its way to those kept."""
    made = {"".join(_pair(merge)): _pair(merge) for merge in reversed(merges)}
    parts: set[str] = set()
    waiting = [token for token in kept if token in made]
    while waiting:
        for part in made[waiting.pop()]:
            if part not in parts:
                parts.add(part)
                waiting += [part] if part in made else []
    return parts


def _renumber(processor: Any, ids: dict[str, int]) -> None:
    """Give the special tokens of a post-processor, and of those it consists of, their new ids."""
    if not isinstance(processor, dict):
        return
    for part in processor.get("processors", ()):
        _renumber(part, ids)
    for special in processor.get("special_tokens", {}).values():
        special["ids"] = [ids[token] for token in special["tokens"]]
    for role in ("sep", "cls"):
        if role in processor:
            processor[role] = [processor[role][0], ids[processor[role][0]]]
