"""Answers in the shapes of annotation tools come back as they were."""

import random

import pytest
from odd_texts import KNOWN
from runs import annotated_texts as random_texts

from hf_rnn.data.files.readers import read_rows
from hf_rnn.data.files.writers import write_rows
from hf_rnn.inference.shapes import SHAPES, chosen_labels, spans_of

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
NAMES = {None: "out.jsonl", "label_studio": "out.json", "doccano": "out.jsonl", "prodigy": "out.json"}


def answers():
    """Return answers of a tagger of raw text: 200 texts with names, then odd ones in which any two characters may be a span."""
    found = [(row["text"], row["label"]) for row in random_texts(200, seed=5)]
    draw = random.Random(0)
    for text in KNOWN:
        places = sorted(draw.sample(range(len(text) + 1), 2)) if len(text) > 1 else [0, 0]
        found.append((text, [[*places, "PER"]] if text[slice(*places)].strip() else []))
    for text, spans in found:
        told = [{"start": start, "end": end, "entity_group": kind, "score": 0.5, "word": text[start:end]} for start, end, kind in spans]
        yield {"text": text, "spans": told}


@pytest.mark.parametrize("name", NAMES)
def test_spans_come_back(name, tmp_path):
    """Texts, spans and the columns beside them are read as they were written, whatever the texts hold."""
    given = list(answers())
    shape = SHAPES.get(name, lambda others, answer, _: {**others, **answer})
    write_rows(tmp_path / NAMES[name], lambda: (shape({"number": number}, row, LABELS) for number, row in enumerate(given)))
    read = list(read_rows(str(tmp_path / NAMES[name])))
    assert [row["number"] for row in read] == list(range(len(given)))
    assert [row["text"] for row in read] == [row["text"] for row in given]
    for row, answer in zip(read, given, strict=True):
        told = [(span["start"], span["end"], span["label"]) for span in row["spans"]]
        assert told == [(span["start"], span["end"], span["entity_group"]) for span in answer["spans"]]


@pytest.mark.parametrize("name", SHAPES)
def test_tags_become_spans(name, tmp_path):
    """What a tagger says of a list of tokens is told as spans of the tokens joined by spaces."""
    answer = {"tokens": ["In", "New", "York", "!"], "tags": ["O", "B-LOC", "I-LOC", "O"], "intent": "travel"}
    write_rows(tmp_path / "out.json", lambda: [SHAPES[name]({}, answer, LABELS)])
    (row,) = read_rows(str(tmp_path / "out.json"))
    (span,) = row["spans"]
    assert (row["text"], span["start"], span["end"], span["label"]) == ("In New York !", 3, 11, "LOC")
    assert "score" not in spans_of(answer, LABELS)[0]
    assert "travel" in str(SHAPES[name]({}, answer, LABELS))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ({"text": "a", "label": "good", "score": 0.5}, ["good"]),
        ({"text": "a", "label": None, "best": "good", "score": 0.5}, []),
        ({"text": "a", "scores": {"good": 0.7, "bad": 0.6}}, ["good", "bad"]),
        ({"text": "a", "labels": ["bad"], "scores": {"good": 0.2, "bad": 0.4}}, ["bad"]),
    ],
)
def test_classes_come_back(name, answer, chosen, tmp_path):
    """So do classes, several of them, and none where the model abstains."""
    rows = [{"text": "b", "label": "bad", "score": 0.5}, answer]
    write_rows(tmp_path / "out.json", lambda: [SHAPES[name]({}, row, ["good", "bad"]) for row in rows])
    assert chosen_labels(answer) == chosen
    label = list(read_rows(str(tmp_path / "out.json")))[1]["label"]
    assert (label if isinstance(label, list) else [label]) == (chosen or [None] if not isinstance(label, list) else chosen)


def test_label_studio():
    """Tasks keep what they hold, regions are of the controls of the usual configuration, and a number is one."""
    task = {"id": 7, "data": {"review": "a", "stars": 3}, "meta": {}}
    told = SHAPES["label_studio"](task, {"text": "a", "prediction": 2.5}, [])
    assert {name: told[name] for name in task} == task
    (prediction,) = told["predictions"]
    number = {"id": "0", "from_name": "label", "to_name": "text", "type": "number", "value": {"number": 2.5}}
    assert prediction == {"model_version": "hf_rnn", "result": [number]}
    answer = {"text": "ab", "spans": [{"start": 0, "end": 1, "entity_group": "PER", "score": 0.25, "word": "a"}]}
    (prediction,) = SHAPES["label_studio"]({}, answer, LABELS)["predictions"]
    assert prediction["score"] == prediction["result"][0]["score"] == 0.25
