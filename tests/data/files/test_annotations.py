"""Exports of annotation tools become rows of a text and its spans; what is no such export passes as it is."""

import json

import pytest

from hf_rnn.data.files.readers import read_rows

TEXT = "We flew to Seoul."
SPAN = {"start": 11, "end": 16, "label": "LOC", "quote": None}
QUOTED = {**SPAN, "quote": "Seoul"}
STUDIO = {"value": {"start": 11, "end": 16, "text": "Seoul", "labels": ["LOC"]}, "type": "labels", "from_name": "label", "to_name": "text"}


def read(tmp_path, name, content):
    """Write JSON, or a line for each value if the name ends in .jsonl, and return what is read."""
    lines = [json.dumps(value) for value in content] if name.endswith("l") else [json.dumps(content)]
    (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    return list(read_rows(str(tmp_path / name)))


@pytest.mark.parametrize(
    ("name", "content", "span"),
    [
        ("doccano.jsonl", [{"id": 1, "text": TEXT, "label": [[11, 16, "LOC"]], "Comments": []}], SPAN),
        ("doccano.jsonl", [{"text": TEXT, "labels": [[11, 16, "LOC"]]}], SPAN),
        (
            "relations.jsonl",
            [{"text": TEXT, "entities": [{"id": 3, "label": "LOC", "start_offset": 11, "end_offset": 16}], "relations": []}],
            SPAN,
        ),
        (
            "prodigy.jsonl",
            [{"text": TEXT, "tokens": [{"text": "We", "id": 0}], "spans": [{**SPAN, "token_start": 3}], "answer": "accept"}],
            SPAN,
        ),
        ("spacy.json", [[TEXT, {"entities": [[11, 16, "LOC"]]}]], SPAN),
        ("spacy.jsonl", [[TEXT, {"entities": [[11, 16, "LOC"]]}]], SPAN),
        ("annotator.json", {"classes": ["LOC"], "annotations": [[TEXT, {"entities": [[11, 16, "LOC"]]}]]}, SPAN),
        ("studio.json", [{"id": 1, "data": {"text": TEXT}, "annotations": [{"result": [STUDIO, {"type": "relation"}]}]}], QUOTED),
        ("studio_min.json", [{"id": 1, "text": TEXT, "label": [STUDIO["value"]], "annotator": 1}], QUOTED),
        ("own.jsonl", [{"content": TEXT, "my_spans": [[11, 16, "LOC"]], "tokens": [{"text": "We", "start": 0, "end": 2}]}], SPAN),
        ("pipeline.jsonl", [{"text": TEXT, "spans": [{"start": 11, "end": 16, "entity_group": "LOC", "word": "Seoul"}]}], QUOTED),
    ],
)
def test_exports_of_tools(tmp_path, name, content, span):
    """Each gives the same text and the same span, with the text that the tool quotes if it does."""
    (row,) = read(tmp_path, name, content)
    assert (row["text"], row["spans"]) == (TEXT, [span])


def test_what_annotators_did_not_accept_is_left_out(tmp_path):
    """Prodigy's rejected and ignored rows, and Label Studio's cancelled annotations."""
    rows = [{"text": TEXT, "spans": [], "answer": answer} for answer in ("reject", "accept", "ignore")]
    assert len(read(tmp_path, "a.jsonl", rows)) == 1
    cancelled = {"data": {"text": TEXT}, "annotations": [{"was_cancelled": True, "result": [STUDIO]}, {"result": []}]}
    assert read(tmp_path, "b.json", [cancelled])[0]["spans"] == []


def test_empty_lists_are_what_other_rows_tell(tmp_path):
    """Rows without spans at the start of a file of spans have none; in a file of classes they stay lists of classes, in order."""
    spans = read(tmp_path, "a.jsonl", [{"text": "a", "label": []}, {"text": "b", "label": []}, {"text": TEXT, "label": [[0, 2, "X"]]}])
    assert [(row["text"], len(row["spans"])) for row in spans] == [("a", 0), ("b", 0), (TEXT, 1)]
    classes = [{"text": "a", "label": []}, {"text": "b", "label": ["x"]}, {"text": "c", "label": []}]
    assert read(tmp_path, "b.jsonl", classes) == classes


def test_columns_beside_the_spans_stay(tmp_path):
    """Classes and lists of them do; what tools nest for themselves does not."""
    row = {"text": TEXT, "spans": [SPAN], "topic": "travel", "labels": ["a", "b"], "meta": {"by": {"x": 1}}, "grid": [[1, 2, 3]]}
    assert read(tmp_path, "a.jsonl", [row]) == [{"topic": "travel", "labels": ["a", "b"], "text": TEXT, "spans": [SPAN]}]


@pytest.mark.parametrize(
    "row",
    [{"text": "a", "label": 1}, {"tokens": ["a"], "tags": ["O"]}, {"text": "a", "labels": [1, 2, 3]}, {"text": "a", "label": [0, 1, 0]}],
)
def test_other_rows_pass(tmp_path, row):
    """Classes, tags and several labels are no spans."""
    assert read(tmp_path, "a.jsonl", [row]) == [row]
