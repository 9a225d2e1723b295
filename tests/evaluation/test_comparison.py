"""Scores from counts of rows are those of the usual libraries, and paired intervals those of a plain loop over resamples."""

import random

import numpy as np
import pytest
from scipy.stats import norm
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score

from hf_rnn.evaluation.comparison import LabelledRows, score_of
from hf_rnn.evaluation.intervals import paired_intervals

pytestmark = pytest.mark.lowest

TAGS = ["O", "B-city", "I-city", "B-time", "I-time"]


def sentences(seed, count=40):
    """Return random tags of sentences, some of length zero, spans that start with I- among them."""
    draw = random.Random(seed)
    return [draw.choices(TAGS, (6, 2, 2, 1, 1), k=draw.randrange(9)) for _ in range(count)]


def changed(rows, seed):
    """Return rows of which some tags are others."""
    draw = random.Random(seed)
    return [[draw.choice(TAGS) if draw.random() < 0.3 else tag for tag in row] for row in rows]


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_the_libraries(seed):
    """F1 over spans is seqeval's, accuracy scikit-learn's, over tags and over labels."""
    gold = sentences(seed)
    answers = changed(gold, seed)
    rows = LabelledRows([[]] * len(gold), gold, "tags", "f1")
    assert score_of(rows.counts(answers)) == pytest.approx(f1_score(gold, answers, zero_division=0))
    flat = [[tag for row in part for tag in row] for part in (gold, answers)]
    rows = LabelledRows([[]] * len(gold), gold, "tags", "accuracy")
    assert score_of(rows.counts(answers)) == pytest.approx(accuracy_score(*flat))
    assert rows.agreement(answers, gold) == pytest.approx(accuracy_score(*flat))
    rows = LabelledRows([""] * len(flat[0]), flat[0], "label", "accuracy")
    assert score_of(rows.counts(flat[1])) == pytest.approx(accuracy_score(*flat))


def test_spans_of_raw_text():
    """Two of three spans are right, one of them with another label; a row without any counts nothing."""
    rows = LabelledRows(["a b", "c"], [[(0, 1, "X"), (2, 3, "Y")], []], "spans", "f1")
    counts = rows.counts([[(0, 1, "X"), (2, 3, "X")], []])
    assert counts.tolist() == [[2, 4], [0, 0]]
    assert score_of(counts) == 0.5


def test_scores_of_answers():
    """Of labels and of spans the scores of answers and whether they are right; of tags nothing."""
    rows = LabelledRows(["a", "b"], ["x", "y"], "label", "accuracy")
    scored = rows.scored([{"label": "x", "score": 0.9}, {"label": "x", "score": 0.6}])
    assert scored.scores.tolist() == [0.9, 0.6] and scored.right.tolist() == [True, False]
    rows = LabelledRows(["a b"], [[(0, 1, "X")]], "spans", "f1")
    found = [{"start": start, "end": start + 1, "entity_group": "X", "score": 0.7} for start in (0, 2)]
    assert rows.scored([{"spans": found}]).right.tolist() == [True, False]
    assert not len(LabelledRows([["a"]], [["O"]], "tags", "accuracy").scored([{"tags": ["O"]}]).scores)


def plain(counts, resamples, seed):
    """Draw rows and score them, one resample after another; return scores (R, M)."""
    generator = np.random.default_rng(seed)
    scores = []
    for _ in range(resamples):
        drawn = generator.integers(0, len(counts[0]), len(counts[0]))
        scores.append([sum(each[row][0] for row in drawn) / max(sum(each[row][1] for row in drawn), 1) for each in counts])
    return np.array(scores)


