"""Which words make an answer: what the model says with each of them left out, and where its attention lies."""

import html
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..models.pooling import AttentionPooling
from ..reports.pages import page
from ..tasks.decoding import SpanDecoder, TagDecoder, decoder_class
from .reading import Reading, read_text

# rows of one pass through the model
ROWS = 64


@torch.inference_mode()
def explain(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str, label: str | None = None, token: int | None = None
) -> dict[str, Any]:
    """Say for each word of a text how much of a label's score it carries; of a tagger, of the score of one token's tag.

    The effect of a word is the score on the text less the score on the text without the word: occlusion (Zeiler and Fergus 2014;
    Li et al. 2016) by the attention mask. A masked position of these models is as if it were not there, so that an effect is what
    happens without the word. The token whose tag is explained cannot be left out: its own effect is that of the unknown token in its
    place. Effects do not add up to the score.

    Args:
        model (`PreTrainedModel`): A classifier, or a tagger of tokens.
        tokenizer (`PreTrainedTokenizerBase`): Its fast tokenizer.
        text (`str`): The text; what is beyond the tokenizer's longest row is not looked at.
        label (`str`, *optional*): Label or tag to explain; the best one by default.
        token (`int`, *optional*): For a tagger, the token whose tag to explain, counted from 0, as white space parts them.

    Returns:
        `dict`: `text`, `label` and its `score`, or `prediction` (regression); `words` with `start` and `end` in characters, `word`, and
            `effect`; of a tagger `token`; of a classifier with attention pooling `attention` of each word, the weight of its states in the
            pooled one (Yang et al. 2016), which with that of special tokens is 1 together.

    Raises:
        ValueError: The model is neither, or has no such label, or the text no such token.
    """
    names = [model.config.id2label[index] for index in range(model.config.num_labels)]
    _check(model, names, label)
    reading = read_text(model, tokenizer, text)
    target = _find_token(model, reading, token)
    ids, mask = _without_each_word(reading, target, tokenizer.unk_token_id)
    parts = zip(ids.split(ROWS), mask.split(ROWS), strict=True)
    place = None if target is None else reading.places[target][0]
    # (W + 1, C)
    scores = torch.cat([_scores(model, *part, place) for part in parts])
    chosen = int(scores[0].argmax()) if label is None else names.index(label)
    effects = (scores[0, chosen] - scores[1:, chosen]).tolist()
    told = [
        {"start": start, "end": end, "word": text[start:end], "effect": effect}
        for (start, end), effect in zip(reading.spans.values(), effects, strict=True)
    ]
    if (weights := _attention(model, reading)) is not None:
        for word, places in zip(told, reading.places.values(), strict=True):
            word["attention"] = float(weights[places].sum())
    score = float(scores[0, chosen])
    answer = {"prediction": score} if model.config.problem_type == "regression" else {"label": names[chosen], "score": score}
    return {"text": text, **answer, **({} if target is None else {"token": target}), "words": told}


def _check(model: PreTrainedModel, names: list[str], label: str | None) -> None:
    if decoder_class(model) is None:
        raise ValueError(f"Only the answers of classifiers and taggers can be explained, got {type(model).__name__}. Load one of these.")
    if decoder_class(model) is SpanDecoder:
        raise ValueError("A tagger of raw text finds its own tokens, and its spans cannot be explained. Load a tagger of tokens.")
    if label is not None and label not in names:
        raise ValueError(f"`label` must be one of {names}, got {label!r}. Pass --label.")


def _find_token(model: PreTrainedModel, reading: Reading, token: int | None) -> int | None:
    """Return the token to explain, None for a classifier."""
    if decoder_class(model) is not TagDecoder:
        if token is not None:
            raise ValueError(f"`token` is for taggers; a classifier answers the whole text, got {token}. Leave --token out.")
        return None
    if token is None or token not in reading.spans:
        counted = f"from 0 to {len(reading.spans) - 1}" if reading.spans else "of a text that is not empty"
        raise ValueError(f"`token` must be the number of a token, {counted}, got {token}. Pass --token.")
    return token


