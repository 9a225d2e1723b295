"""The ways to run one recurrent layer over packed rows, and the choice between them."""

import os
from collections.abc import Callable
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from .cells import Cell, State
from .kernel import state_dtype
from .packing import Packing

BACKENDS = ("auto", "packed", "dense", "stock", "loop", "masked")
# overrides "auto", for comparisons of whole programs
VARIABLE = "HF_RNN_BACKEND"


def run_layer(
    x: Tensor, packing: Packing, state: State | None, weights: list[Tensor], cell: Cell, training: bool, backend: str = "auto"
) -> tuple[Tensor, State]:
    """Run one layer.

    Args:
        x (`Tensor`): Packed tokens, (N, I).
        packing (`Packing`): How they are packed.
        state (`tuple` or `None`): Initial states of the cell, each (D, R, H) in the caller's order of rows; None for zeros.
        weights (`list`): w_ih, w_hh, b_ih, b_hh of each of D directions.
        cell (`Cell`): The cell.
        training (`bool`): Whether the layer is being trained, which cuDNN wants to know.
        backend (`str`): One of `BACKENDS`.

    Returns:
        `tuple`: Outputs (N, D*H) and the final state, like `state`. A row without tokens keeps its initial state.

    Raises:
        ValueError: `backend` names no way, or one that cannot run here.
    """
    directions, hidden_size = len(weights) // 4, weights[1].shape[1]
    if not packing.steps:
        return x.new_zeros(0, directions * hidden_size), state or _zeros(x, packing, weights, cell)
    run = _RUN[choose(x, packing, weights, cell, backend)]
    # the one door to all kernels, of which some read whatever they get as contiguous
    x, weights = x.contiguous(), [weight.contiguous() for weight in weights]
    if packing.is_rectangular:
        # rows keep their order
        return run(x, packing, state and tuple(part.contiguous() for part in state), weights, cell, training)
    ordered = state and tuple(part.index_select(1, packing.order) for part in state)
    out, final = run(x, packing, ordered, weights, cell, training)
    return out, tuple(part.index_select(1, packing.inverse) for part in final)


def check_backend(backend: str, name: str = "recurrence_backend") -> str:
    """Return `backend`; raise a ValueError that names the setting if it is none."""
    if backend not in BACKENDS:
        raise ValueError(f"`{name}` must be one of {BACKENDS}, got {backend!r}.")
    return backend


def asked_backend(backend: str) -> str:
    """Return what the model asks for, or where it leaves the choice open what the environment does."""
    return check_backend(os.environ.get(VARIABLE, "auto"), VARIABLE) if check_backend(backend) == "auto" else backend


def choose(x: Tensor, packing: Packing, weights: list[Tensor], cell: Cell, backend: str) -> str:
    """Return the way to run: as asked, or by device, cell and shape; the loop where the cell has nothing of that kind."""
    backend = asked_backend(backend)
    if backend == "packed" and x.device.type != "cpu":
        raise ValueError(f"`recurrence_backend` 'packed' runs on a CPU, and the model is on {x.device}. Use 'auto', or move the model.")
    if backend in ("auto", "masked"):
        backend = _fastest(x, packing, weights, cell)
    is_missing = cell.kernel is None if backend == "packed" else cell.torch_layer is None
    return "loop" if is_missing else backend


def _fastest(x: Tensor, packing: Packing, weights: list[Tensor], cell: Cell) -> str:
    """Return the fastest way by device, cell and shape, as measured on 2 cores (`scripts/benchmark.py`)."""
    if x.device.type != "cpu":
        return "stock"
    rows, stretches = len(packing.lengths), len({size for _, size in packing.steps})
    is_inference = _is_inference(x, None, weights)
    # oneDNN knows no fp64, and pays for every stretch
    is_dense = cell.inference is not None and x.dtype != torch.float64 and is_inference
    if is_dense and (packing.is_rectangular or len(packing.steps) >= 6 * stretches):
        return "dense"
    # few operations decide where there are few rows or a single step, and where products are small, and PyTorch's layer is one
    few = packing.is_rectangular and (rows <= 4 or (is_inference and len(packing.steps) == 1))
    is_small = is_inference and len(x) <= 64 and weights[1].shape[1] <= 128
    return "stock" if few or is_small or cell.kernel is None else "packed"


