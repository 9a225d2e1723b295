"""A promised precision is kept as often as it says, and what cannot be shown is not promised."""

import numpy as np
import pytest
from scipy.stats import binom

from hf_rnn.evaluation.promises import answers_needed, answers_to_show, find_promise, lower_bound
from hf_rnn.tasks.report import ScoredAnswers


def draw(count, random):
    """Return answers of which those with higher scores are right more often, and the probability of each to be right."""
    scores = random.beta(4, 1, count)
    truth = 0.6 + 0.4 * scores**0.5
    return ScoredAnswers(scores, random.random(count) < truth), truth


def test_the_bound_is_that_of_the_binomial():
    """So many or more are right with a probability of 5% where the share is the bound."""
    for right, answers in ((99, 99), (150, 160), (1, 5)):
        assert binom.sf(right - 1, answers, lower_bound(right, answers)) == pytest.approx(0.05, abs=1e-9)
    assert lower_bound(0, 10) == 0.0


@pytest.mark.parametrize("precision", [0.9, 0.95, 0.97, 0.99])
def test_promises_are_kept(precision):
    """Whatever the rows: in at most 5% of 300 draws less than the promise is right above the threshold; most draws promise something."""
    random = np.random.default_rng(int(1000 * precision))
    broken, promised = 0, 0
    scores, truth = (lambda drawn: (drawn[0].scores, drawn[1]))(draw(100_000, random))
    for _ in range(300):
        found = find_promise(draw(800, random)[0], precision)
        if found is not None:
            promised += 1
            broken += truth[scores >= found.threshold].mean() < precision
    # three standard deviations beyond 15 of 300
    assert broken <= 15 + 3 * np.sqrt(15)
    assert promised > (250 if precision < 0.97 else 0)


def test_an_early_error_ends_one_walk_not_both():
    """Where the surest answer is wrong, the walk from half of the answers finds the threshold; equal scores stay together."""
    right = np.ones(1000, dtype=bool)
    right[0] = False
    found = find_promise(ScoredAnswers(np.linspace(1, 0.5, 1000), right), 0.97)
    assert found is not None and found.answered == 1.0 and found.threshold == 0.5 and found.rows == 1000
    tied = find_promise(ScoredAnswers(np.repeat([0.9, 0.6], 500), np.arange(1000) < 500), 0.97)
    assert tied is not None and tied.threshold == 0.9 and tied.answered == 0.5


def test_too_few_rows():
    """99 answers without an error show 97%, 98 do not; with a share of right ones below it nothing ever does."""
    assert answers_needed(0.97) == 99
    assert lower_bound(99, 99) >= 0.97 > lower_bound(98, 98)
    assert find_promise(ScoredAnswers(np.ones(60), np.ones(60, dtype=bool)), 0.97) is None
    assert answers_to_show(0.97, 0.95) is None
    needed = answers_to_show(0.97, 0.985)
    assert needed is not None and lower_bound(int(0.985 * needed), needed) >= 0.97
