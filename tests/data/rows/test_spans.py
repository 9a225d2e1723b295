"""Spans are checked with errors that say what to do, and become tags of units and spans again."""

import random

import pytest

from hf_rnn.data.files.errors import DataError, Place
from hf_rnn.data.rows.spans import check_spans, token_spans, unit_tags
from hf_rnn.models.tags import spans_of_tags

TEXT = "😀 Köln liegt am Rhein"


def span(start, end, label="LOC", quote=None):
    """Return an annotated span."""
    return {"start": start, "end": end, "label": label, "quote": quote}


def test_spans_are_sorted_and_trimmed():
    """White space at the ends goes, and is counted; a span that is right stays."""
    assert check_spans(TEXT, [span(16, 21), span(1, 7)], Place("train", 0)) == ([(2, 6, "LOC"), (16, 21, "LOC")], 1)
    assert check_spans("", [], Place("train", 0)) == ([], 0)


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([span(2, 2)], r"train row 3, span 0 \[2, 2\) 'LOC' of the text '😀 Köln .*is empty.*correct or remove"),
        ([span(1, 2)], "holds nothing but white space"),
        ([span(17, 99)], r"\(21 characters\): it lies outside"),
        ([span(5, 2)], "lies outside"),
        ([span(-3, 2)], "lies outside"),
        ([span(2, 6), span(2, 10)], r"spans \[2, 6\) 'LOC' and \[2, 10\) 'LOC' .*overlap in 'Köln'.*Remove or shorten"),
        ([span(2, 10), span(4, 14)], "overlap in 'ln lie'"),
        ([span(2, 6), span(2, 6, "ORG")], "overlap in 'Köln'"),
        ([span(2, 6, "")], "a `label`. Complete or remove"),
        ([span(None, 6)], "a whole number `start`"),
        ([span(2, 6, quote="Bonn")], "there is 'Köln', but the annotation quotes 'Bonn'. Correct"),
        ([span(5, 10, quote="Köln")], r"count bytes of UTF-8, in which it is 'Köln'. Convert.*encode\('utf-8'\)\[:start\]"),
        ([span(3, 7, quote="Köln")], r"count UTF-16 units.*encode\('utf-16-le'\)\[:2 \* start\]"),
        ([span(20, 25)], "count bytes of UTF-8, in which it is 'Rhein'"),
    ],
)
def test_what_is_wrong_with_a_span(spans, message):
    """The error names row, span, text and remedy, and what offsets count if they do not count characters."""
    with pytest.raises(DataError, match=message):
        check_spans(TEXT, spans, Place("train", 3))


def test_tags_of_tokens_become_spans():
    """Entities of a scheme; otherwise every token, and those at one place together."""
    offsets = [[0, 2], [3, 5], [6, 8], [8, 9]]
    entities = [{"start": 0, "end": 5, "label": "X"}, {"start": 8, "end": 9, "label": "Y"}]
    for tags in (["B-X", "I-X", "O", "B-Y"], ["B-X", "E-X", "O", "S-Y"]):
        assert token_spans(offsets, tags, [*tags, "O"]) == entities
    words = token_spans([[0, 2], [0, 2], [3, 5]], ["ADP", "DET", "NOUN"], ["ADP", "DET", "NOUN"])
    assert words == [{"start": 0, "end": 2, "label": "ADP+DET"}, {"start": 3, "end": 5, "label": "NOUN"}]


def test_units_meet_borders_or_are_counted():
    """Spans between borders of units come back from their tags; each border inside a unit is counted once."""
    units = [(0, 2), (2, 3), (4, 8), (9, 10)]
    assert unit_tags(units, [(0, 3, "X"), (4, 8, "X")]) == (["B-X", "I-X", "B-X", "O"], 0)
    assert unit_tags(units, [(1, 3, "X"), (4, 7, "Y")]) == (["B-X", "I-X", "B-Y", "O"], 2)
    # two spans in one unit: the first has it
    assert unit_tags(units, [(4, 6, "X"), (6, 8, "Y")]) == (["O", "O", "B-X", "O"], 3)
    assert unit_tags([], [(0, 1, "X")]) == ([], 2)


def test_random_spans_survive():
    """Any spans at borders of units are those that their tags describe."""
    draw = random.Random(0)
    for _ in range(200):
        borders = sorted(draw.sample(range(60), 20))
        units = list(zip(borders[::2], borders[1::2], strict=True))
        cuts = sorted(draw.sample(range(11), 6))
        chosen = [(a, b, draw.choice("XY")) for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
        spans = [(units[a][0], units[b - 1][1], kind) for a, b, kind in chosen]
        tags, missed = unit_tags(units, spans)
        assert missed == 0 and spans_of_tags(tags) == chosen
