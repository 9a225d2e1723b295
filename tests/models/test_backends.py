"""The choice of how to run, weights prepared once, and memory that comes back."""

import gc
import os
from dataclasses import replace

import pytest
import torch
from tiny import build
from torch import nn

from hf_rnn import RnnModel
from hf_rnn.models.backends import choose
from hf_rnn.models.cells import CELLS, LSTM
from hf_rnn.models.onednn import is_available, lay_out, onednn_lstm
from hf_rnn.models.packing import Packing
from hf_rnn.models.prepared import _forms, prepared
from hf_rnn.models.recurrence import new_recurrence
from hf_rnn.models.workspace import Workspace

EQUAL, LONG, MIXED = [9] * 40, [40, 40, 31, 31], [9, 3, 7, 1, 5]


@pytest.mark.parametrize(
    ("cell", "lengths", "dtype", "train", "expected"),
    [
        ("lstm", EQUAL, torch.float32, True, "packed"),
        ("lstm", EQUAL, torch.float32, False, "dense"),
        ("lstm", EQUAL, torch.float64, False, "packed"),
        ("gru", EQUAL, torch.float32, False, "packed"),
        ("lstm", LONG, torch.float32, False, "dense"),
        ("lstm", MIXED, torch.float32, False, "stock"),
        ("lstm", MIXED * 3, torch.float32, False, "packed"),
        ("lstm", MIXED, torch.float32, True, "packed"),
        ("lstm", [7], torch.float32, True, "stock"),
        ("lstm", [2], torch.float32, False, "dense"),
        ("gru", [7], torch.float32, False, "stock"),
        ("rnn", EQUAL, torch.float32, True, "stock"),
        ("rnn", MIXED, torch.float32, False, "stock"),
    ],
)
def test_choice_on_a_cpu(cell, lengths, dtype, train, expected):
    """By mode, shape, dtype and whether gradients are wanted."""
    layer = new_recurrence(cell, 3, 2).to(dtype)
    packing = Packing.from_lengths(torch.tensor(lengths))
    with torch.set_grad_enabled(train):
        assert choose(torch.zeros(sum(lengths), 3, dtype=dtype), packing, layer.weights(), layer.cell, "auto") == expected


def test_environment_replaces_auto(monkeypatch):
    """The variable decides where the model does not; a wrong value is named with the variable."""
    layer, packing, x = new_recurrence("gru", 3, 2), Packing.from_lengths(torch.tensor(MIXED)), torch.zeros(sum(MIXED), 3)
    monkeypatch.setenv("HF_RNN_BACKEND", "stock")
    assert choose(x, packing, layer.weights(), layer.cell, "auto") == "stock"
    assert choose(x, packing, layer.weights(), layer.cell, "packed") == "packed"
    monkeypatch.setenv("HF_RNN_BACKEND", "fast")
    with pytest.raises(ValueError, match="`HF_RNN_BACKEND` must be one of .* got 'fast'"):
        choose(x, packing, layer.weights(), layer.cell, "auto")


def test_environment_reaches_the_mask_only_form(monkeypatch):
    """A whole program can be run in the form that graphs record."""
    model = build(RnnModel)
    called = []
    first = model.layers[0].recurrence
    monkeypatch.setattr(first, "forward_masked", lambda *arguments: called.append(1) or type(first).forward_masked(first, *arguments))
    monkeypatch.setenv("HF_RNN_BACKEND", "masked")
    model(torch.ones(1, 3, dtype=torch.long))
    assert called


def test_our_kernel_needs_a_cpu():
    """Asked for elsewhere, it says where the model is and what to do."""
    packing = Packing.from_lengths(torch.tensor(MIXED))
    with pytest.raises(ValueError, match="'packed' runs on a CPU, and the model is on meta. Use 'auto', or move the model"):
        choose(torch.zeros(sum(MIXED), 3, device="meta"), packing, new_recurrence("lstm", 3, 2).weights(), LSTM, "packed")