@pytest.mark.parametrize("held", [50, 2**21])
def test_intervals_are_those_of_a_plain_loop(held, monkeypatch):
    """Ends of scores and of differences, paired, whatever is held at a time."""
    monkeypatch.setattr("hf_rnn.evaluation.intervals.HELD", held)
    gold = sentences(1)
    rows = LabelledRows([[]] * len(gold), gold, "tags", "f1")
    counts = [rows.counts(changed(gold, seed)) for seed in (2, 3, 4)]
    scores = plain(counts, 300, 7)
    found = paired_intervals(counts, 300, 7)
    for index, (score, difference) in enumerate(found):
        assert score.value == pytest.approx(score_of(counts[index]))
        assert [score.low, score.high] == pytest.approx(np.percentile(scores[:, index], (2.5, 97.5)))
        expected = np.percentile(scores[:, index] - scores[:, 0], (2.5, 97.5))
        assert [difference.low, difference.high] == pytest.approx(expected)
        assert difference.value == pytest.approx(score_of(counts[index]) - score_of(counts[0]))
    assert (found[0][1].low, found[0][1].high) == (0, 0)


def test_intervals_over_seeds_are_those_of_a_plain_loop():
    """Rows and all seeds but one are drawn, the same for all models; a model of one training stands beside each."""
    draw = np.random.default_rng(3)
    trained = np.stack([np.stack([draw.random(60) < right, np.ones(60)], 1) for right in (0.6, 0.7, 0.8, 0.9)])
    counts = [trained[0, ::-1], trained, trained[::-1, ::-1]]
    generator = np.random.default_rng(7)
    rows, seeds = generator.integers(0, 60, (300, 60)), generator.integers(0, 4, (300, 4))
    differences = []
    for row_draw, seed_draw in zip(rows, seeds, strict=True):
        alone = np.mean([counts[0][row, 0] for row in row_draw])
        means = [np.mean([[each[seed, row, 0] for row in row_draw] for seed in seed_draw[1:]]) for each in counts[1:]]
        differences.append([mean - alone for mean in means])
    found = paired_intervals(counts, 300, 7)
    assert found[1][0].value == pytest.approx(trained[..., 0].mean())
    for index, (_, difference) in enumerate(found[1:]):
        drawn = np.array(differences)[:, index]
        assert [difference.low, difference.high] == pytest.approx(np.percentile(drawn, (2.5, 97.5)))
        assert difference.p == pytest.approx(min(1, 2 * (1 + min((drawn <= 0).sum(), (drawn >= 0).sum())) / 301))
    with pytest.raises(ValueError, match="as many seeds each, got 4 and 3"):
        paired_intervals([trained, trained[:3]])


def test_the_spread_of_a_mean_over_seeds():
    """Of rows that never vary the draws of a mean of S seeds spread as its standard error does."""
    right = np.random.default_rng(0).normal(0.7, 0.1, 10)
    counts = np.stack([np.tile([share, 1.0], (9, 1)) for share in right])
    ((score, _),) = paired_intervals([counts], 4000)
    error = right.std(ddof=1) / np.sqrt(10)
    assert score.high - score.low == pytest.approx(2 * norm.ppf(0.975) * error, rel=0.1)


def test_intervals_of_many_rows_are_those_of_the_normal_distribution():
    """A share's interval is Wald's; that of a difference is narrower where models err on the same rows."""
    draw = np.random.default_rng(0)
    first = draw.random(2000) < 0.8
    second = np.where(draw.random(2000) < 0.05, ~first, first)
    counts = [np.stack([right, np.ones(2000)], 1) for right in (first, second)]
    (score, _), (other, difference) = paired_intervals(counts, 2000)
    half = norm.ppf(0.975) * np.sqrt(first.mean() * (1 - first.mean()) / 2000)
    assert score.high - score.low == pytest.approx(2 * half, rel=0.1)
    change = second.astype(float) - first
    assert difference.high - difference.low == pytest.approx(2 * norm.ppf(0.975) * change.std() / np.sqrt(2000), rel=0.1)
    assert difference.high - difference.low < 0.7 * (other.high - other.low)


def test_one_row_has_no_interval():
    """Nothing can be drawn from it."""
    with pytest.raises(ValueError, match="needs two rows at least, got 1"):
        paired_intervals([[[1, 1]]])
