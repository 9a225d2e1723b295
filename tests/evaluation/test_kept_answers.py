"""Answers of models of other folds and linear ones meet in their geometric mean."""

import numpy as np
import pytest

from hf_rnn.evaluation.checked_rows import Row
from hf_rnn.evaluation.kept_answers import LEAST, KeptAnswers

pytestmark = pytest.mark.lowest


def mean(first, second):
    """Return the geometric mean of probabilities, by hand."""
    product = np.sqrt(np.array(first) * np.array(second))
    return product / product.sum()


def test_labels(caplog):
    """A label that the model does not know has next to nothing; a text that it was not asked stays as it is, which is said."""
    kept = KeptAnswers({"a": {"scores": {"x": 0.9, "y": 0.1}}})
    found = kept.mix_labels(np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]), ["a", "b"], ["x", "y", "z"])
    assert found[0] == pytest.approx(mean([0.2, 0.3, 0.5], [0.9, 0.1, LEAST]))
    assert found[1].tolist() == [0.1, 0.1, 0.8]
    assert "1 of 2 rows are not among those" in caplog.text


def test_tags():
    """Of a token the probabilities of what was answered and of what was given are known, the others share the rest."""
    kept = KeptAnswers({"a b": {"tags": ["X", "O"], "scores": [0.7, 0.6], "given": ["O", "O"], "given_scores": [0.2, 0.6]}})
    row = Row("train", "line 1", "a b", "O O", ((0, 1), (2, 3)), ("O", "O"))
    own = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]])
    (found,) = kept.mix_tags([own], [row], ["O", "X", "Y"])
    assert found[0] == pytest.approx(mean(own[0], [0.2, 0.7, 0.1]))
    assert found[1] == pytest.approx(mean(own[1], [0.6, 0.2, 0.2]))


def test_answers_of_another_kind():
    """Tags need those of tokens."""
    with pytest.raises(ValueError, match="`out_of_fold` has no answers to such rows"):
        KeptAnswers({"a": {"scores": {"x": 1.0}}}).mix_tags([np.ones((1, 1))], [Row("train", "", "a", "O", ((0, 1),), ("O",))], ["O"])