def _zeros(x: Tensor, packing: Packing, weights: list[Tensor], cell: Cell) -> State:
    """Return the initial state of rows that bring none."""
    zeros = x.new_zeros(len(weights) // 4, len(packing.lengths), weights[1].shape[1])
    return (zeros,) * len(cell.states)


def _packed(x: Tensor, packing: Packing, state: State | None, weights: list[Tensor], cell: Cell, training: bool) -> tuple[Tensor, State]:
    """Run our kernel."""
    # no kernel of one's own is on autocast's list
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    assert cell.kernel is not None
    states = state or (None,) * len(cell.states)
    arguments = (x, *states, packing.reverse, packing.steps, len(packing.lengths))
    if _is_inference(x, state, weights):
        out, *final, _ = cell.kernel.forward(*arguments, weights, keep=False)
    else:
        out, *final = cell.kernel.function.apply(*arguments, *weights)
    return out, tuple(final)


def _call(x: Tensor, state: State, weights: list[Tensor], cell: Cell, training: bool, batch_sizes: Tensor | None) -> tuple[Tensor, State]:
    """Call PyTorch's layer on packed tokens, or on time-major ones if there are no `batch_sizes`."""
    assert cell.torch_layer is not None
    function = cell.torch_layer.function
    # what ran in another precision may hand on a finer state
    state = tuple(part.to(x.dtype) for part in state)
    hx = state if len(cell.states) > 1 else state[0]
    options = (weights, True, 1, 0.0, training, len(weights) == 8)
    out, *final = function(x, hx, *options, False) if batch_sizes is None else function(x, batch_sizes, hx, *options)
    return out, tuple(final)


def _is_inference(x: Tensor, state: State | None, weights: list[Tensor]) -> bool:
    """Return whether nothing asks for gradients."""
    return not (torch.is_grad_enabled() and any(part.requires_grad for part in (x, *(state or ()), *weights)))


def _stock(x: Tensor, packing: Packing, state: State | None, weights: list[Tensor], cell: Cell, training: bool) -> tuple[Tensor, State]:
    """Run PyTorch's layer on the packed rows, or on one dense batch if all have the same length."""
    state = state or _zeros(x, packing, weights, cell)
    if packing.is_rectangular:
        # (S, R, I): packed tokens of equal rows are a time-major batch
        out, final = _call(x.view(len(packing.steps), len(packing.lengths), -1), state, weights, cell, training, None)
        return out.reshape(len(x), -1), final
    running = packing.steps[0][1]
    started = tuple(part[:, :running].contiguous() for part in state)
    out, final = _call(x, started, weights, cell, training, packing.batch_sizes)
    # rows without tokens never started
    return out, tuple(torch.cat([part, first[:, running:]], dim=1) for part, first in zip(final, state, strict=True))


def _dense(x: Tensor, packing: Packing, state: State | None, weights: list[Tensor], cell: Cell, training: bool) -> tuple[Tensor, State]:
    """Run a dense layer on every stretch of steps through which the same rows run, one direction after the other."""
    state, inference = state or _zeros(x, packing, weights, cell), None
    if x.device.type == "cpu" and cell.inference is not None and _is_inference(x, state, weights):
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        inference = cell.inference if cell.inference.is_available(dtype) else None
        x = x.to(dtype) if inference else x
    stretches = [list(steps) for _, steps in groupby(packing.steps, key=lambda step: step[1])]
    outputs, finals = [], []
    for direction in range(len(weights) // 4):
        source = x if direction == 0 else x.index_select(0, packing.reverse)
        own, now = weights[4 * direction : 4 * direction + 4], tuple(part[direction : direction + 1] for part in state)
        parts, ended = [], []
        if inference:
            call = inference.prepare(own, x.dtype, len(packing.lengths), len(packing.steps))
        else:
            call = partial(_call, weights=own, cell=cell, training=training, batch_sizes=None)
        for steps in stretches:
            (start, size), count = steps[0], len(steps)
            if size < now[0].shape[1]:
                # rows that have ended by now, the shortest, keep their state
                ended.append(tuple(part[:, size:] for part in now))
                now = tuple(part[:, :size].contiguous() for part in now)
            # (S, b, I)
            out, now = call(source[start : start + count * size].view(count, size, -1), now)
            parts.append(out.reshape(count * size, -1))
        outputs.append(torch.cat(parts) if len(parts) > 1 else parts[0])
        # (1, R, H)
        finals.append(tuple(torch.cat(parts, dim=1) for parts in zip(now, *reversed(ended), strict=True)) if ended else now)
    out = outputs[0] if len(outputs) == 1 else torch.cat([outputs[0], outputs[1].index_select(0, packing.reverse)], dim=1)
    return out, tuple(torch.cat(parts) for parts in zip(*finals, strict=True))


def _loop(x: Tensor, packing: Packing, state: State | None, weights: list[Tensor], cell: Cell, training: bool) -> tuple[Tensor, State]:
    """Run the cell's step in plain PyTorch, one step after the other; states and products are not of half precision."""
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    wide, outputs, finals = state_dtype(dtype), [], []
    state = state or _zeros(x, packing, weights, cell)
    with torch.autocast(device, enabled=False):
        for direction in range(len(weights) // 4):
            source = x if direction == 0 else x.index_select(0, packing.reverse)
            own = [weight.to(wide) for weight in weights[4 * direction : 4 * direction + 4]]
            out, final = _loop_one(source.to(wide), packing, tuple(part[direction].to(wide) for part in state), own, cell)
            outputs.append(out if direction == 0 else out.index_select(0, packing.reverse))
            finals.append(final)
    return torch.cat(outputs, dim=1).to(dtype), tuple(torch.stack(parts) for parts in zip(*finals, strict=True))


def _loop_one(x: Tensor, packing: Packing, state: State, weights: list[Tensor], cell: Cell) -> tuple[Tensor, State]:
    """Run the steps of one direction: packed tokens (N, I) and states (R, H) in, outputs (N, H) and final states out."""
    w_ih, w_hh, b_ih, b_hh = weights
    # (N, G*H)
    shares = torch.nn.functional.linear(x, w_ih, b_ih)
    outputs: list[Tensor] = []
    ended: list[State] = []
    for start, size in packing.steps:
        if size < len(state[0]):
            # rows that have ended by now, the shortest, keep their state
            ended.append(tuple(part[size:] for part in state))
            state = tuple(part[:size] for part in state)
        state = cell.advance(shares[start : start + size], state, w_hh, b_hh)
        outputs.append(state[0])
    return torch.cat(outputs), tuple(torch.cat(parts) for parts in zip(state, *reversed(ended), strict=True))


_RUN: dict[str, Callable[[Tensor, Packing, State | None, list[Tensor], Cell, bool], tuple[Tensor, State]]]
_RUN = {"packed": _packed, "dense": _dense, "stock": _stock, "loop": _loop}
