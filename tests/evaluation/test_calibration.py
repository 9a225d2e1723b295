"""Scores are compared with how often answers are right, and what the number of rows alone makes of the difference is known."""

import numpy as np
import pytest

from hf_rnn.evaluation.calibration import measure_calibration, reliability
from hf_rnn.tasks.report import NO_ANSWERS, ScoredAnswers

pytestmark = pytest.mark.lowest


def draw(count, shift=0.0, seed=0):
    """Return answers that are right with the probability that their score says, less a shift."""
    random = np.random.default_rng(seed)
    scores = random.uniform(0.5, 1.0, count)
    return ScoredAnswers(scores, random.random(count) < scores - shift)


def test_by_hand():
    """Two answers a bin: distances are those of means, weighed by bins; ties and order of rows do not matter."""
    answers = ScoredAnswers(np.array([0.9, 0.6, 0.8, 0.5]), np.array([True, False, True, True]))
    scores, right, sizes = reliability(answers, bins=2)
    assert scores == pytest.approx([0.55, 0.85]) and right == pytest.approx([0.5, 1.0]) and sizes.tolist() == [2, 2]
    found = measure_calibration(answers)
    # each answer is a bin of its own
    assert found["ece"] == pytest.approx((0.5 + 0.6 + 0.2 + 0.1) / 4)
    assert found["brier"] == pytest.approx((0.25 + 0.36 + 0.04 + 0.01) / 4)
    assert measure_calibration(NO_ANSWERS) == {}


def test_chance_explains_calibrated_scores_and_no_others():
    """Of a calibrated model nothing is left beyond chance; of one that is too sure by a tenth a tenth is."""
    for count in (150, 3000):
        beyond = [found["ece"] - found["ece_by_chance"] for found in (measure_calibration(draw(count, seed=seed)) for seed in range(20))]
        assert abs(np.mean(beyond)) < 0.005
    sure = measure_calibration(draw(3000, shift=0.1))
    assert sure["ece"] == pytest.approx(0.1, abs=0.02) and sure["ece_by_chance"] < 0.03
