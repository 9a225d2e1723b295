"""The mask-only form gives what the packed form gives, and graphs of it run on batches of any size."""

import itertools

import pytest
import torch
from tiny import MASK, SETTINGS, make
from torch.export import Dim

from hf_rnn.models.masked import Compaction


def tensors(output) -> list[torch.Tensor]:
    """Return what a model gives out."""
    return [value for value in output.to_tuple() if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize(("kind", "settings"), SETTINGS)
def test_equals_the_packed_form(kind, settings, cell):
    """Outputs, states and gradients agree to 1e-10 for padding on the left, on the right, in the middle and everywhere."""
    model = make(kind, cell, settings)
    ids = torch.randint(1, 7, MASK.shape)
    results = []
    for backend in ("auto", "masked"):
        model.recurrence_backend = backend
        outputs = tensors(model(ids, MASK))
        total = sum((index + 1) * value.sin().sum() for index, value in enumerate(outputs))
        leaves = [parameter for parameter in model.parameters() if parameter.requires_grad]
        grads = torch.autograd.grad(total, leaves, allow_unused=True)
        results.append((outputs, [torch.zeros_like(leaf) if grad is None else grad for grad, leaf in zip(grads, leaves, strict=True)]))
    for ours, masked in zip(*results, strict=True):
        for a, b in zip(ours, masked, strict=True):
            assert torch.allclose(a, b, atol=1e-10, rtol=0)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(("kind", "settings"), SETTINGS)
def test_exports_with_free_batch_and_time(kind, settings, cell):
    """One exported program serves batches of another size and length."""
    model = make(kind, cell, settings, torch.float32)
    shape = {0: Dim("batch", min=1, max=4096), 1: Dim("time", min=1, max=4096)}
    shapes = {"input_ids": shape, "attention_mask": shape}
    program = torch.export.export(model, (), {"input_ids": torch.randint(1, 7, MASK.shape), "attention_mask": MASK}, dynamic_shapes=shapes)
    for rows, length in itertools.product((1, 3), (1, 2, 11)):
        ids, mask = torch.randint(1, 7, (rows, length)), torch.randint(0, 2, (rows, length))
        for ours, exported in zip(tensors(model(ids, mask)), tensors(program.module()(input_ids=ids, attention_mask=mask)), strict=True):
            assert torch.allclose(ours, exported, atol=1e-6)


@pytest.mark.parametrize(("kind", "settings"), [SETTINGS[0], SETTINGS[6], SETTINGS[10], SETTINGS[11]])
def test_compiles_to_one_graph_and_trains(kind, settings):
    """`torch.compile(fullgraph=True)` gives the same outputs and gradients, and is not compiled again for other sizes."""
    model = make(kind, "lstm", settings, torch.float32)
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for rows, length in ((5, 7), (3, 11), (2, 4)):
        ids, mask = torch.randint(1, 7, (rows, length)), torch.randint(0, 2, (rows, length))
        with torch.compiler.set_stance("default" if rows == 5 else "fail_on_recompile"):
            traced = compiled(ids, mask)
        eager = model(ids, mask)
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(tensors(eager), tensors(traced), strict=True))
        grads = [torch.autograd.grad(output[0].square().sum(), list(model.parameters()), allow_unused=True) for output in (eager, traced)]
        assert all(a is None or torch.allclose(a, b, atol=1e-5) for a, b in zip(*grads, strict=True))


def test_compaction_moves_existing_positions_to_the_left():
    """`order` and `rank` are inverse where positions exist."""
    compaction = Compaction.from_mask(MASK.bool())
    assert compaction.lengths.tolist() == [7, 3, 3, 4, 0]
    assert compaction.order[2, :3].tolist() == [4, 5, 6] and compaction.rank[2, 4:].tolist() == [0, 1, 2]
    assert (compaction.take(MASK).bool() & compaction.exists).equal(compaction.exists)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_state_goes_on_in_a_graph(cell, dtype):
    """A compiled unidirectional model hands its state on like an eager one, in the dtype that the graph was told."""
    # a process counts how often it compiles a function
    torch.compiler.reset()
    model = make("encoder", cell, {"bidirectional": False}, dtype).requires_grad_(False)
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    ids, mask = torch.randint(1, 7, (3, 6)), torch.tensor([[1] * 6, [1, 1, 0, 1, 0, 0], [0] * 6])
    first = compiled(ids[:, :2], mask[:, :2])
    second = compiled(ids[:, 2:], mask[:, 2:], state=first.state)
    assert torch.allclose(second.state.float(), model(ids, mask).state.float(), atol=1e-6 if dtype == torch.float32 else 2e-2)
    # the state of a row without tokens is kept, and one without positions is legal
    assert torch.equal(compiled(ids[:, :0], mask[:, :0], state=second.state).state, second.state)


@pytest.mark.parametrize("length", [0, 2])
def test_nothing_but_padding_trains(length):
    """A batch without a token gives gradients of zero in the mask-only form too."""
    model = make("encoder", "gru", {"bidirectional": False})
    model.recurrence_backend = "masked"
    mask = torch.zeros(3, length, dtype=torch.long)
    output = model(torch.zeros_like(mask), mask)
    (output.last_hidden_state.sum() + output.state.sum()).backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())
