"""The recurrence equals a loop over cells: outputs, states and every gradient, for rows of any length."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import run_cells
from torch import nn

from hf_rnn.models.packing import Packing
from hf_rnn.models.recurrence import new_recurrence

CELLS = ("lstm", "gru", "rnn")


def compare(
    cell: str, bidirectional: bool, backend: str, lengths: list[int], inputs: int, hidden: int, dtype=torch.float64, autocast=False
):
    """Return the largest relative differences of values and of gradients between the layer and the loop."""
    layer = new_recurrence(cell, inputs, hidden, bidirectional=bidirectional).to(dtype)
    layer.backend = backend
    directions, rows = (2 if bidirectional else 1), len(lengths)
    x = torch.randn(sum(lengths), inputs, dtype=dtype, requires_grad=True)
    state = tuple(torch.randn(directions, rows, hidden, dtype=dtype, requires_grad=True) for _ in layer.cell.states)
    packing = Packing.from_lengths(torch.tensor(lengths))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        packed, final = layer(x[packing.source], packing, state)
    packed, final = packed.to(dtype), tuple(part.to(dtype) for part in final)
    ours = [torch.empty_like(packed).index_copy(0, packing.source, packed), *final]
    outputs, finals = [], []
    for row, part in enumerate(x.split(lengths)):
        out, last = run_cells(layer, part, tuple(value[:, row] for value in state))
        outputs.append(out)
        finals.append(last)
    oracle = [torch.cat(outputs), *(torch.stack(parts, 1) for parts in zip(*finals, strict=True))]
    weights = [torch.randn_like(value) for value in oracle]
    leaves = [x, *state, *layer.parameters()]
    gradients = [
        torch.autograd.grad(sum((value * weight).sum() for value, weight in zip(values, weights, strict=True)), leaves, allow_unused=True)
        for values in (ours, oracle)
    ]
    gradients = [[torch.zeros_like(leaf) if g is None else g for g, leaf in zip(gs, leaves, strict=True)] for gs in gradients]
    return relative(ours, oracle), relative(*gradients)


def relative(ours, oracle):
    """Return the largest difference, relative to the largest entry of each tensor but at least 1."""
    return max(((a - b).abs().max() / b.abs().max().clamp(min=1)).item() if a.numel() else 0.0 for a, b in zip(ours, oracle, strict=True))


@pytest.mark.parametrize("backend", ["packed", "dense", "stock", "loop"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("lengths", [[3, 0, 7, 1, 7, 4], [5, 5, 5], [1], [0, 0], [0, 2], [64, 1, 1]])
def test_equals_loop_over_cells(cell, bidirectional, backend, lengths):
    """In fp64 outputs, final states and gradients agree to 1e-10."""
    values, gradients = compare(cell, bidirectional, backend, lengths, 5, 4)
    assert values < 1e-10 and gradients < 1e-10


@pytest.mark.thorough
@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(CELLS),
    st.booleans(),
    st.lists(st.integers(0, 12), min_size=1, max_size=9),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_equals_loop_on_random_shapes(cell, bidirectional, lengths, inputs, hidden):
    """The same in fp64 and fp32 for shapes drawn at random."""
    assert max(compare(cell, bidirectional, "packed", lengths, inputs, hidden)) < 1e-10
    assert max(compare(cell, bidirectional, "packed", lengths, inputs, hidden, torch.float32)) < 1e-5


@pytest.mark.parametrize(("backend", "lengths"), [("packed", [9, 3, 12, 0, 5]), ("stock", [9, 3, 12, 0, 5]), ("stock", [7, 7])])
@pytest.mark.parametrize("cell", CELLS)
def test_autocast_bf16_stays_near(cell, backend, lengths):
    """Under CPU autocast the result stays within 2e-2, whatever runs in bf16."""
    assert max(compare(cell, True, backend, lengths, 16, 16, torch.float32, autocast=True)) < 2e-2


def test_autocast_runs_our_kernel_in_bf16():
    """Outputs are bf16 under autocast; weights and their gradients stay fp32."""
    layer = new_recurrence("lstm", 4, 4)
    layer.backend = "packed"
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = layer(torch.randn(5, 4), Packing.from_lengths(torch.tensor([2, 3])))
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert layer.weight_hh_l0.grad.dtype == torch.float32


@pytest.mark.parametrize("cell", CELLS)
def test_gradcheck(cell):
    """Analytic gradients pass torch's own check against finite differences."""
    layer = new_recurrence(cell, 3, 2, bidirectional=True).double()
    layer.backend = "packed"
    packing = Packing.from_lengths(torch.tensor([2, 0, 3]))
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x, packing)[0], (x, *layer.parameters()))


