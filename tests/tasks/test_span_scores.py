"""Spans are right if both ends and the label are; for words of a treebank the scores are those of the CoNLL 2018 evaluation."""

import itertools
import random

import pytest

from hf_rnn.tasks.span_scores import SpanCounts, scored_spans


def conll_2018(gold, system):
    """Return F1 of words and of tags of two lists of (form, tag), by the rules of the task's script.

    Words are placed by their characters but for white space; those of gold and system at the same place are aligned, and a tag is
    right if its word is aligned and it is the same.
    """

    def places(words):
        start, found = 0, []
        for form, tag in words:
            end = start + len("".join(form.split()))
            found.append((start, end, tag))
            start = end
        return found

    expected, given = places(gold), places(system)
    assert not expected or expected[-1][1] == given[-1][1]
    aligned = [(a, b) for a in expected for b in given if a[:2] == b[:2]]
    return tuple(2 * right / (len(gold) + len(system)) for right in (len(aligned), sum(a[2] == b[2] for a, b in aligned)))


def cut(draw, text):
    """Return words of a text, cut and tagged at random: places with tags, and (form, tag)."""
    borders = sorted({0, len(text), *draw.sample(range(len(text)), draw.randrange(1, 8))})
    spans = []
    for start, end in itertools.pairwise(borders):
        inner = text[start:end].strip()
        if inner:
            begin = text.index(inner, start)
            spans.append((begin, begin + len(inner), draw.choice("XYZ")))
    return spans, [(text[start:end], tag) for start, end, tag in spans]


def test_scores_of_words_are_those_of_conll_2018():
    """For random segmentations of texts with white space, words inside which there is some too."""
    draw = random.Random(1)
    for _ in range(100):
        text = "".join(draw.choice("abc d") for _ in range(30)).strip()
        (gold, gold_words), (found, found_words) = cut(draw, text), cut(draw, text)
        metrics = SpanCounts.count([gold], [found]).metrics()
        assert (metrics["segmentation_f1"], metrics["f1"]) == pytest.approx(conll_2018(gold_words, found_words))


def test_scores_by_hand():
    """Precision, recall and F1 over all texts and of one label; a right span with a wrong label counts for `segmentation_f1` alone."""
    gold = [[(0, 2, "X"), (3, 5, "Y")], [(0, 1, "X")]]
    found = [[(0, 2, "X"), (3, 5, "X"), (6, 7, "Y")], []]
    counts = SpanCounts.count(gold, found)
    metrics = counts.metrics()
    assert metrics == pytest.approx({"precision": 1 / 3, "recall": 1 / 3, "f1": 1 / 3, "segmentation_f1": 2 / 3})
    assert counts.scores(["X"]) == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert counts.scores(["Y"]) == (0, 0, 0)
    lines = counts.report().splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["2", "1", "3", "3"]


def test_nothing_there_and_nothing_found():
    """Texts without spans have scores of 0, not an error."""
    assert set(SpanCounts.count([[], []], [[], []]).metrics().values()) == {0.0}


def test_each_span_that_is_found_is_right_or_wrong():
    """A span counts as right only with both ends and its label; those that are missed have no score."""
    found = [{"start": 0, "end": 4, "entity_group": "X", "score": 0.9}, {"start": 5, "end": 7, "entity_group": "X", "score": 0.6}]
    scored = scored_spans([[(0, 4, "X"), (5, 8, "X")], [(0, 1, "Y")]], [{"spans": found}, {"spans": []}])
    assert scored.scores.tolist() == [0.9, 0.6] and scored.right.tolist() == [True, False]
    assert len(scored_spans([], []).scores) == 0
