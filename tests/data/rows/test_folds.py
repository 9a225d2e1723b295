"""Folds have equal shares of labels, and no text is in two of them."""

from collections import Counter

import numpy as np
import pytest

from hf_rnn.data.rows.folds import draw_folds, essence

pytestmark = pytest.mark.lowest


def test_shares_and_sizes():
    """Each label, and all rows, are shared out evenly; another seed is another draw, the same seed the same."""
    labels = ["a"] * 50 + ["b"] * 13 + ["c"] * 5
    texts = [f"text {number}" for number in range(len(labels))]
    folds = draw_folds(texts, labels, 5, 1)
    for label in "abc":
        counts = Counter(folds[np.array(labels) == label].tolist())
        assert len(counts) == 5 and max(counts.values()) - min(counts.values()) <= 1
    assert np.ptp(np.bincount(folds)) <= 1
    assert (folds == draw_folds(texts, labels, 5, 1)).all() and (folds != draw_folds(texts, labels, 5, 2)).any()


def test_the_same_text_is_in_one_fold():
    """Case and punctuation do not part texts; labels are those of the first of them."""
    texts = [text for number in range(30) for text in (f"Text {number}!", f"text {number}", f"TEXT, {number}?")]
    folds = draw_folds(texts, ["a", "b", "a"] * 30, 3, 0).reshape(30, 3)
    assert (folds == folds[:, :1]).all()
    assert np.bincount(folds[:, 0]).tolist() == [10, 10, 10]
    assert essence("?!") == "?!" and essence("Ｔｅｘｔ!") == "text"
    assert set(draw_folds(["a", "b", "c", "d"], None, 2, 0).tolist()) == {0, 1}