def test_second_backward_after_retain():
    """A graph kept by retain_graph gives the same gradients again: backward spoils nothing it saved."""
    layer = new_recurrence("lstm", 3, 2)
    layer.backend = "packed"
    x = torch.randn(5, 3, requires_grad=True)
    out, _ = layer(x, Packing.from_lengths(torch.tensor([2, 3])))
    first = torch.autograd.grad(out.sum(), [x, *layer.parameters()], retain_graph=True)
    second = torch.autograd.grad(out.sum(), [x, *layer.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_batches_add_up(cell):
    """Three backward passes leave three times the gradient of one in every parameter: none shares memory with another."""
    layer = new_recurrence(cell, 3, 2, bidirectional=True)
    layer.backend = "packed"
    x, packing = torch.randn(5, 3), Packing.from_lengths(torch.tensor([2, 3]))
    once = torch.autograd.grad(layer(x, packing)[0].square().sum(), list(layer.parameters()))
    for _ in range(3):
        layer(x, packing)[0].square().sum().backward()
    assert all(torch.allclose(parameter.grad, 3 * grad) for parameter, grad in zip(layer.parameters(), once, strict=True))
    assert len({parameter.grad.data_ptr() for parameter in layer.parameters()}) == 8


@pytest.mark.parametrize("cell", CELLS)
def test_frozen_weights_cost_nothing_and_get_nothing(cell):
    """What needs no gradient gets none, and the rest gets the same."""
    layer = new_recurrence(cell, 3, 2, bidirectional=True)
    layer.backend = "packed"
    x, packing = torch.randn(5, 3, requires_grad=True), Packing.from_lengths(torch.tensor([2, 3]))
    names = dict(layer.named_parameters())
    whole = torch.autograd.grad(layer(x, packing)[0].square().sum(), [x, *names.values()])
    whole = dict(zip(["x", *names], whole, strict=True))
    for frozen in (["weight_ih_l0", "bias_hh_l0_reverse"], [name for name in names if "weight_hh" in name], list(names)):
        for name, parameter in names.items():
            parameter.requires_grad_(name not in frozen)
            parameter.grad = None
        x.grad = None
        layer(x, packing)[0].square().sum().backward()
        assert torch.allclose(x.grad, whole["x"])
        for name, parameter in names.items():
            assert parameter.grad is None if name in frozen else torch.allclose(parameter.grad, whole[name])


def test_packing_agrees_with_torch():
    """The layout is that of `pack_padded_sequence`, and `reverse` mirrors each row."""
    rows = [torch.arange(10, 10 + n) for n in (3, 5, 1, 5)]
    packing = Packing.from_lengths(torch.tensor([3, 5, 1, 5]))
    packed = nn.utils.rnn.pack_sequence(rows, enforce_sorted=False)
    flat = torch.cat(rows)
    assert torch.equal(flat[packing.source], packed.data) and torch.equal(packing.batch_sizes, packed.batch_sizes)
    assert torch.equal(packing.order, packed.sorted_indices)
    mirrored = nn.utils.rnn.pack_sequence([row.flip(0) for row in rows], enforce_sorted=False)
    assert torch.equal(packed.data[packing.reverse], mirrored.data)


def test_unknown_backend_is_refused():
    """The error names the value and the choice."""
    layer = new_recurrence("lstm", 3, 2)
    layer.backend = "cudnn9"
    with pytest.raises(ValueError, match=r"must be one of .* got 'cudnn9'"):
        layer(torch.randn(2, 3), Packing.from_lengths(torch.tensor([2])))


def test_weight_dropout_changes_training_only_and_keeps_keys():
    """DropConnect acts on recurrent weights while training, with plain parameter names and gradients to them."""
    layer = new_recurrence("lstm", 3, 8)
    packing, x = Packing.from_lengths(torch.tensor([4])), torch.randn(4, 3)
    plain = layer(x, packing)[0]
    assert not torch.equal(layer(x, packing, None, 0.5)[0], plain)
    layer.eval()
    assert torch.equal(layer(x, packing, None, 0.5)[0], plain)
    assert list(layer.state_dict()) == list(nn.LSTM(3, 8).state_dict())
    layer.train()
    layer(x, packing, None, 0.5)[0].sum().backward()
    assert layer.weight_hh_l0.grad.abs().sum() > 0
