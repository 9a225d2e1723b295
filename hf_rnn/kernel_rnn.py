"""One recurrent layer over packed rows on a CPU, both directions advanced together, with its own backward pass.

PyTorch's packed kernels add the gradient of the recurrent weights once a time step. Here the input projection is one product
for all tokens, the loop over steps holds only the recurrent product and the gates, and every weight gradient is one product
at the end. The second direction reads each row reversed within its own length, so both share one shrinking schedule.

Shapes: N tokens in all, R rows in order of falling length, b rows still running at a step, D directions, I inputs, H units a
direction, G gates (4 of an LSTM, 3 of a GRU). Products run in the dtype of the input; gates, cell states and sums in fp32
when that is half precision.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# the first token and the number of rows of every time step
Steps = list[tuple[int, int]]

_sigmoid_gradient = torch.ops.aten.sigmoid_backward.grad_input
_tanh_gradient = torch.ops.aten.tanh_backward.grad_input


def _state_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def _project(x: Tensor, reverse: Tensor, weights: list[Tensor], biases: list[Tensor], dtype: torch.dtype) -> Tensor:
    """Return the input's share of every gate, (D, N, G*H), the second direction in reversed order."""
    gates = x.new_empty(len(weights), x.shape[0], weights[0].shape[0], dtype=dtype)
    for direction, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        source = x if direction == 0 else x.index_select(0, reverse)
        # (N, I) @ (I, G*H) -> (N, G*H)
        if dtype == x.dtype:
            torch.addmm(bias, source, weight.t(), out=gates[direction])
        else:
            torch.add(source @ weight.t(), bias, out=gates[direction])
    return gates


def _add_product(out: Tensor, left: Tensor, right: list[Tensor]) -> None:
    """Add left (D, b, K) @ right D x (K, M) to out (D, b, M) in place; out may be of a wider dtype."""
    for direction, matrix in enumerate(right):
        if left.dtype == out.dtype:
            out[direction].addmm_(left[direction], matrix)
        else:
            out[direction].add_(left[direction] @ matrix)


def _collect(hidden: Tensor, reverse: Tensor) -> Tensor:
    """Bring (D, N, H), of which the second direction is reversed, into (N, D*H) in reading order."""
    if hidden.shape[0] == 1:
        return hidden[0]
    return torch.cat([hidden[0], hidden[1].index_select(0, reverse)], dim=1)


def _distribute(grad: Tensor, directions: int, reverse: Tensor, dtype: torch.dtype) -> Tensor:
    """Undo `_collect` for a gradient: (N, D*H) -> (D, N, H)."""
    halves = grad.to(dtype).chunk(directions, dim=1)
    return torch.stack([halves[0], *(half.index_select(0, reverse) for half in halves[1:])])


def _previous(values: Tensor, first: Tensor, steps: Steps) -> Tensor:
    """Return what each token found, (D, N, H): `first` (D, R, H) at step 0, else its own row's value one step earlier."""
    found = torch.empty_like(values)
    found[:, : steps[0][1]] = first[:, : steps[0][1]]
    for (before, _), (start, size) in pairwise(steps):
        found[:, start : start + size] = values[:, before : before + size]
    return found


def _final(first: Tensor, values: Tensor, steps: Steps) -> Tensor:
    """Return each row's last value among (D, N, H) as (D, R, H); rows without tokens keep that of `first`."""
    final = first.to(values.dtype, copy=True)
    for (start, size), (_, following) in zip(steps, [*steps[1:], (0, 0)], strict=True):
        final[:, following:size] = values[:, start + following : start + size]
    return final


def _input_gradient(d_gates: Tensor, weights: list[Tensor], reverse: Tensor) -> Tensor:
    """Return the gradient of the layer's input, (N, I), from those of the gates, (D, N, G*H)."""
    # (N, G*H) @ (G*H, I) -> (N, I)
    d_x = d_gates[0] @ weights[0]
    if len(weights) == 2:
        d_x += (d_gates[1] @ weights[1]).index_select(0, reverse)
    return d_x


def _sum_rows(grad: Tensor) -> Tensor:
    """Sum (N, M) over tokens in at least fp32."""
    return grad.sum(0, dtype=_state_dtype(grad.dtype)).to(grad.dtype)


