"""The ways to run one recurrent layer over packed rows, and the choice between them."""

import os
from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from .kernel_gru import PackedGRU, gru_forward
from .kernel_lstm import PackedLSTM, lstm_forward
from .onednn import is_available, lay_out, onednn_lstm
from .packing import Packing

BACKENDS = ("auto", "packed", "dense", "stock", "masked")
# overrides "auto", for comparisons of whole programs
VARIABLE = "HF_RNN_BACKEND"

# bytes of weights beyond which a processor's own cache does not hold them twice
_LARGE = 1 << 20

State = tuple[Tensor, ...]


def run_layer(
    x: Tensor, packing: Packing, state: State | None, weights: list[Tensor], mode: str, training: bool, backend: str = "auto"
) -> tuple[Tensor, State]:
    """Run one layer.

    Args:
        x (`Tensor`): Packed tokens, (N, I).
        packing (`Packing`): How they are packed.
        state (`tuple` or `None`): Initial h (and c), each (D, R, H) in the caller's order of rows; None for zeros.
        weights (`list`): w_ih, w_hh, b_ih, b_hh of each of D directions.
        mode (`str`): `"LSTM"` or `"GRU"`.
        training (`bool`): Whether the layer is being trained, which cuDNN wants to know.
        backend (`str`): One of `BACKENDS`.

    Returns:
        `tuple`: Outputs (N, D*H) and the final state, like `state`. A row without tokens keeps its initial state.

    Raises:
        ValueError: `backend` names no way, or one that cannot run here.
    """
    directions, hidden_size = len(weights) // 4, weights[1].shape[1]
    if not packing.steps:
        return x.new_zeros(0, directions * hidden_size), state or _zeros(x, packing, weights, mode)
    run = _RUN[choose(x, packing, weights, mode, backend)]
    # the one door to all kernels, of which some read whatever they get as contiguous
    x, weights = x.contiguous(), [weight.contiguous() for weight in weights]
    if packing.is_rectangular:
        # rows keep their order
        return run(x, packing, state and tuple(part.contiguous() for part in state), weights, mode, training)
    ordered = state and tuple(part.index_select(1, packing.order) for part in state)
    out, final = run(x, packing, ordered, weights, mode, training)
    return out, tuple(part.index_select(1, packing.inverse) for part in final)


def check_backend(backend: str, name: str = "recurrence_backend") -> str:
    """Return `backend`; raise a ValueError that names the setting if it is none."""
    if backend not in BACKENDS:
        raise ValueError(f"`{name}` must be one of {BACKENDS}, got {backend!r}.")
    return backend


def asked_backend(backend: str) -> str:
    """Return what the model asks for, or where it leaves the choice open what the environment does."""
    return check_backend(os.environ.get(VARIABLE, "auto"), VARIABLE) if check_backend(backend) == "auto" else backend


def choose(x: Tensor, packing: Packing, weights: list[Tensor], mode: str, backend: str) -> str:
    """Return the way to run: as asked, or by device, mode and shape as measured on 2 cores (`scripts/benchmark.py`)."""
    backend = asked_backend(backend)
    on_cpu = x.device.type == "cpu"
    if backend == "packed" and not on_cpu:
        raise ValueError(f"`recurrence_backend` 'packed' runs on a CPU, and the model is on {x.device}. Use 'auto', or move the model.")
    if backend not in ("auto", "masked"):
        return backend
    if not on_cpu:
        return "stock"
    rows, stretches = len(packing.lengths), len({size for _, size in packing.steps})
    is_inference = _is_inference(x, None, weights)
    # oneDNN knows no GRU and no fp64, and pays for every stretch
    is_dense = mode == "LSTM" and x.dtype != torch.float64 and is_inference
    if is_dense and (packing.is_rectangular or len(packing.steps) >= 6 * stretches):
        return "dense"
    # few operations decide where there are few rows or a single step, and PyTorch's layer is one
    few = packing.is_rectangular and (rows <= 4 or (is_inference and len(packing.steps) == 1))
    return "stock" if few else "packed"


