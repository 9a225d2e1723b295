"""Answers in the shapes that annotation tools import, so that a model annotates first and people correct it.

Each function takes the columns that came with a text, the answer to it, and the labels of the model, and returns what a tool imports;
`data.files` reads the same labels and spans out of it again.
"""

from collections.abc import Callable, Sequence

from ..data.files.detokenization import join_tokens
from ..data.files.rows import Row
from ..tasks.grouping import group_spans

# what a label of several has to be more probable than
LIKELY = 0.5
# what answers may hold, by what models answer with
FIELDS = {
    "label": ("text", "label", "score", "scores", "best", "outside"),
    "labels": ("text", "labels", "scores"),
    "number": ("text", "prediction"),
    **dict.fromkeys(("tags", "spans"), ("text", "tokens", "tags", "spans", "intent")),
}


def label_studio(others: Row, answer: Row, labels: Sequence[str]) -> Row:
    """Return a task with a prediction: of a control "label" (spans, classes or a number), and of a control "intent"."""
    task = others if isinstance(others.get("data"), dict) else {"data": {"text": text_of(answer), **others}}
    if "prediction" in answer:
        score, regions = None, [_region("number", {"number": answer["prediction"]})]
    elif _is_tagged(answer):
        spans = spans_of(answer, labels)
        score = min((span["score"] for span in spans if "score" in span), default=None)
        regions = [_region("labels", {**_ends(span), "text": span["word"], "labels": [span["label"]]}, span) for span in spans]
    else:
        chosen = chosen_labels(answer)
        score = answer["score"] if "score" in answer else max(answer["scores"].values())
        regions = [_region("choices", {"choices": chosen})] if chosen else []
    if answer.get("intent") is not None:
        regions.append({**_region("choices", {"choices": [answer["intent"]]}), "from_name": "intent"})
    result = [{"id": str(number), **region} for number, region in enumerate(regions)]
    return {**task, "predictions": [{"model_version": "hf_rnn", **({} if score is None else {"score": score}), "result": result}]}


def _region(kind: str, value: Row, span: Row | None = None) -> Row:
    score = {"score": span["score"]} if span is not None and "score" in span else {}
    return {"from_name": "label", "to_name": "text", "type": kind, **score, "value": value}


def doccano(others: Row, answer: Row, labels: Sequence[str]) -> Row:
    """Return a text with its `label`, a list of classes or of [start, end, class]; `entities` and `cats` where it has an intent."""
    row = {**others, "text": text_of(answer)}
    if not _is_tagged(answer):
        return {**row, "label": chosen_labels(answer)}
    spans = [[span["start"], span["end"], span["label"]] for span in spans_of(answer, labels)]
    return {**row, "entities": spans, "cats": [answer["intent"]]} if answer.get("intent") is not None else {**row, "label": spans}


def prodigy(others: Row, answer: Row, labels: Sequence[str]) -> Row:
    """Return a task: with `spans`, with a `label` to accept, or with `options` of which some are in `accept`."""
    text = {**others, "text": text_of(answer)}
    if _is_tagged(answer):
        spans = [{**_ends(span), "label": span["label"]} for span in spans_of(answer, labels)]
        return {**text, "spans": spans, **({"intent": answer["intent"]} if "intent" in answer else {})}
    options = [{"id": label, "text": label} for label in labels]
    return {**text, "options": options, "accept": chosen_labels(answer)}


SHAPES: dict[str, Callable[[Row, Row, Sequence[str]], Row]] = {"label_studio": label_studio, "doccano": doccano, "prodigy": prodigy}
# names that are taken in the shapes beside those of columns
TAKEN = {
    "label_studio": ("predictions",),
    "doccano": ("text", "label", "entities", "cats"),
    "prodigy": ("text", "spans", "options", "accept", "answer"),
}


def text_of(answer: Row) -> str:
    """Return the text that was answered, tokens joined by spaces."""
    return answer["text"] if "text" in answer else join_tokens(answer["tokens"])[0]


def _is_tagged(answer: Row) -> bool:
    return "spans" in answer or "tags" in answer


def spans_of(answer: Row, labels: Sequence[str]) -> list[Row]:
    """Return `start`, `end`, `label`, `word` and, as far as they are told, `score` of each span of an answer of a tagger."""
    if "spans" in answer:
        return [{**span, "label": span["entity_group"]} for span in answer["spans"]]
    text, offsets = join_tokens(answer["tokens"])
    spans = group_spans(text, [(start, end) for start, end in offsets], answer["tags"], [1.0] * len(offsets), labels)
    return [{"start": span["start"], "end": span["end"], "label": span["entity_group"], "word": span["word"]} for span in spans]


def _ends(span: Row) -> Row:
    return {"start": span["start"], "end": span["end"]}


def chosen_labels(answer: Row) -> list[str]:
    """Return the labels that an answer gives a text: none where the model abstains."""
    if "label" in answer:
        return [] if answer["label"] is None else [answer["label"]]
    return answer["labels"] if "labels" in answer else [label for label, score in answer["scores"].items() if score > LIKELY]
