"""A temperature makes scores likely again, in the weights, so that all that runs the model sees it."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from tiny import build

from hf_rnn import RnnForSequenceClassification
from hf_rnn.linear.choice import choose_linear_fit
from hf_rnn.linear.temperature import TemperatureFit, fit_temperature


def test_a_known_temperature_is_found():
    """Logits that were multiplied by three are divided by three, for one label and for several."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(20_000, 3))
    labels = (logits + random.gumbel(size=logits.shape)).argmax(1)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.05)
    several = (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)
    assert fit_temperature(0.5 * logits, several, problem="multi_label_classification") == pytest.approx(0.5, rel=0.05)


def test_few_rows_leave_good_scores_alone():
    """Of 50 rows the prior lets a temperature be nearer to the true one, 1, than likelihood alone finds it."""
    random = np.random.default_rng(1)
    found = []
    for _ in range(20):
        logits = 0.5 * random.normal(size=(50, 2))
        found.append(fit_temperature(logits, (logits + random.gumbel(size=logits.shape)).argmax(1)))
    assert np.abs(np.log(found)).max() < 0.8


def test_the_output_layer_carries_it():
    """All logits are those from before over one number, with a lower loss; few rows, and none, leave the model as it is."""
    model = build(RnnForSequenceClassification, dtype=torch.float32).eval()
    ids = torch.randint(1, 20, (200, 5))
    with torch.no_grad():
        before = model(ids).logits
        labels = (before / 4 + torch.distributions.Gumbel(0, 1).sample(before.shape)).argmax(1)
        rows = Dataset.from_dict({"input_ids": ids.tolist(), "labels": labels.tolist()})
        for too_few in (None, rows.select(range(49))):
            TemperatureFit(model).fit(rows, too_few)
            assert torch.equal(model(ids).logits, before)
        TemperatureFit(model).fit(rows, rows)
        TemperatureFit(model).refit(rows)
        after = model(ids).logits
    ratio = before.norm() / after.norm()
    assert ratio > 1.5 and torch.allclose(after * ratio, before, atol=1e-5)
    loss = torch.nn.functional.cross_entropy
    assert loss(after, labels) < loss(before, labels)


@pytest.mark.parametrize(("problem", "has_scores"), [(None, True), ("multi_label_classification", True), ("regression", False)])
def test_which_models_have_one(problem, has_scores):
    """Classifiers without a linear part; no regression."""
    model = build(RnnForSequenceClassification, problem_type=problem)
    assert isinstance(choose_linear_fit(model, None, 0, 0, knows_more=False), TemperatureFit) == has_scores
