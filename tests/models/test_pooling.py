"""Pooling sees the positions of its mask and nothing else."""

import pytest
import torch

from hf_rnn.models.pooling import Pooling

NAMES = ("last", "mean", "max", "attention")


def make(name: str, directions: int = 2) -> Pooling:
    """Return a pooling of four features in fp64 with weights of size one."""
    pooling = Pooling(name, 4, directions).double()
    for parameter in pooling.parameters():
        torch.nn.init.normal_(parameter)
    return pooling


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_masked_positions_are_absent(name, directions):
    """A row with holes equals the row without them, in values and gradients, whatever stands in the holes."""
    pooling = make(name, directions)
    mask = torch.tensor([[0, 1, 0, 1, 1, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]], dtype=torch.bool)
    hidden = torch.randn(3, 6, 4, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        hidden[~mask] = 1e6
    pooled = pooling(hidden, mask)
    grad = torch.autograd.grad(pooled.square().sum(), hidden)[0]
    assert (grad[~mask] == 0).all()
    for row in range(3):
        dense = hidden[row][mask[row]].detach()[None].requires_grad_()
        alone = pooling(dense, torch.ones(dense.shape[:2], dtype=torch.bool))
        assert torch.allclose(alone[0], pooled[row], rtol=1e-12)
        assert torch.allclose(torch.autograd.grad(alone.square().sum(), dense)[0][0], grad[row][mask[row]], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_empty_rows_are_zero(name):
    """A row without positions, and a batch without width, pool to zero with finite gradients."""
    pooling = make(name)
    hidden = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[False] * 3, [True] * 3])
    pooled = pooling(hidden, mask)
    assert (pooled[0] == 0).all() and (pooled[1] != 0).all()
    assert torch.autograd.grad(pooled.sum(), hidden)[0].isfinite().all()
    assert torch.equal(pooling(hidden[:, :0], mask[:, :0]), torch.zeros(2, 4, dtype=torch.float64))


def test_last_takes_the_end_of_each_direction():
    """The first half comes from the last position, the second from the first."""
    hidden = torch.arange(12.0).view(1, 3, 4)
    mask = torch.tensor([[True, True, False]])
    assert make("last", 1).float()(hidden, mask).tolist() == [[4, 5, 6, 7]]
    assert make("last", 2).float()(hidden, mask).tolist() == [[4, 5, 2, 3]]


def test_mean_and_max_by_hand():
    """Values of a small row."""
    hidden = torch.tensor([[[1.0, -5, 0, 2], [3, -7, 0, 2], [9, 9, 9, 9]]])
    mask = torch.tensor([[True, True, False]])
    assert make("mean").float()(hidden, mask).tolist() == [[2, -6, 0, 2]]
    assert make("max").float()(hidden, mask).tolist() == [[3, -5, 0, 2]]


def test_attention_equals_its_equations():
    """U = tanh(W h + b), a = softmax(u . v), s = sum a h."""
    pooling = make("attention")
    hidden = torch.randn(1, 5, 4, dtype=torch.float64)
    attention = pooling.attention
    scores = torch.stack(
        [attention.context.weight[0] @ torch.tanh(attention.projection.weight @ h + attention.projection.bias) for h in hidden[0]]
    )
    expected = (scores.exp() / scores.exp().sum()) @ hidden[0]
    assert torch.allclose(pooling(hidden, torch.ones(1, 5, dtype=torch.bool))[0], expected, rtol=1e-12)