def _without_each_word(reading: Reading, target: int | None, unknown: int | None) -> tuple[Tensor, Tensor]:
    """Return ids and masks (W + 1, T): the whole text, then it without each word, or with an unknown one for the target."""
    ids = reading.ids.repeat(len(reading.spans) + 1, 1)
    mask = torch.ones_like(ids)
    for row, (word, places) in enumerate(reading.places.items(), start=1):
        mask[row, places] = 0
        if word == target and unknown is not None:
            ids[row, places[0]] = unknown
        if word == target:
            mask[row, places[0]] = 1
    return ids, mask


def _scores(model: PreTrainedModel, ids: Tensor, mask: Tensor, place: int | None) -> Tensor:
    """Return the scores (R, C) of rows (R, T), at a place if one is given: probabilities, or numbers of a regression."""
    logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits.float().cpu()
    if place is not None:
        return logits[:, place].softmax(-1)
    if model.config.problem_type == "regression":
        return logits
    return logits.sigmoid() if model.config.problem_type == "multi_label_classification" else logits.softmax(-1)


def _attention(model: PreTrainedModel, reading: Reading) -> Tensor | None:
    """Return the weight of each position, (T,), in the state that a classifier pools by attention."""
    pooling = getattr(getattr(model, "pooling", None), "attention", None)
    if not isinstance(pooling, AttentionPooling):
        return None
    seen: list[tuple[Tensor, Tensor]] = []
    hook = pooling.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
    try:
        model(input_ids=reading.ids[None].to(model.device))
    finally:
        hook.remove()
    return pooling.weights(*seen[0])[0].float().cpu()


def explanation_page(explanations: Iterable[dict[str, Any]]) -> str:
    """Return an HTML page of explanations: blue words speak for the answer, orange ones against it, the darker the more."""
    listed = list(explanations)
    legend = "".join(f'<span class="word" style="background: {_colour(effect)}">{effect:+.2f}</span> ' for effect in LEGEND)
    told = f"{legend}Blue words speak for the answer, orange ones against it: what the score loses or gains without the word."
    if any("attention" in word for each in listed for word in each["words"]):
        told += " A line below a word is as thick as the attention on it."
    if any("token" in each for each in listed):
        told += " A bold word is the one whose tag is explained."
    return page("Which words make the answer", f"<p>{told}</p>\n" + "\n".join(_paragraph(each) for each in listed), STYLE)


def _colour(effect: float) -> str:
    """Return the colour of an effect, the same whatever stands beside it; text can be read on the fullest, that of a whole score."""
    return f"rgba({'33, 102, 205' if effect > 0 else '226, 112, 10'}, {0.6 * min(abs(effect), 1.0) ** 0.5:.2f})"


def _paragraph(explanation: dict[str, Any]) -> str:
    text, end, parts = explanation["text"], 0, []
    target = explanation["words"][explanation["token"]]["start"] if "token" in explanation else None
    for word in explanation["words"]:
        style = f"background: {_colour(word['effect'])}"
        if "attention" in word:
            style += f"; border-bottom: {round(12 * word['attention'])}px solid currentColor"
        title = f"{word['effect']:+.4f}" + (f", attention {word['attention']:.4f}" if "attention" in word else "")
        shown = html.escape(text[word["start"] : word["end"]])
        shown = f"<b>{shown}</b>" if word["start"] == target else shown
        number = f"<sub>{word['effect']:+.2f}</sub>" if abs(word["effect"]) >= SHOWN else ""
        parts += [html.escape(text[end : word["start"]]), f'<span class="word" style="{style}" title="{title}">{shown}{number}</span>']
        end = word["end"]
    score = explanation.get("score", explanation.get("prediction", 0.0))
    heading = f"<h2>{html.escape(explanation.get('label', ''))} <small>{score:.4f}</small></h2>"
    return f'{heading}<p class="text">{"".join(parts)}{html.escape(text[end:])}</p>'


LEGEND = (-0.5, -0.1, -0.02, 0.02, 0.1, 0.5)
# effects from which on a word has its number
SHOWN = 0.02
STYLE = """
.word { border-radius: .3rem; padding: .15rem .1rem } .text { line-height: 2.2; white-space: pre-wrap; overflow-wrap: anywhere }
sub { font-size: .65em; margin-left: .15em }
"""
