"""Exports of annotation tools become rows of a text and its spans; what is no such export passes as it is."""

import json

import pytest
from datasets import Dataset

from hf_rnn.data.files import annotations
from hf_rnn.data.files.readers import DataError, judge, read_rows
from hf_rnn.data.files.reading import ReadingOptions
from hf_rnn.data.rows.annotated import annotated_texts, holds_spans
from hf_rnn.data.rows.splits import load_splits

TEXT = "We flew to Seoul."
SPAN = {"start": 11, "end": 16, "label": "LOC", "quote": None}
QUOTED = {**SPAN, "quote": "Seoul"}
STUDIO = {"value": {"start": 11, "end": 16, "text": "Seoul", "labels": ["LOC"]}, "type": "labels", "from_name": "label", "to_name": "text"}


def write(tmp_path, name, content):
    """Write JSON, or a line for each value if the name ends in .jsonl, and return the path."""
    lines = [json.dumps(value) for value in content] if name.endswith("l") else [json.dumps(content)]
    (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    return str(tmp_path / name)


def read(tmp_path, name, content, **options):
    """Write JSON and return what is read."""
    return list(read_rows(write(tmp_path, name, content), ReadingOptions(**options)))


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


LABELLED = [[11, 16, "LOC"]]


def test_null_and_absent_spans_are_none(tmp_path):
    """A file is judged by all its rows, whatever the first ones lack, and splits together."""
    rows = [{"text": "a", "label": None}, {"text": "b"}, {"text": "c", "label": []}, {"text": TEXT, "label": LABELLED}]
    assert [len(row["spans"]) for row in read(tmp_path, "a.jsonl", rows)] == [0, 0, 0, 1]
    train, test = str(tmp_path / "a.jsonl"), write(tmp_path, "test.jsonl", [{"text": "a", "label": []}])
    splits = load_splits(files={"train": train, "test": test})
    assert splits["test"][:] == {"text": ["a"], "spans": [[]]}
    assert annotated_texts(splits["test"], "test") == (["a"], [[]], 0)
    alone = load_splits(files={"test": test})["test"]
    assert holds_spans(alone) and annotated_texts(alone, "test") == (["a"], [[]], 0)
    named = load_splits(files={"test": test}, reading=ReadingOptions(label_column="label"))["test"]
    assert annotated_texts(named, "test", None, "label") == (["a"], [[]], 0)


def test_named_columns_win(tmp_path, monkeypatch):
    """Of two lists of spans the named one is read, and a text is taken from where the options say; a choice is said."""
    told = []
    monkeypatch.setattr(annotations.logger, "warning_once", told.append)
    rows = [{"text": TEXT, "body": "Seoul!", "predicted": [[0, 2, "WRONG"]], "label": LABELLED}]
    for column, expected in (("label", "LOC"), ("predicted", "WRONG"), (None, "LOC")):
        (row,) = read(tmp_path, "a.jsonl", rows, label_column=column)
        assert row["spans"][0]["label"] == expected
    assert "spans are read from 'label', not from ['predicted']" in told[-1]
    assert read(tmp_path, "a.jsonl", rows, text_column="body")[0]["text"] == "Seoul!"
    path = write(tmp_path, "b.jsonl", [{"id": 1, "data": TEXT, "label": LABELLED}])
    rows = load_splits(files={"train": path}, reading=ReadingOptions(text_column="data"))["train"]
    assert annotated_texts(rows, "train", "data")[:2] == ([TEXT], [[(11, 16, "LOC")]])
    with pytest.raises(DataError, match="spans but no text .*--text_column_name"):
        read(tmp_path, "c.jsonl", [{"body": TEXT, "label": LABELLED}])


def test_spans_in_cells_of_tables(tmp_path):
    """A table may spell them."""
    (tmp_path / "a.csv").write_text('text,label\n"We flew to Seoul.","[{""start"": 11, ""end"": 16, ""labels"": [""LOC""]}]"\nno,[]\n')
    rows = list(read_rows(str(tmp_path / "a.csv")))
    assert [row["spans"] for row in rows] == [[SPAN], []]


def test_labels_of_a_region(tmp_path):
    """Each label of a region is a span; of those that overlap the options choose."""
    two = {"value": {"start": 11, "end": 16, "text": "Seoul", "labels": ["LOC", "SUBJ"]}, "type": "labels"}
    wide = {"value": {"start": 8, "end": 16, "text": "to  Seoul", "labels": ["PLACE"]}, "type": "labels"}
    path = write(tmp_path, "a.json", [{"data": {"text": TEXT}, "annotations": [{"result": [two, wide]}]}])
    rows = load_splits(files={"train": path})["train"]
    with pytest.raises(DataError, match="overlap in .*--overlapping_spans longest or first"):
        annotated_texts(rows, "train")
    assert annotated_texts(rows, "train", overlapping="first")[1] == [[(11, 16, "LOC")]]
    assert annotated_texts(rows, "train", overlapping="longest")[1] == [[(8, 16, "PLACE")]]


@pytest.mark.parametrize(
    ("text", "place", "quote"),
    [
        ("to New  York today", (3, 12), "New York"),
        ("to New\r\nYork today", (3, 12), "New\nYork"),
        ("AT&T rose", (0, 4), "AT&amp;T"),
        ("in Köln", (3, 7), "Ko\u0308ln"),
        (" Seoul", (0, 6), "Seoul"),
    ],
)
def test_offsets_decide(tmp_path, text, place, quote):
    """A quotation may differ in white space, ends of lines, entities and the form of characters."""
    value = {"start": place[0], "end": place[1], "text": quote, "labels": ["LOC"]}
    path = write(tmp_path, "a.json", [{"data": {"text": text}, "annotations": [{"result": [{"value": value}]}]}])
    rows = load_splits(files={"train": path})["train"]
    ((start, end, _),) = annotated_texts(rows, "train")[1][0]
    assert (start, end) == (place[1] - len(text[slice(*place)].lstrip()), place[1])


def choice(*names, control="sentiment"):
    """Return a choice of Label Studio."""
    return {"type": "choices", "from_name": control, "value": {"choices": list(names)}}


def task(*annotations):
    """Return a task of Label Studio."""
    return {"id": 1, "data": {"text": TEXT}, "annotations": [{"result": list(results)} for results in annotations]}


@pytest.mark.parametrize(
    ("name", "content", "labels"),
    [
        ("studio.json", [task([choice("bad")]), task([choice("good")]), task([])], ["bad", "good", None]),
        ("studio.json", [task([choice("a", "b")]), task([choice("a")]), task([])], [["a", "b"], ["a"], []]),
        ("stars.json", [task([{"from_name": "x", "value": {"rating": 4}}])], [4]),
        (
            "prodigy.jsonl",
            [{"text": TEXT, "label": "GOOD", "answer": each} for each in ("accept", "reject", "ignore")],
            ["GOOD", "not GOOD"],
        ),
        (
            "two.jsonl",
            [{"text": TEXT, "label": label, "answer": each} for label, each in (("A", "accept"), ("B", "reject"), ("B", "accept"))],
            ["A", "B"],
        ),
        ("choice.jsonl", [{"text": TEXT, "options": [{"id": "A"}], "accept": ["A"], "answer": "accept"}], ["A"]),
        ("choice.jsonl", [{"text": TEXT, "options": [{"id": "A"}], "accept": each} for each in (["A", "B"], [])], [["A", "B"], []]),
        ("doccano.jsonl", [{"id": 1, "text": TEXT, "label": ["a"]}, {"id": 2, "text": TEXT, "label": ["b"]}], [["a"], ["b"]]),
        ("spacy.jsonl", [[TEXT, {"cats": {"A": 1.0, "B": 0.0}}], [TEXT, {"cats": {"A": 0, "B": 1}}]], ["A", "B"]),
        ("spacy.jsonl", [{"text": TEXT, "cats": {"A": 1.0, "B": 1.0}}, {"text": TEXT, "cats": {"A": 0, "B": 0}}], [["A", "B"], []]),
        ("min.json", [{"text": TEXT, "label": {"choices": ["a", "b"]}}], [["a", "b"]]),
    ],
)
def test_classes_of_tools(tmp_path, name, content, labels):
    """One class each, or lists where any row has several; what was rejected is the other class if only one was asked for."""
    rows = read(tmp_path, name, content)
    assert [row["label"] for row in rows] == labels and all(row["text"] == TEXT for row in rows)


def test_spans_and_classes_of_one_tool(tmp_path):
    """Choices stand under the name of their control where there are spans or several controls, or where it is named."""
    rows = read(tmp_path, "a.json", [task([STUDIO, choice("good")])])
    assert (rows[0]["spans"], rows[0]["sentiment"]) == ([QUOTED], "good")
    rows = read(tmp_path, "a.json", [task([choice("good"), choice("news", control="topic")])])
    assert (rows[0]["sentiment"], rows[0]["topic"]) == ("good", "news")
    assert read(tmp_path, "a.json", [task([choice("good")])], label_column="sentiment")[0]["sentiment"] == "good"


@pytest.mark.parametrize(("annotators", "label", "kinds"), [("first", "a", ["X"]), ("last", "b", ["Z"]), ("agreement", "b", ["LOC"])])
def test_several_annotators(tmp_path, monkeypatch, annotators, label, kinds):
    """The first, the last, or what more than half of them say; that there are several is said."""
    told = []
    monkeypatch.setattr(annotations.logger, "warning_once", told.append)
    work = task([choice("a")], [choice("b")], [choice("b")])
    assert read(tmp_path, "a.json", [work], annotators=annotators)[0]["label"] == label
    assert f"1 rows have several annotations, of which '{annotators}' counts" in told[0]

    def region(kind):
        return {"value": {"start": 11, "end": 16, "labels": [kind]}}

    work = task([region("X")], [region("LOC")], [region("LOC"), region("Y")], [region("LOC")], [region("Z")])
    assert [span["label"] for span in read(tmp_path, "b.json", [work], annotators=annotators)[0]["spans"]] == kinds


def test_fasttext(tmp_path):
    """Labels before a text; lines of which any has none are texts."""
    (tmp_path / "a.txt").write_text("__label__bad the soup\n\n__label__good tea\n")
    assert list(read_rows(str(tmp_path / "a.txt"))) == [{"text": "the soup", "label": "bad"}, {"text": "tea", "label": "good"}]
    (tmp_path / "b.txt").write_text("__label__a __label__b , soup\n__label__a tea\n__label__b\n")
    rows = list(read_rows(str(tmp_path / "b.txt")))
    assert [row["labels"] for row in rows] == [["a", "b"], ["a"], ["b"]] and [row["text"] for row in rows] == ["soup", "tea", ""]
    (tmp_path / "c.txt").write_text("__label__a soup\ntea\n")
    assert list(read_rows(str(tmp_path / "c.txt"))) == [{"text": "__label__a soup"}, {"text": "tea"}]


def test_what_was_judged_can_be_cached(tmp_path):
    """What splits tell is equal in every process: it is part of a cache's fingerprint."""
    path = write(tmp_path, "a.jsonl", [{"text": TEXT, "label": each, "answer": "accept"} for each in "abc"])
    assert judge([path]) == judge([path]) and isinstance(judge([path]).answers, dict)


def test_spans_in_parquet(tmp_path):
    """Lists of objects in a column of any name are spans there too."""
    rows = [{"text": TEXT, "found": [{"start": 11, "end": 16, "label": "LOC"}]}, {"text": "no", "found": []}]
    Dataset.from_list(rows).to_parquet(tmp_path / "a.parquet")
    assert [row["spans"] for row in load_splits(files={"train": str(tmp_path / "a.parquet")})["train"]] == [[SPAN], []]


@pytest.mark.parametrize(("annotators", "labels"), [("first", ["A", "C"]), ("last", ["B", "C"]), ("agreement", ["B", "C"])])
def test_several_annotators_of_prodigy(tmp_path, monkeypatch, annotators, labels):
    """Each has a row of the task; rows that one did stay, and rows on which most do not agree are left out."""
    told = []
    monkeypatch.setattr(annotations.logger, "warning_once", told.append)

    def row(task, who, label):
        return {"text": TEXT, "accept": [label], "options": [], "answer": "accept", "_task_hash": task, "_annotator_id": who}

    rows = [row(1, "x", "A"), row(1, "y", "B"), row(1, "z", "B"), row(2, "x", "C")]
    assert [each["label"] for each in read(tmp_path, "a.jsonl", rows, annotators=annotators)] == labels
    assert "1 rows have several annotations" in told[0]
    if annotators == "agreement":
        rows.append(row(1, "w", "A"))
        assert [each["label"] for each in read(tmp_path, "b.jsonl", rows, annotators=annotators)] == ["C"]


def test_spans_of_tokens(tmp_path):
    """Spans that count tokens, as SpERT has them, become tags; none are none; those that overlap are chosen among, or refused."""
    spans = [{"type": "PER", "start": 0, "end": 2}, {"type": "LOC", "start": 3, "end": 4}]
    tokens = ["Anna", "Kim", "likes", "Seoul"]
    rows = [{"tokens": tokens, "entities": spans, "relations": [{"type": "x", "head": 0, "tail": 1}]}, {"tokens": ["No"], "entities": []}]
    read_back = read(tmp_path, "spert.json", rows)
    assert [row["tags"] for row in read_back] == [["B-PER", "I-PER", "O", "B-LOC"], ["O"]]
    assert [row["tokens"] for row in read_back] == [tokens, ["No"]]
    rows[0]["entities"] = [*spans, {"type": "ORG", "start": 1, "end": 4}]
    with pytest.raises(DataError, match=r"The span \[1, 4\) 'ORG' of 4 tokens .* overlaps another. Remove one, or pass"):
        read(tmp_path, "spert.json", rows)
    assert read(tmp_path, "spert.json", rows, overlapping_spans="longest")[0]["tags"] == ["O", "B-ORG", "I-ORG", "I-ORG"]
    assert read(tmp_path, "spert.json", rows, overlapping_spans="first")[0]["tags"] == ["B-PER", "I-PER", "O", "B-LOC"]
    rows[0]["entities"] = [{"type": "PER", "start": 3, "end": 5}]
    with pytest.raises(DataError, match=r"The span \[3, 5\) 'PER' of 4 tokens .* needs a label, and numbers of tokens"):
        read(tmp_path, "spert.json", rows)


@pytest.mark.parametrize(("annotators", "expected"), [("first", ["LOC", "LOC"]), ("last", ["ORG", "LOC"]), ("agreement", ["ORG", "LOC"])])
def test_a_row_for_each_user(tmp_path, caplog, annotators, expected):
    """A text that several users of doccano annotated is one row; others with a user stay, also of one number."""
    done = [("anna", "LOC", 1, TEXT), ("bob", "ORG", 1, TEXT), ("carla", "ORG", 1, TEXT), ("anna", "LOC", 2, TEXT)]
    rows = [{"id": number, "text": text, "label": [[11, 16, label]], "username": user} for user, label, number, text in done]
    found = read(tmp_path, "users.jsonl", rows, annotators=annotators)
    assert [row["spans"][0]["label"] for row in found] == expected
    assert "1 rows have several annotations" in caplog.text
    # a number of something else
    rows = [{"id": 1, "text": f"{TEXT} {number}", "label": ["x"], "user": number} for number in range(3)]
    assert len(read(tmp_path, "others.jsonl", rows)) == 3