class PackedLSTM(torch.autograd.Function):
    """LSTM layer over packed rows (equations and gate order i, f, g, o of `torch.nn.LSTM`)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h0: Tensor, c0: Tensor, reverse: Tensor, steps: Steps, *parameters: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return outputs (N, D*H) and final h, c (D, R, H) from x (N, I), h0, c0 (D, R, H) and w_ih, w_hh, b_ih, b_hh a direction."""
        directions, dtype, size_h = len(parameters) // 4, _state_dtype(x.dtype), h0.shape[2]
        w_ih, w_hh, b_ih, b_hh = (list(parameters[k::4]) for k in range(4))
        w_hh_t = [weight.t() for weight in w_hh]
        # (D, N, 4H)
        gates = _project(x, reverse, w_ih, [a + b for a, b in zip(b_ih, b_hh, strict=True)], dtype)
        # (D, N, H)
        cells = x.new_empty(directions, x.shape[0], size_h, dtype=dtype)
        tanh_cells = torch.empty_like(cells)
        outputs = x.new_empty(directions, x.shape[0], size_h)
        h, c = h0.to(x.dtype), c0.to(dtype)
        for start, size in steps:
            now = slice(start, start + size)
            # (D, b, 4H)
            gate, cell, tanh_cell = gates[:, now], cells[:, now], tanh_cells[:, now]
            _add_product(gate, h[:, :size], w_hh_t)
            gate[..., : 2 * size_h].sigmoid_()
            gate[..., 2 * size_h : 3 * size_h].tanh_()
            gate[..., 3 * size_h :].sigmoid_()
            # (D, b, H)
            i, f, g, o = gate.chunk(4, dim=2)
            torch.mul(f, c[:, :size], out=cell)
            cell.addcmul_(i, g)
            torch.tanh(cell, out=tanh_cell)
            torch.mul(o, tanh_cell, out=outputs[:, now])
            h, c = outputs[:, now], cell
        ctx.save_for_backward(x, h0, c0, reverse, gates, cells, tanh_cells, outputs, *parameters)
        ctx.steps = steps
        return _collect(outputs, reverse), _final(h0, outputs, steps), _final(c0, cells, steps).to(c0.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor, d_c: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, h0, c0 and every parameter."""
        x, h0, c0, reverse, gates, cells, tanh_cells, outputs, *parameters = ctx.saved_tensors
        directions, dtype, steps = len(parameters) // 4, gates.dtype, ctx.steps
        w_ih, w_hh = list(parameters[0::4]), list(parameters[1::4])
        d_outputs = _distribute(d_out, directions, reverse, dtype)
        d_h, d_c, first = d_h.to(dtype, copy=True), d_c.to(dtype, copy=True), c0.to(dtype)
        # (D, N, 4H)
        d_gates = torch.empty_like(gates, dtype=x.dtype)
        scratch = gates.new_empty(directions, steps[0][1], gates.shape[2])
        for step in range(len(steps) - 1, -1, -1):
            start, size = steps[step]
            now = slice(start, start + size)
            before = first[:, :size] if step == 0 else cells[:, steps[step - 1][0] : steps[step - 1][0] + size]
            # (D, b, H)
            i, f, g, o = gates[:, now].chunk(4, dim=2)
            di, df, dg, do = scratch[:, :size].chunk(4, dim=2)
            tanh_cell, dh, dc = tanh_cells[:, now], d_h[:, :size], d_c[:, :size]
            dh.add_(d_outputs[:, now])
            # the gradient that reaches the cell through the output: dh * o * (1 - tanh(c)^2)
            torch.mul(dh, o, out=do)
            dc.add_(_tanh_gradient(do, tanh_cell, grad_input=dg))
            _sigmoid_gradient(torch.mul(dh, tanh_cell, out=do), o, grad_input=do)
            _sigmoid_gradient(torch.mul(dc, g, out=di), i, grad_input=di)
            _sigmoid_gradient(torch.mul(dc, before, out=df), f, grad_input=df)
            _tanh_gradient(torch.mul(dc, i, out=dg), g, grad_input=dg)
            dc.mul_(f)
            d_gates[:, now] = scratch[:, :size]
            # (D, b, 4H) @ (4H, H) -> (D, b, H)
            dh.zero_()
            _add_product(dh, d_gates[:, now], w_hh)
        found = _previous(outputs, h0, steps)
        d_parameters: list[Tensor] = []
        for direction in range(directions):
            source = x if direction == 0 else x.index_select(0, reverse)
            d_gates_t, d_bias = d_gates[direction].t(), _sum_rows(d_gates[direction])
            # (4H, N) @ (N, I | H)
            d_parameters += [d_gates_t @ source, d_gates_t @ found[direction], d_bias, d_bias]
        return _input_gradient(d_gates, w_ih, reverse), d_h.to(h0.dtype), d_c.to(c0.dtype), None, None, *d_parameters


class PackedGRU(torch.autograd.Function):
    """GRU layer over packed rows (equations and gate order r, z, n of `torch.nn.GRU`)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, reverse: Tensor, steps: Steps, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs (N, D*H) and final h (D, R, H) from x (N, I), h0 (D, R, H) and w_ih, w_hh, b_ih, b_hh a direction."""
        directions, dtype, size_h = len(parameters) // 4, _state_dtype(x.dtype), h0.shape[2]
        w_ih, w_hh, b_ih, b_hh = (list(parameters[k::4]) for k in range(4))
        w_hh_t = [weight.t() for weight in w_hh]
        # (D, 1, 3H)
        bias = torch.stack(b_hh).to(dtype)[:, None]
        # (D, N, 3H)
        gates = _project(x, reverse, w_ih, b_ih, dtype)
        # the hidden share of the new gate and the states, (D, N, H)
        candidates = x.new_empty(directions, x.shape[0], size_h, dtype=dtype)
        states = torch.empty_like(candidates)
        scratch = gates.new_empty(directions, steps[0][1], 3 * size_h)
        h = h0.to(dtype)
        for start, size in steps:
            now = slice(start, start + size)
            # (D, b, 3H)
            gate, share = gates[:, now], scratch[:, :size]
            share.copy_(bias.expand_as(share))
            _add_product(share, h[:, :size].to(x.dtype), w_hh_t)
            gate[..., : 2 * size_h].add_(share[..., : 2 * size_h]).sigmoid_()
            # (D, b, H)
            r, z, n = gate.chunk(3, dim=2)
            candidate, state = candidates[:, now], states[:, now]
            candidate.copy_(share[..., 2 * size_h :])
            n.addcmul_(r, candidate).tanh_()
            # n + z * (h - n)
            torch.lerp(n, h[:, :size], z, out=state)
            h = state
        ctx.save_for_backward(x, h0, reverse, gates, candidates, states, *parameters)
        ctx.steps = steps
        return _collect(states, reverse).to(x.dtype), _final(h0, states, steps).to(h0.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, h0 and every parameter."""
        x, h0, reverse, gates, candidates, states, *parameters = ctx.saved_tensors
        directions, dtype, steps, size_h = len(parameters) // 4, gates.dtype, ctx.steps, h0.shape[2]
        w_ih, w_hh = list(parameters[0::4]), list(parameters[1::4])
        d_outputs = _distribute(d_out, directions, reverse, dtype)
        d_h, first = d_h.to(dtype, copy=True), h0.to(dtype)
        # gradients of the input's and of the hidden state's share of the gates, (D, N, 3H)
        d_gates = torch.empty_like(gates, dtype=x.dtype)
        d_shares = torch.empty_like(d_gates)
        scratch = gates.new_empty(directions, steps[0][1], 3 * size_h)
        for step in range(len(steps) - 1, -1, -1):
            start, size = steps[step]
            now = slice(start, start + size)
            before = first[:, :size] if step == 0 else states[:, steps[step - 1][0] : steps[step - 1][0] + size]
            # (D, b, H)
            r, z, n = gates[:, now].chunk(3, dim=2)
            dr, dz, dn = scratch[:, :size].chunk(3, dim=2)
            dh = d_h[:, :size]
            dh.add_(d_outputs[:, now])
            # dn = dh * (1 - z) * (1 - n^2)
            _tanh_gradient(torch.sub(dh, torch.mul(dh, z, out=dn), out=dn), n, grad_input=dn)
            _sigmoid_gradient(torch.sub(before, n, out=dz).mul_(dh), z, grad_input=dz)
            _sigmoid_gradient(torch.mul(dn, candidates[:, now], out=dr), r, grad_input=dr)
            d_gates[:, now] = scratch[:, :size]
            dn.mul_(r)
            d_shares[:, now] = scratch[:, :size]
            # (D, b, 3H) @ (3H, H) -> (D, b, H)
            dh.mul_(z)
            _add_product(dh, d_shares[:, now], w_hh)
        found = _previous(states, first, steps).to(x.dtype)
        d_parameters: list[Tensor] = []
        for direction in range(directions):
            source = x if direction == 0 else x.index_select(0, reverse)
            d_gate, d_share = d_gates[direction], d_shares[direction]
            # (3H, N) @ (N, I | H)
            d_parameters += [d_gate.t() @ source, d_share.t() @ found[direction], _sum_rows(d_gate), _sum_rows(d_share)]
        return _input_gradient(d_gates, w_ih, reverse), d_h.to(h0.dtype), None, None, *d_parameters
