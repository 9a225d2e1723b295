"""Each row is judged by models of other folds alone, and the probabilities of tags are those of the paths."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch

from hf_rnn.linear import out_of_fold
from hf_rnn.linear.out_of_fold import tag_probabilities, text_probabilities
from hf_rnn.linear.tagger import MOVES, TaggedBatch, sum_weights
from hf_rnn.models.crf import LinearChainCRF

pytestmark = pytest.mark.lowest


def test_texts_are_judged_by_others(monkeypatch):
    """What fits a fold has none of its rows; classes that a fold lacks have nothing there."""
    asked = []

    def fit(texts, labels, others):
        asked.append((set(texts), set(others)))
        known = sorted(set(labels))
        return np.full((len(others), len(known)), 1 / len(known)), np.array(known)

    monkeypatch.setattr(out_of_fold, "fit_texts", fit)
    found = text_probabilities(["s", "t", "u", "v"], ["a", "b", "c", "a"], np.array([0, 0, 1, 1]))
    assert asked == [({"u", "v"}, {"s", "t"}), ({"s", "t"}, {"u", "v"})]
    assert found.tolist() == [[0.5, 0, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0], [0.5, 0.5, 0]]


@pytest.mark.parametrize("has_chain", [True, False])
def test_tags_follow_features(has_chain):
    """Tags that features tell are likely, in sentences of any length, the empty one among them; a row says nothing of itself."""
    sentences = [[[f"word={word}"] for word in text] for text in ["ab", "ba", "", "bab", "aab", "b", "abba"] * 6 + ["zz"]]
    tags = [[int(features == ["word=b"]) for features in words] for words in sentences]
    tags[-1] = [1, 1]
    found = tag_probabilities(sentences, tags, 2, np.arange(len(tags)) % 2, has_chain)
    assert [len(row) for row in found] == [len(row) for row in tags]
    for row, wanted in zip(found[:-1], tags[:-1], strict=True):
        assert row.sum(1) == pytest.approx(1, abs=1e-6)
        assert (row.argmax(1) == wanted).all()
    # "z" is in no other fold
    assert found[-1].max() < 0.9


def test_marginals_are_those_of_all_paths():
    """The share of the paths that have a tag at a word, by enumeration."""
    draw = torch.Generator().manual_seed(0)
    crf, weight = LinearChainCRF(3), torch.randn(5, 3, generator=draw)
    weight[0] = 0
    with torch.no_grad():
        for name in MOVES:
            getattr(crf, name).copy_(torch.randn(getattr(crf, name).shape, generator=draw))
    batch = TaggedBatch(
        torch.tensor([[[1, 2], [3, 0], [4, 1]], [[2, 4], [0, 0], [0, 0]]]), torch.zeros(2, 3, dtype=torch.long), torch.tensor([3, 1])
    )
    emissions = sum_weights(batch.values, weight)
    found = out_of_fold._marginals(batch, weight, crf)
    for row, length in enumerate(batch.lengths.tolist()):
        expected = torch.zeros(length, 3)
        for path in product(range(3), repeat=length):
            score = crf.start_transitions[path[0]] + crf.end_transitions[path[-1]]
            score = score + sum(emissions[row, place, tag] for place, tag in enumerate(path))
            score = score + sum(crf.transitions[a, b] for a, b in pairwise(path))
            for place, tag in enumerate(path):
                expected[place, tag] += score.exp().item()
        assert found[row] == pytest.approx((expected / expected.sum(1, keepdim=True)).numpy(), abs=1e-5)
