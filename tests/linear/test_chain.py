"""The explicit loss of tagged rows: autograd's in fp64, CRFsuite's at the end of a fit."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from scipy.sparse import csr_matrix

from hf_rnn.linear import tagger
from hf_rnn.linear.chain import LoneTags, TagChain
from hf_rnn.models.crf import LinearChainCRF
from hf_rnn.models.packing import Packing

LENGTHS, TAGS = torch.tensor([3, 1, 5, 4, 1, 2]), 4
# how much rows count
WEIGHTS = torch.tensor([1.0, 0.5, 2.0, 0.0, 3.0, 1.0], dtype=torch.float64)


def drawn_rows(generator):
    """Return emissions and tags of padded rows, with the packing of their words laid end to end, and where those are."""
    emissions = 3 * torch.randn(len(LENGTHS), 5, TAGS, generator=generator, dtype=torch.float64)
    tags = torch.randint(TAGS, (len(LENGTHS), 5), generator=generator)
    return emissions.requires_grad_(), tags, Packing.from_lengths(LENGTHS), torch.arange(5) < LENGTHS[:, None]


def drawn_chain(generator, is_constrained):
    """Return a chain, with moves forbidden that no row makes, or with none."""
    crf = LinearChainCRF(TAGS).double()
    for parameter in crf.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    if is_constrained:
        never = torch.zeros(TAGS, TAGS, dtype=torch.bool)
        never[0, 3] = never[2, 0] = True
        crf.forbid(torch.arange(TAGS) == 3, torch.arange(TAGS) == 0, never)
    return crf


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("is_constrained", [False, True])
def test_a_chain_is_that_of_autograd(is_constrained, weights):
    """Loss and both gradients, for rows of one to five words that count alike or not, in fp64 exactly and in fp32 nearly."""
    generator = torch.Generator().manual_seed(0)
    emissions, tags, packing, exists = drawn_rows(generator)
    crf = drawn_chain(generator, is_constrained)
    if is_constrained:
        # rows that keep to the rules
        tags = torch.ones_like(tags)
    likelihood = crf.log_likelihood(emissions, tags, LENGTHS)
    expected = -(likelihood if weights is None else likelihood * weights).sum()
    parameters = list(crf.parameters())
    wanted, *wanted_moves = torch.autograd.grad(expected, [emissions, *parameters])
    of_words = None if weights is None else weights[:, None].expand_as(exists)[exists][packing.source].numpy()
    chain = TagChain(tags[exists][packing.source].numpy(), packing.steps, crf, of_words)
    named = [getattr(crf, name).detach().flatten() for name in tagger.MOVES]
    order = [[id(parameter) for parameter in parameters].index(id(getattr(crf, name))) for name in tagger.MOVES]
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 1e-4)):
        packed = emissions.detach()[exists][packing.source].numpy().astype(dtype)
        loss = chain.loss(packed, torch.cat(named).numpy().astype(dtype))
        assert loss.value == pytest.approx(expected.item(), abs=tolerance)
        np.testing.assert_allclose(loss.emissions, wanted[exists][packing.source], atol=tolerance)
        np.testing.assert_allclose(loss.moves, torch.cat([wanted_moves[index].flatten() for index in order]), atol=tolerance)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [100.0, -2000.0])
def test_a_step_much_too_far_is_no_lower(size):
    """Moves whose exponentials leave the range of fp32 make a loss that no search takes for lower, and no noise."""
    emissions, tags, packing, exists = drawn_rows(torch.Generator().manual_seed(0))
    chain = TagChain(tags[exists][packing.source].numpy(), packing.steps, LinearChainCRF(TAGS))
    packed = emissions.detach()[exists][packing.source].numpy().astype(np.float32)
    moves = np.zeros(chain.moves, dtype=np.float32)
    first = chain.loss(packed, moves).value
    moves[::2] = size
    assert not chain.loss(packed, moves).value < first


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_lone_tags_are_those_of_autograd(weights):
    """Loss and gradient without a chain."""
    emissions, tags, _, exists = drawn_rows(torch.Generator().manual_seed(0))
    losses = torch.nn.functional.cross_entropy(emissions[exists], tags[exists], reduction="none")
    of_words = None if weights is None else weights[:, None].expand_as(exists)[exists]
    expected = (losses if of_words is None else losses * of_words).sum()
    wanted = torch.autograd.grad(expected, emissions)[0]
    loss = LoneTags(tags[exists].numpy(), None if of_words is None else of_words.numpy()).loss(
        emissions.detach()[exists].numpy(), np.zeros(0)
    )
    assert loss.value == pytest.approx(expected.item(), abs=1e-10)
    np.testing.assert_allclose(loss.emissions, wanted[exists], atol=1e-10)


@pytest.mark.parametrize("has_chain", [False, True])
def test_a_row_of_weight_two_is_two_rows(has_chain):
    """In the weights and the moves that a linear tagger is fitted to; a row of weight 0 is none."""
    values, tags, lengths = torch.randint(6, (3, 4, 2)), torch.randint(3, (3, 4)), torch.tensor([4, 2, 3])
    twice = torch.tensor([0, 1, 1])
    fits = []
    for batch in (
        tagger.TaggedBatch(values, tags, lengths, torch.tensor([1.0, 2.0, 0.0])),
        tagger.TaggedBatch(values[twice], tags[twice], lengths[twice]),
    ):
        crf = LinearChainCRF(3) if has_chain else None
        weight = tagger.fit_field([batch], 5, crf, 3, 0.3)
        fits.append(torch.cat([weight.flatten(), *(getattr(crf, name).detach().flatten() for name in tagger.MOVES if crf is not None)]))
    np.testing.assert_allclose(*fits, atol=1e-3)


def test_rows_have_their_weights():
    """Those of the rows, in the order of batches; a held-out row among them counts once."""
    rows = Dataset.from_dict({"sample_weights": [2.0, None, 0.5]})
    assert tagger.weights_of_rows(rows).tolist() == [2.0, 1.0, 0.5]
    assert tagger.weights_of_rows(rows.remove_columns("sample_weights")) is None


def test_equal_columns_are_one():
    """Products of weights with a design, and squares of weights, are those of the merged design."""
    design = csr_matrix(np.array([[1, 0, 1, 0, 1, 0], [0, 1, 0, 0, 0, 1], [1, 1, 1, 0, 1, 0]], dtype=np.float32))
    merged, group, share = tagger.merge_columns(design)
    assert merged.shape == (3, 4)
    weight = np.random.default_rng(0).normal(size=4)
    spread = weight[group] * share.numpy()
    np.testing.assert_allclose(design @ spread, merged @ weight, rtol=1e-6)
    assert np.square(spread).sum() == pytest.approx(np.square(weight).sum(), rel=1e-6)


def test_the_end_is_that_of_crfsuite(tmp_path):
    """Loss and squares at the end of a fit, beside CRFsuite's with the same features, ends of rows among them."""
    pycrfsuite = pytest.importorskip("pycrfsuite")
    generator = np.random.default_rng(0)
    rows = [generator.integers(1, 12, size=(int(size), 3)) for size in generator.integers(1, 9, 40)]
    tags = [(row[:, 0] + row[:, 1] + np.arange(len(row))) % 3 for row in rows]
    penalty, crf = 0.3, LinearChainCRF(3)
    trainer = pycrfsuite.Trainer(verbose=False)
    trainer.set_params({"c1": 0, "c2": penalty, "epsilon": 1e-9, "delta": 1e-9, "max_iterations": 500})
    trainer.set_params({"feature.possible_states": True, "feature.possible_transitions": True})
    for row, known in zip(rows, tags, strict=True):
        words = [[f"{key}" for key in dict.fromkeys(word.tolist())] for word in row]
        words[0].append("start")
        words[-1].append("end")
        trainer.append(words, [str(tag) for tag in known])
    trainer.train(str(tmp_path / "field"))
    # a feature counts once a word
    features = [np.array([[*dict.fromkeys(word.tolist()), 0, 0][:3] for word in row]) for row in rows]
    batches = [
        tagger.TaggedBatch(torch.from_numpy(row)[None], torch.from_numpy(known)[None], torch.tensor([len(row)]))
        for row, known in zip(features, tags, strict=True)
    ]
    weight = tagger.fit_field(batches, 11, crf, 3, penalty)
    with torch.no_grad():
        total = sum(float(batch.loss(tagger.sum_weights(batch.values, weight), crf)) for batch in batches)
        total += penalty * sum(float(part.square().sum()) for part in (weight, *crf.parameters()))
    assert total == pytest.approx(trainer.logparser.last_iteration["loss"], rel=1e-4)
