"""Labels, tags and spans as people have them: read for what they mean, said, or refused in a line that leads on."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from html import escape
from unicodedata import normalize

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from hf_rnn.data.files.cells import as_text, plain
from hf_rnn.data.files.readers import DataError, read_rows
from hf_rnn.data.files.reading import ReadingOptions
from hf_rnn.data.rows import annotated, label_columns
from hf_rnn.data.rows.annotated import annotated_texts, holds_spans
from hf_rnn.data.rows.label_columns import JOINED, MULTI, read_labels
from hf_rnn.data.rows.labels import count_labels, describe_odd, feature_names, label_values
from hf_rnn.data.rows.offsets import describe_offsets
from hf_rnn.data.rows.splits import check_columns, draw_validation
from hf_rnn.data.rows.tag_columns import read_tags, read_words


def split(**columns):
    """Return a split of columns."""
    return Dataset.from_dict(columns)


@pytest.mark.parametrize(
    ("cells", "truths"),
    [
        (["ja", "nein", "Ja"], [True, False, True]),
        (["Y", "n", "T"], [True, False, True]),
        (["x", "", "X"], [True, False, True]),
        (["✓", None, ""], [True, False, False]),
        (["예", "아니요", "예"], [True, False, True]),
    ],
)
def test_yes_and_no(cells, truths):
    """In several languages, and as a mark beside empty cells."""
    rows = DatasetDict(train=split(text=["a", "b", "c"], food=cells, price=["yes", "no", "no"]))
    read = read_labels(rows, None, MULTI, ReadingOptions(label_columns=("food", "price")))["train"]
    assert [0 in labels for labels in read[JOINED]] == truths


@pytest.mark.parametrize(
    ("cells", "separator", "message"),
    [
        (["food, price", "food|service"], None, "'food, price' looks like several labels separated by ','"),
        (["food/price", "food"], None, "separated by '/'. Pass --label_separator '/'"),
        (["food\nprice", "food"], None, "looks like several labels"),
        (["food, price", "food|service"], ",", "'food|service' looks like several labels, but not separated by ','. Write all"),
    ],
)
def test_separators_that_are_mixed(cells, separator, message):
    """They are refused by the row."""
    with pytest.raises(DataError, match=message.replace("|", r"\|")):
        read_labels(DatasetDict(train=split(label=cells)), "label", MULTI, ReadingOptions(label_separator=separator))


def test_several_labels_of_which_no_row_has_any(monkeypatch):
    """Cells that hold one label each are said where rows may have several, and labels made of others where rows have one."""
    told = []
    monkeypatch.setattr(label_columns.logger, "warning_once", told.append)
    read_labels(DatasetDict(train=split(label=["very good", "good"])), "label", MULTI, ReadingOptions())
    assert "No cell of column 'label' is read as several labels. --label_separator" in told[0]
    assert "['food, price'] look like several in a cell" in describe_odd({"food": 3, "price": 2, "food, price": 4}, "label")
    assert describe_odd({"and/or": 3, "either": 2}, "label") is None
    assert count_labels(split(label=[["a", "a"], ["a"]]), "label", once=True) == {"a": 2}


def test_numbers_of_classes_that_another_split_declares(caplog):
    """They are the names that the other split has for them; names and other numbers stay what they are."""
    named = Dataset.from_dict({"label": [1, 0]}, features=Features({"label": ClassLabel(names=["neg", "pos"])}))
    for cells in ([1, 0, None], ["1", "0", ""], [1.0, 0.0, None]):
        read = read_labels(
            DatasetDict(train=named, validation=split(label=cells)), "label", "single", ReadingOptions(missing_labels="drop")
        )["validation"]
        assert read["label"][:] == [1, 0] and feature_names(read, "label") == ["neg", "pos"]
    assert "numbers of the classes that another split declares: ['neg', 'pos']" in caplog.text
    read = read_labels(DatasetDict(train=named, test=split(label=["pos", "neg"])), "label", "single", ReadingOptions())["test"]
    assert read["label"][:] == ["pos", "neg"]
    beyond = DatasetDict(train=named, test=split(label=[2, 0]))
    assert feature_names(read_labels(beyond, "label", "single", ReadingOptions())["test"], "label") is None


@pytest.mark.parametrize(
    ("value", "label"),
    [(Decimal("1"), "1"), (Decimal("1.00"), "1"), (date(2024, 1, 2), "2024-01-02"), (time(1, 2), "01:02:00"), (np.int64(3), "3")],
)
def test_types_of_labels(value, label):
    """Dates, times and decimals are labels, as csv has them, and texts too."""
    assert label_values(value, "label", "train", 0) == [label]
    if not isinstance(value, np.integer):
        assert as_text(value, "row") == str(value)


def test_values_that_json_has_nothing_for():
    """Are text, or lists, or refused by their type."""
    values = [datetime(2024, 1, 2), timedelta(1), Decimal("1.5"), {"b", "a"}, np.array([1, 2]), np.float32(0.5), float("nan")]
    assert [plain(value) for value in values] == ["2024-01-02 00:00:00", "1 day, 0:00:00", "1.5", ["a", "b"], [1, 2], 0.5, None]
    with pytest.raises(DataError, match="'1.5'.* is a fraction"):
        label_values(Decimal("1.5"), "label", "train", 0)
    with pytest.raises(TypeError, match="object"):
        plain(object())


IOB1, BIO, BIOES = ["I-PER", "I-PER", "O", "I-LOC"], ["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "E-PER", "O", "S-LOC"]


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [(IOB1, BIO, BIO), (BIO, IOB1, BIO), (BIO, BIOES, BIO), (BIOES, BIO, BIOES), (["B-X", "M-X", "E-X", "W-Y"], BIOES, BIOES)],
)
def test_splits_of_different_schemes(train, test, expected, caplog):
    """All are read as the first one, so that spans are the same; it is said."""
    read = read_tags(DatasetDict(train=split(tags=[train, ["O"]]), test=split(tags=[test])), "tags")
    assert read["test"]["tags"][:] == [expected]
    assert "Tags are of different schemes (train" in caplog.text or train[0] == "B-X"
    assert all(tag[0] in "BIOES" for tag in read["train"]["tags"][0])


def test_words_with_white_space_between(caplog):
    """Words and tags in one text each become lists where all rows have as many of both."""
    rows = DatasetDict(train=split(sentence=["Petra  flew", "so"], tags=["B-PER O", "O"]))
    read = read_words(rows, "sentence", "tags")["train"]
    assert read[:] == {"sentence": [["Petra", "flew"], ["so"]], "tags": [["B-PER", "O"], ["O"]]}
    assert "hold words and their tags with white space between" in caplog.text
    rows = DatasetDict(train=split(sentence=["Petra flew"], tags=["B-PER"]))
    assert read_words(rows, "sentence", "tags") is rows


def test_columns_of_every_split():
    """One that a split lacks is named before anything is encoded."""
    with pytest.raises(DataError, match=r"The validation split lacks the column 'text' of the train split; it has \['sentence'\]. Rename"):
        check_columns(DatasetDict(train=split(text=["a"]), validation=split(sentence=["a"])), "train", "text", "text_column_name")


def test_too_few_rows_to_hold_any_out():
    """The remedy is one that helps."""
    with pytest.raises(DataError, match="of 1 rows leaves a split empty. Pass --validation_file, or more rows"):
        draw_validation(1, None, 0.2, 0)
    with pytest.raises(DataError, match="Is it the --label_column_name"):
        draw_validation(20, list(range(20)), 0.2, 0)


TEXT = "In Köln, 😀 and in 😀 Rome,\r\n😀 she sees Bonn and Paris"
WORDS = ("Köln", "Rome", "Bonn", "Paris")


def spans_in(text, start=0, end=0):
    """Return the spans of words in a text, off by some."""
    return [(text.index(word) + start, text.index(word) + len(word) + end, "LOC") for word in WORDS]


WIDE = "".join(char * (1 + (char > "\uffff")) for char in TEXT)
BYTES = [(len(TEXT[:start].encode()), len(TEXT[:end].encode()), label) for start, end, label in spans_in(TEXT)]


@pytest.mark.parametrize(
    ("text", "spans", "told"),
    [
        (TEXT, spans_in(TEXT), None),
        (TEXT, spans_in(TEXT, 0, -1), "4 of 4 begin or end inside words, and would not if `end` were their last character: add 1"),
        (TEXT, spans_in(TEXT, 1, 1), "if characters were counted from 1: subtract 1 from every `start` and `end`"),
        (TEXT, spans_in(TEXT, 1, 0), "`end` were the last one: subtract 1 from every `start`."),
        (TEXT, spans_in(WIDE), "if UTF-16 units were counted"),
        (TEXT, BYTES, "if bytes of UTF-8 were counted"),
        (f"\r\n\r\n{TEXT}", spans_in(f"\n\n{TEXT}".replace("\r\n", "\n")), "if CR LF were counted as one"),
        (f"\n\n{TEXT}", spans_in(f"\r\n\r\n{TEXT}"), "if LF were counted as two"),
        (normalize("NFD", f"Öä {TEXT}"), spans_in(f"Öä {TEXT}"), "in texts of the form NFC"),
        (escape(f"<b>&</b> {TEXT}"), spans_in(f"<b>&</b> {TEXT}"), "without entities of HTML"),
        (f" \t{TEXT}", spans_in(TEXT), "without white space at their beginning"),
        ("서울에서부산까지대구에서", [(1, 3, "LOC"), (5, 7, "LOC"), (9, 10, "LOC")], None),
    ],
)
def test_what_offsets_count(text, spans, told):
    """Words that they cut in two tell, where another reading cuts none."""
    line = describe_offsets([text], [spans])
    assert line is None if told is None else told in line, line


def test_offsets_are_told_of_rows(tmp_path, caplog):
    """Once for each split, and the rows are read as they are."""
    lines = [json.dumps({"text": "We saw Rome", "label": [[7, 10, "LOC"]]})] * 3
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    read = Dataset.from_list(list(read_rows(str(tmp_path / "a.jsonl"))))
    assert annotated_texts(read, "train")[1] == [[(7, 10, "LOC")]] * 3
    assert "Spans of the train split: 3 of 3 begin or end inside words" in caplog.text


TOKENS = ["We", "saw", "New", "York"]
SENTENCE = " ".join(TOKENS)
PLACE = {"text": SENTENCE, "spans": [{"start": 7, "end": 15, "label": "LOC", "quote": None}]}
TAGGED = {"tokens": TOKENS, "tags": ["O", "O", "B-LOC", "I-LOC"]}
SHAPES = [
    ({"tokenized_text": TOKENS, "ner": [[2, 3, "LOC"]]}, TAGGED),
    ({"tokenized_text": TOKENS, "ner": []}, {"tokens": TOKENS, "tags": ["O"] * 4}),
    ({"tokens": TOKENS, "entities": [{"type": "LOC", "start": 2, "end": 4}]}, TAGGED),
    ({"text": SENTENCE, "entities": [{"offset": 7, "length": 8, "type": "LOC"}]}, PLACE),
    ({"text": SENTENCE, "entities": [{"begin": 7, "end": 15, "category": "LOC"}]}, PLACE),
    ({"text": SENTENCE, "ents": [{"start_char": 7, "end_char": 15, "label_": "LOC"}]}, PLACE),
    ({"text": SENTENCE, "spans": [{"start": 7.0, "end": "15", "label": "LOC"}]}, PLACE),
    ({"text": SENTENCE, "label": [["LOC", 7, 15]]}, PLACE),
    (
        {"text": SENTENCE, "label": [{"start": 7, "end": 15, "labels": ["LOC", "CITY"]}]},
        {**PLACE, "spans": [PLACE["spans"][0], {**PLACE["spans"][0], "label": "CITY"}]},
    ),
    ({"text": SENTENCE, "entities": [[7, 15, "LOC", "New York"]]}, {**PLACE, "spans": [{**PLACE["spans"][0], "quote": "New York"}]}),
    ({"text": SENTENCE, "tokens": TOKENS, "entities": [[7, 15, "LOC"]]}, {**PLACE, "tokens": TOKENS}),
]


@pytest.mark.parametrize(("row", "expected"), SHAPES)
def test_shapes_of_spans(tmp_path, row, expected):
    """Of characters, or of the tokens that stand alone; the last is excluded but in rows of GLiNER."""
    told = {"tokenized_text": TOKENS, "ner": [[0, 0, "PER"]]} if "tokenized_text" in row else row
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [row, told])))
    assert next(read_rows(str(tmp_path / "a.jsonl"))) == expected


def test_spans_of_texts_or_of_tokens(tmp_path, monkeypatch):
    """Spans that may count either are refused until an option says which; tags and spans are told apart by the column."""
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": SENTENCE, "tokens": TOKENS, "entities": [[2, 4, "LOC"]]}))
    with pytest.raises(DataError, match="may count the characters of 'text' or the tokens of 'tokens'. Pass --text_column_name text or"):
        list(read_rows(str(path)))
    assert list(read_rows(str(path), ReadingOptions("tokens"))) == [{"text": SENTENCE, **TAGGED}]
    assert next(read_rows(str(path), ReadingOptions("text")))["spans"][0]["start"] == 2
    path.write_text(json.dumps({"text": SENTENCE, "tokens": TOKENS, "entities": [[0, 2, "X"]], "n": 1}).replace('"X"', '"X", "We"'))
    assert next(read_rows(str(path)))["spans"][0]["quote"] == "We"
    both, told = Dataset.from_list([{**PLACE, **TAGGED}]), []
    monkeypatch.setattr(annotated.logger, "warning_once", told.append)
    assert not holds_spans(both) and holds_spans(both, "spans") and holds_spans(both, "entities") and not holds_spans(both, "tags")
    assert holds_spans(both.remove_columns("tags"))
    assert "the tags are read. --label_column_name chooses" in told[0] and len(told) == 2


def test_spans_without_an_end_are_named(tmp_path):
    """A span that lacks a part is refused by its row."""
    rows = Dataset.from_list([{"text": "Rome", "spans": [{"start": 0, "label": "LOC"}]}])
    with pytest.raises(DataError, match="train row 0.*needs a whole number `start`, one `end`"):
        annotated_texts(rows, "train")
    twice = Dataset.from_list([{"text": "Rome", "spans": [{"start": 0, "end": 4, "label": "LOC"}] * 2}])
    assert annotated_texts(twice, "train")[1] == [[(0, 4, "LOC")]]


def test_features_stay():
    """A column of numbers with other features is left as it is."""
    rows = Dataset.from_dict({"label": ["b", "a"]}, features=Features({"label": Value("string")}))
    assert read_labels(DatasetDict(train=rows), "label", "single", ReadingOptions())["train"]["label"][:] == ["b", "a"]