@pytest.mark.parametrize("lengths", [[5], [4, 4, 4], [7, 7, 2], [6, 0, 3]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prepared_onednn_equals_torch(dtype, lengths, monkeypatch):
    """The dense way gives the same with and without oneDNN's prepared weights."""
    if not is_available(dtype):
        pytest.skip(f"this build or processor runs no LSTM in {dtype} by oneDNN")
    layer, packing = new_recurrence("lstm", 5, 4, bidirectional=True).to(dtype), Packing.from_lengths(torch.tensor(lengths))
    layer.backend = "dense"
    x = torch.randn(sum(lengths), 5, dtype=dtype)
    with torch.no_grad():
        ours = layer(x, packing)
        monkeypatch.setitem(CELLS, "lstm", replace(LSTM, inference=None))
        theirs = layer(x, packing)
    assert torch.allclose(ours[0], theirs[0], atol=1e-6 if dtype == torch.float32 else 1e-2)
    assert all(torch.allclose(a, b, atol=1e-6 if dtype == torch.float32 else 1e-2) for a, b in zip(ours[1], theirs[1], strict=True))


@pytest.mark.parametrize(("kind", "backend"), [("lstm", "dense"), ("lstm", "packed"), ("gru", "packed")])
def test_changed_weights_are_prepared_again(kind, backend):
    """Steps of an optimiser, loaded weights and changes through `.data` all show in the next call."""
    layer, packing, x = (
        new_recurrence(kind, 5, 4, bidirectional=True),
        Packing.from_lengths(torch.tensor(MIXED)),
        torch.randn(sum(MIXED), 5),
    )
    layer.backend = backend

    def check():
        with torch.no_grad():
            out = layer(x, packing)[0]
            layer.backend = "stock"
            expected = layer(x, packing)[0]
            layer.backend = backend
        assert torch.allclose(out, expected, atol=1e-6)

    check()
    layer(x, packing)[0].sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.5).step()
    check()
    layer.load_state_dict(new_recurrence(kind, 5, 4, bidirectional=True).state_dict())
    check()
    layer.weight_hh_l0_reverse.data.mul_(3)
    check()
    layer.bias_ih_l0.data = torch.ones(len(layer.bias_ih_l0))
    check()


def test_forms_are_made_once():
    """The cache holds several forms of a weight, also of one that was made in inference mode and keeps no version."""
    with torch.inference_mode():
        weights = [nn.Parameter(torch.ones(3)), torch.ones(3)]
    for weight in (nn.Parameter(torch.ones(3)), *weights):
        made = []
        for form in ("a", "b", "a"):
            prepared([weight], form, lambda form=form, made=made: made.append(form) or form)
        assert made == ["a", "b"]


@pytest.mark.parametrize("change", [float("nan"), -0.0, 1e-40])
def test_every_value_counts(change):
    """One value in ten thousand that changes behind PyTorch's back is seen, once; NaN is equal to itself."""
    weights, made = [torch.zeros(10_000), torch.zeros(3)], []
    for index in (None, 7, 9_999):
        if index is not None:
            weights[0].numpy()[index] = change
        for _ in range(2):
            prepared(weights, "a", lambda: made.append(1))
    assert len(made) == 3
    # another place with the same values: forms may share memory with the weights
    weights[1].data = weights[1].clone()
    prepared(weights, "a", lambda: made.append(1))
    assert len(made) == 4


@pytest.mark.parametrize(("kind", "backend"), [("lstm", "dense"), ("lstm", "packed"), ("gru", "packed")])
def test_prepared_weights_die_with_their_layer(kind, backend):
    """A layer that is gone leaves nothing in the cache."""
    gc.collect()
    before = len(_forms)
    layer = new_recurrence(kind, 5, 4, bidirectional=True)
    layer.backend = backend
    with torch.no_grad():
        layer(torch.randn(sum(MIXED), 5), Packing.from_lengths(torch.tensor(MIXED)))
    assert len(_forms) > before
    del layer
    gc.collect()
    assert len(_forms) == before


def test_onednn_goes_on_from_a_state():
    """Two calls that hand the state on equal one."""
    if not is_available(torch.float32):
        pytest.skip("this build has no oneDNN")
    weights, x, zero = lay_out(new_recurrence("lstm", 5, 4).weights(), torch.float32), torch.randn(6, 2, 5), torch.zeros(1, 2, 4)
    whole = onednn_lstm(x, zero, zero, weights)
    first = onednn_lstm(x[:2], zero, zero, weights)
    second = onednn_lstm(x[2:], first[1], first[2], weights)
    assert torch.allclose(torch.cat([first[0], second[0]]), whole[0], atol=1e-6)
    assert torch.allclose(second[2], whole[2], atol=1e-6)


def test_workspace_takes_memory_back_from_the_last_view():
    """A block is free again once no tensor reads it, also a view of a view; one that fits is used again."""
    workspace = Workspace()
    tensor = workspace.empty(1000, 300, dtype=torch.float32)
    view = tensor[3:].t()
    place = tensor.data_ptr()
    del tensor
    assert not workspace._free
    del view
    assert len(workspace._free) == 1
    again = workspace.empty(900, 300, dtype=torch.float32)
    assert again.data_ptr() == place and not workspace._free
    # far too large a block stays where it is, too small a one is given up
    del again
    small = workspace.empty(10, 300, dtype=torch.float32)
    assert small.data_ptr() != place and len(workspace._free) == 1
    large = workspace.empty(3000, 300, dtype=torch.float32)
    assert not workspace._free and large.shape == (3000, 300)


def test_workspace_is_not_shared_with_forked_processes():
    """A worker that writes into inherited memory leaves the parent's alone."""
    tensor = Workspace().empty(1000, 300, dtype=torch.float32).fill_(1)
    child = os.fork()
    if child == 0:
        tensor.fill_(2)
        os._exit(0)
    os.waitpid(child, 0)
    assert (tensor == 1).all()
