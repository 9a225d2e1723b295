"""Which words make an answer: what the model says with each of them left out."""

import html
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

# rows of one pass through the model
ROWS = 64


@torch.inference_mode()
def explain(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str, label: str | None = None) -> dict[str, Any]:
    """Say for each word of a text how much of a label's score it carries.

    The effect of a word is the score on the text less the score on the text without the word: occlusion (Zeiler and Fergus 2014;
    Li et al. 2016) by the attention mask. A masked position of these models is as if it were not there, so that an effect is what
    happens without the word. Effects do not add up to the score.

    Args:
        model (`PreTrainedModel`): A classifier.
        tokenizer (`PreTrainedTokenizerBase`): Its fast tokenizer.
        text (`str`): The text; what is beyond the tokenizer's longest row is not looked at.
        label (`str`, *optional*): Label to explain; the best one by default.

    Returns:
        `dict`: `text`, `label` and its `score`, or `prediction` (regression); `words` with `start` and `end` in characters, `word`, and
            `effect`.

    Raises:
        ValueError: The model is no classifier, or has no such label.
    """
    config = model.config
    if not type(model).__name__.endswith("ForSequenceClassification"):
        raise ValueError(f"Only the answers of classifiers can be explained, got {type(model).__name__}. Load a classifier.")
    names = [config.id2label[index] for index in range(config.num_labels)]
    if label is not None and label not in names:
        raise ValueError(f"`label` must be one of {names}, got {label!r}. Pass --label.")
    encoding = tokenizer(text, truncation=True, return_tensors="pt", return_offsets_mapping=True)
    word_of, offsets = encoding.word_ids(0), encoding["offset_mapping"][0].tolist()
    words = list(dict.fromkeys(word for word in word_of if word is not None))
    # (W + 1, T): all words, then each of them left out
    mask = torch.ones(len(words) + 1, len(word_of), dtype=torch.long)
    for row, word in enumerate(words, start=1):
        mask[row, [index for index, other in enumerate(word_of) if other == word]] = 0
    scores = torch.cat([_scores(model, encoding["input_ids"], part) for part in mask.split(ROWS)])
    target = int(scores[0].argmax()) if label is None else names.index(label)
    effects = (scores[0, target] - scores[1:, target]).tolist()
    places = [[offsets[index] for index, other in enumerate(word_of) if other == word] for word in words]
    spans = [(place[0][0], place[-1][1]) for place in places]
    told = [{"start": a, "end": b, "word": text[a:b], "effect": effect} for (a, b), effect in zip(spans, effects, strict=True)]
    score = float(scores[0, target])
    answer = {"prediction": score} if config.problem_type == "regression" else {"label": names[target], "score": score}
    return {"text": text, **answer, "words": told}


def _scores(model: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
    """Return the scores (R, C) of a row of ids (1, T) under several masks (R, T): probabilities, or numbers of a regression."""
    logits = model(input_ids=ids.expand(len(mask), -1).to(model.device), attention_mask=mask.to(model.device)).logits.float().cpu()
    if model.config.problem_type == "regression":
        return logits
    return logits.sigmoid() if model.config.problem_type == "multi_label_classification" else logits.softmax(-1)


def explanation_page(explanations: Iterable[dict[str, Any]]) -> str:
    """Return an HTML page of explanations: blue words speak for the answer, orange ones against it, the darker the more."""
    return PAGE.format("\n".join(_paragraph(each) for each in explanations))


def _paragraph(explanation: dict[str, Any]) -> str:
    text, end, parts = explanation["text"], 0, []
    most = max((abs(word["effect"]) for word in explanation["words"]), default=0.0) or 1.0
    for word in explanation["words"]:
        colour = "33, 102, 205" if word["effect"] > 0 else "226, 112, 10"
        style = f"background: rgba({colour}, {0.75 * abs(word['effect']) / most:.2f})"
        parts.append(html.escape(text[end : word["start"]]))
        parts.append(f'<span style="{style}" title="{word["effect"]:+.4f}">{html.escape(text[word["start"] : word["end"]])}</span>')
        end = word["end"]
    told = explanation.get("label", "")
    score = explanation.get("score", explanation.get("prediction", 0.0))
    return f"<p>{''.join(parts)}{html.escape(text[end:])}<br><small>{html.escape(told)} {score:.4f}</small></p>"


PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Explanations</title>
<style>body {{ max-width: 44rem; margin: 2rem auto; padding: 0 1rem; font: 17px/2 system-ui, sans-serif; color: #1c1e26; }}
span {{ border-radius: .3rem; padding: .15rem .1rem; }} small {{ color: #5c6070; }}
p {{ white-space: pre-wrap; overflow-wrap: anywhere; }}</style></head>
<body><p><small>Blue words speak for the answer, orange ones against it: what the score loses or gains without the word.</small></p>
{}
</body></html>
"""
