"""The CRF equals a list of all paths: likelihood, partition function and Viterbi path, with and without constraints."""

import pytest
import torch
from oracle import all_paths

from hf_rnn.models.crf import LinearChainCRF
from hf_rnn.models.tags import first_violation, forbidden_moves

LABELS = ["O", "B-X", "I-X"]


def random_crf(num_tags: int, scheme: str | None = None, scale: float = 2.0) -> LinearChainCRF:
    """Return a CRF with random scores in fp64, constrained by the scheme of `LABELS` if there is one."""
    crf = LinearChainCRF(num_tags).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    if scheme:
        crf.forbid(*(torch.tensor(moves) for moves in forbidden_moves(LABELS, scheme)))
    return crf


def paths_of(crf: LinearChainCRF, emissions: torch.Tensor) -> dict:
    """Return every path's score, those that constraints allow only."""
    scores = all_paths(emissions, *crf._scores(emissions.dtype))
    return {path: score for path, score in scores.items() if score > crf.FORBIDDEN / 2}


@pytest.mark.parametrize("scheme", [None, "bio"])
def test_argmax_of_max_marginals_is_the_best_path(scheme):
    """For 1,000 random CRFs the arg max at each position is the path that enumeration finds best."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(500):
        crf = random_crf(3, scheme)
        lengths = torch.randint(0, 6, (2,), generator=generator)
        emissions = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64) * 2
        best = crf.max_marginals(emissions, lengths).argmax(-1)
        for row, length in enumerate(lengths.tolist()):
            if length:
                scores = paths_of(crf, emissions[row, :length])
                assert tuple(best[row, :length].tolist()) == max(scores, key=scores.get)


def test_max_marginals_are_shortfalls():
    """Each value is the best score through that tag less the best of all."""
    crf = random_crf(3)
    emissions = torch.randn(1, 4, 3, dtype=torch.float64)
    marginals = crf.max_marginals(emissions, torch.tensor([4]))
    scores = paths_of(crf, emissions[0])
    for position in range(4):
        for tag in range(3):
            through = max(score for path, score in scores.items() if path[position] == tag)
            assert marginals[0, position, tag] == pytest.approx((through - max(scores.values())).item(), abs=1e-9)


@pytest.mark.parametrize("scheme", [None, "bio"])
def test_log_likelihood_equals_enumeration(scheme):
    """Probability of a path, and its gradient, from all paths; the probabilities of all paths sum to one."""
    crf = random_crf(3, scheme)
    emissions = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    lengths, tags = torch.tensor([4, 2]), torch.tensor([[0, 1, 2, 0], [1, 2, 0, 0]])
    ours = crf.log_likelihood(emissions, tags, lengths)
    oracle = []
    for row, length in enumerate(lengths.tolist()):
        scores = paths_of(crf, emissions[row, :length])
        oracle.append(scores[tuple(tags[row, :length].tolist())] - torch.stack(list(scores.values())).logsumexp(0))
    leaves = [emissions, *crf.parameters()]
    assert torch.allclose(ours, torch.stack(oracle), atol=1e-10)
    for a, b in zip(torch.autograd.grad(ours.sum(), leaves), torch.autograd.grad(sum(oracle), leaves), strict=True):
        assert torch.allclose(a, b, atol=1e-10)


def test_ties_never_mix_two_paths():
    """With every path equal, the answer is still one path, and under constraints a legal one."""
    crf = LinearChainCRF(3)
    crf.forbid(*(torch.tensor(moves) for moves in forbidden_moves(LABELS, "bio")))
    marginals = crf.max_marginals(torch.zeros(1, 7, 3), torch.tensor([7]))
    assert (marginals == 0).sum() == 7
    assert first_violation([LABELS[tag] for tag in marginals.argmax(-1)[0]], "bio") is None


def test_of_paths_that_tie_one_is_chosen():
    """With whole numbers as scores, where many paths tie, the zeros of each row of a batch are one path, with the best score."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(100):
        crf = random_crf(3, "bio", scale=1.0)
        for parameter in crf.parameters():
            parameter.data.round_()
        lengths = torch.randint(0, 7, (3,), generator=generator)
        emissions = torch.randn(3, 6, 3, generator=generator, dtype=torch.float64).round()
        marginals = crf.max_marginals(emissions, lengths)
        for row, length in enumerate(lengths.tolist()):
            assert (marginals[row, :length] == 0).sum() == length
            scores = paths_of(crf, emissions[row, :length]) if length else {(): 0}
            assert scores[tuple(marginals[row, :length].argmax(-1).tolist())] == max(scores.values())


def test_rows_do_not_see_each_other():
    """A row alone, and beside longer ones with garbage behind its end, gives the same likelihood and marginals."""
    crf = random_crf(4)
    emissions, tags = torch.randn(3, 9, 4, dtype=torch.float64), torch.randint(0, 4, (3, 9))
    lengths = torch.tensor([9, 3, 0])
    emissions[1, 3:], emissions[2] = torch.nan, torch.nan
    together = crf.log_likelihood(emissions, tags, lengths)
    marginals = crf.max_marginals(emissions, lengths)
    for row, length in enumerate(lengths.tolist()):
        part = slice(row, row + 1)
        alone = crf.log_likelihood(emissions[part, :length], tags[part, :length], lengths[part])
        assert torch.allclose(alone, together[part], atol=1e-12)
        assert torch.equal(crf.max_marginals(emissions[part, :length], lengths[part])[0], marginals[row, :length])
    assert together[2] == 0


def test_half_precision_emissions_decode_like_fp32():
    """bf16 emissions keep one tag at zero and all others below, so the arg max is unique."""
    crf = random_crf(5).float()
    emissions = torch.randn(4, 8, 5)
    marginals = crf.max_marginals(emissions.bfloat16(), torch.full((4,), 8))
    expected = crf.max_marginals(emissions.bfloat16().float(), torch.full((4,), 8))
    assert marginals.dtype == torch.bfloat16 and ((marginals == 0).sum(-1) == 1).all()
    assert torch.equal(marginals.argmax(-1), expected.argmax(-1))


def test_constraints_survive_training():
    """A forbidden move has no gradient and is never decoded, whatever its score becomes."""
    crf = random_crf(3, "bio")
    with torch.no_grad():
        crf.transitions[0, 2] = 1e3
    best = crf.max_marginals(torch.randn(20, 6, 3, dtype=torch.float64), torch.full((20,), 6)).argmax(-1)
    assert all(first_violation([LABELS[tag] for tag in row], "bio") is None for row in best)
    crf.log_likelihood(torch.randn(1, 3, 3, dtype=torch.float64), torch.tensor([[1, 2, 0]]), torch.tensor([3])).sum().backward()
    assert crf.transitions.grad[0, 2] == 0


@pytest.mark.parametrize("spread", [1.0, 50.0])
def test_gradients_of_the_partition_are_marginals(spread):
    """They sum to one at every position of a row and to none behind it, also where scores lie far apart."""
    crf = random_crf(5, scale=spread)
    emissions = (spread * torch.randn(3, 7, 5, dtype=torch.float64)).requires_grad_()
    mask = torch.arange(7) < torch.tensor([7, 4, 0])[:, None]
    crf._log_partition(emissions, mask).sum().backward()
    assert torch.allclose(emissions.grad.sum(2), mask.double(), atol=1e-9)
    moves = crf.transitions.grad
    assert moves.isfinite().all()
    assert moves.sum().item() == pytest.approx(6 + 3)
    assert crf.start_transitions.grad.sum().item() == pytest.approx(2)
    assert crf.end_transitions.grad.sum().item() == pytest.approx(2)