def _zeros(x: Tensor, packing: Packing, weights: list[Tensor], mode: str) -> State:
    """Return the initial state of rows that bring none."""
    zeros = x.new_zeros(len(weights) // 4, len(packing.lengths), weights[1].shape[1])
    return (zeros, zeros) if mode == "LSTM" else (zeros,)


def _packed(x: Tensor, packing: Packing, state: State | None, weights: list[Tensor], mode: str, training: bool) -> tuple[Tensor, State]:
    """Run our kernel."""
    # no kernel of one's own is on autocast's list
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    kernel: Any = PackedLSTM if mode == "LSTM" else PackedGRU
    function: Any = lstm_forward if mode == "LSTM" else gru_forward
    states = state or (None,) * (2 if mode == "LSTM" else 1)
    arguments = (x, *states, packing.reverse, packing.steps, len(packing.lengths))
    if _is_inference(x, state, weights):
        out, *final, _ = function(*arguments, weights, keep=False)
    else:
        out, *final = kernel.apply(*arguments, *weights)
    return out, tuple(final)


def _call(x: Tensor, state: State, weights: list[Tensor], mode: str, training: bool, batch_sizes: Tensor | None) -> tuple[Tensor, State]:
    """Call PyTorch's layer on packed tokens, or on time-major ones if there are no `batch_sizes`."""
    function: Any = torch.lstm if mode == "LSTM" else torch.gru
    # what ran in another precision may hand on a finer state
    state = tuple(part.to(x.dtype) for part in state)
    hx = state if mode == "LSTM" else state[0]
    options = (weights, True, 1, 0.0, training, len(weights) == 8)
    out, *final = function(x, hx, *options, False) if batch_sizes is None else function(x, batch_sizes, hx, *options)
    return out, tuple(final)


def _lstm_inference(
    weights: list[Tensor], dtype: torch.dtype, rows: int, num_steps: int
) -> Callable[[Tensor, State], tuple[Tensor, State]]:
    """Return how to run one direction of an LSTM without gradients: by oneDNN, or step by step where that costs less."""
    # what was laid out is compared with the weights at every call; large ones come from memory for that, as they do for a step
    few = 4 if sum(weight.nbytes for weight in weights) > _LARGE and rows <= 8 else 1
    if num_steps <= few and all(weight.dtype == dtype for weight in weights):
        return partial(_lstm_steps, weights=[weight.detach() for weight in weights])
    laid_out = lay_out(weights, dtype)

    def call(x: Tensor, state: State) -> tuple[Tensor, State]:
        out, h, c = onednn_lstm(x, state[0], state[1], laid_out)
        return out, (h, c)

    return call


def _lstm_steps(x: Tensor, state: State, weights: list[Tensor]) -> tuple[Tensor, State]:
    """Run an LSTM over time-major tokens (S, B, I) by plain operations, which take the weights as they are."""
    w_ih, w_hh, b_ih, b_hh = weights
    h, c = (part[0].to(x.dtype) for part in state)
    size_h, outputs = w_hh.shape[1], []
    # (S, B, 4H)
    shares = torch.addmm(b_ih + b_hh, x.flatten(0, 1), w_ih.t()).view(*x.shape[:2], -1)
    for gates in shares.unbind(0):
        gates.addmm_(h, w_hh.t())
        i, f, g, o = gates.chunk(4, dim=1)
        gates[:, : 2 * size_h].sigmoid_()
        o.sigmoid_()
        # (B, H)
        c = (f * c).addcmul_(i, g.tanh_())
        h = o * c.tanh()
        outputs.append(h)
    return torch.stack(outputs), (h[None], c[None])


def _is_inference(x: Tensor, state: State | None, weights: list[Tensor]) -> bool:
    """Return whether nothing asks for gradients."""
    return not (torch.is_grad_enabled() and any(part.requires_grad for part in (x, *(state or ()), *weights)))


def _stock(x: Tensor, packing: Packing, state: State | None, weights: list[Tensor], mode: str, training: bool) -> tuple[Tensor, State]:
    """Run PyTorch's layer on the packed rows, or on one dense batch if all have the same length."""
    state = state or _zeros(x, packing, weights, mode)
    if packing.is_rectangular:
        # (S, R, I): packed tokens of equal rows are a time-major batch
        out, final = _call(x.view(len(packing.steps), len(packing.lengths), -1), state, weights, mode, training, None)
        return out.reshape(len(x), -1), final
    running = packing.steps[0][1]
    started = tuple(part[:, :running].contiguous() for part in state)
    out, final = _call(x, started, weights, mode, training, packing.batch_sizes)
    # rows without tokens never started
    return out, tuple(torch.cat([part, first[:, running:]], dim=1) for part, first in zip(final, state, strict=True))


def _dense(x: Tensor, packing: Packing, state: State | None, weights: list[Tensor], mode: str, training: bool) -> tuple[Tensor, State]:
    """Run a dense layer on every stretch of steps through which the same rows run, one direction after the other."""
    state, use_onednn = state or _zeros(x, packing, weights, mode), False
    if x.device.type == "cpu" and mode == "LSTM" and _is_inference(x, state, weights):
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        use_onednn = is_available(dtype)
        x = x.to(dtype) if use_onednn else x
    stretches = [list(steps) for _, steps in groupby(packing.steps, key=lambda step: step[1])]
    outputs, finals = [], []
    for direction in range(len(weights) // 4):
        source = x if direction == 0 else x.index_select(0, packing.reverse)
        own, now = weights[4 * direction : 4 * direction + 4], tuple(part[direction : direction + 1] for part in state)
        parts, ended = [], []
        if use_onednn:
            call = _lstm_inference(own, x.dtype, len(packing.lengths), len(packing.steps))
        else:
            call = partial(_call, weights=own, mode=mode, training=training, batch_sizes=None)
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


_RUN: dict[str, Callable[[Tensor, Packing, State | None, list[Tensor], str, bool], tuple[Tensor, State]]]
_RUN = {"packed": _packed, "dense": _dense, "stock": _stock}
