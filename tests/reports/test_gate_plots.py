"""Pictures of gates: the units that vary most, words on one axis, and titles in two languages."""

import numpy as np
import pytest
import torch

from hf_rnn.reports.gate_plots import WORDS, most_varied, plot_gates

STEPS = torch.linspace(0, 1, 3)[:, None]
# unit 2 varies most, then 0; 1 never does
HIDDEN = STEPS * torch.tensor([0.5, 0.0, 0.9, 0.1])
TRACE = {
    "text": "정말 재미있는 영화",
    "units": [(0, 2), (3, 7), (8, 10)],
    "directions": [
        {"forget gate": HIDDEN.abs(), "mine": HIDDEN, "hidden": HIDDEN},
        {"forget gate": HIDDEN, "mine": HIDDEN, "hidden": -HIDDEN},
    ],
}


def test_units_that_vary_most():
    """By the standard deviation of their states; in order where they are alike, and of a text without steps."""
    assert most_varied(HIDDEN.numpy(), 3) == [2, 0, 3]
    assert most_varied(np.ones((4, 3)), 2) == most_varied(np.ones((0, 3)), 2) == [0, 1]


@pytest.mark.parametrize("language", sorted(WORDS))
def test_few_units(language, tmp_path):
    """A column for each direction, a map for each gate with the same units, the words below the last one."""
    figure = plot_gates(TRACE, tmp_path / "g.png", 2, language)
    axes = [axis for axis in figure.axes if axis.get_label() != "<colorbar>"]
    assert len(axes) == 6
    for axis in axes:
        assert [label.get_text() for label in axis.get_yticklabels()] == ["2", "0"]
        assert axis.images[0].get_array().shape == (2, 3)
    assert [label.get_text() for label in axes[-1].get_xticklabels()] == ["정말", "재미있는", "영화"]
    assert not [label.get_text() for label in axes[0].get_xticklabels()]
    shown = axes[0].get_title().splitlines()[1]
    assert shown == {"en": "forget gate", "ko": "망각 게이트"}[language]
    assert axes[2].get_title() == "mine"


def test_all_units(tmp_path):
    """A row for each direction, with every unit in order."""
    figure = plot_gates(TRACE, tmp_path / "g.png", language="ko")
    maps = [axis for axis in figure.axes if axis.images and axis.get_label() != "<colorbar>"]
    assert [axis.get_title() for axis in maps[:2]] == ["망각 게이트, 앞에서 뒤로", "mine, 앞에서 뒤로"]
    assert all(axis.images[0].get_array().shape == (4, 3) for axis in maps)
