"""The LSTM layer of the CPU kernel. Shapes are those of `kernel_rnn`."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .kernel import (
    Steps,
    by_step,
    collect,
    contiguous_blocks,
    distribute,
    final,
    input_gradient,
    input_weight_gradients,
    project,
    recurrent_gradients,
    room,
    sigmoid_gradient,
    slots_for_gradients,
    state_dtype,
    tanh_gradient,
    workspace,
)
from .prepared import weight_forms


def _lstm_views(slots: Tensor) -> tuple[Tensor, ...]:
    """Return views of slots (D, N, 4H): i and f together, then i, f, g, o."""
    return slots[..., : slots.shape[2] // 2], *slots.chunk(4, dim=2)


def _recurrent_form(parameters: list[Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the recurrent weights (D, H, 4H) and the sum of both biases (D, 1, 4H) from w_hh, b_ih, b_hh of each direction."""
    bias = torch.stack([a + b for a, b in zip(parameters[1::3], parameters[2::3], strict=True)])
    return torch.stack([weight.to(dtype).t() for weight in parameters[::3]]), bias.to(state_dtype(dtype))[:, None]


def lstm_forward(
    x: Tensor, h0: Tensor | None, c0: Tensor | None, reverse: Tensor, steps: Steps, rows: int, parameters: list[Tensor], keep: bool
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Run an LSTM layer (equations and gate order i, f, g, o of `torch.nn.LSTM`).

    Args:
        x (`Tensor`): Packed tokens, (N, I).
        h0, c0 (`Tensor` or `None`): Initial states, (D, R, H); None for zeros.
        reverse (`Tensor`): Packed place of each token's mirror image, (N,).
        steps (`list`): First token and number of running rows of every step, at least one.
        rows (`int`): R.
        parameters (`list`): w_ih, w_hh, b_ih, b_hh of each direction.
        keep (`bool`): Whether a backward pass follows.

    Returns:
        `tuple`: Outputs (N, D*H), final h and c (D, R, H), and for the backward pass gates, cells and outputs by direction.
    """
    w_ih, (recurrent, bias) = weight_forms(parameters, x.dtype, _recurrent_form, keep)
    (directions, size_h, _), tokens, wide = recurrent.shape, len(x), state_dtype(x.dtype)
    started = steps[0][1]
    # (D, N, 4H)
    shares = workspace.empty(directions, room(tokens, x.dtype), 4 * size_h, dtype=x.dtype)
    project(x, reverse, w_ih, shares)
    shares = shares[:, :tokens]
    narrow = wide != x.dtype
    slots = workspace.empty(directions, tokens if keep else started, 4 * size_h, dtype=wide) if narrow else shares
    # (D, N, H)
    hidden = workspace.empty(directions, tokens, size_h, dtype=x.dtype)
    cells = workspace.empty(directions, tokens if keep else started, size_h, dtype=wide)
    scratch = workspace.empty(directions, started, size_h, dtype=wide)
    h = None if h0 is None else h0.to(x.dtype)
    c = x.new_zeros(directions, rows, size_h, dtype=wide) if c0 is None else c0.to(wide)
    blocks = contiguous_blocks(steps, directions, 4 * size_h, x.dtype)
    # products of half precision want contiguous factors; the others take theirs where it is
    lefts = contiguous_blocks(steps, directions, size_h, x.dtype) if narrow else blocks
    views = by_step(steps, shares, slots, *_lstm_views(slots), cells, hidden, scratch)
    for block, left, (share, slot, i_f, i, f, g, o, cell, out, spare) in zip(blocks, lefts, views, strict=True):
        size = share.shape[1]
        # (D, b, H) @ (D, H, 4H)
        if h is not None and narrow:
            share = torch.baddbmm(share, left.copy_(h[:, :size]), recurrent, out=block)
        elif h is not None:
            share.add_(torch.bmm(h[:, :size], recurrent, out=block))
        if narrow:
            slot.copy_(share)
        slot.add_(bias)
        i_f.sigmoid_()
        g.tanh_()
        o.sigmoid_()
        # (D, b, H)
        torch.mul(f, c[:, :size], out=cell)
        cell.addcmul_(i, g)
        torch.tanh(cell, out=spare)
        if narrow:
            out.copy_(spare.mul_(o))
        else:
            torch.mul(o, spare, out=out)
        h, c = out, cell
    final_h, final_c = final(h0, hidden, reverse, steps, rows), final(c0, cells, reverse, steps, rows)
    return collect(hidden, reverse), final_h, final_c, [slots, cells, hidden]


def _lstm_steps_back(
    slots: Tensor, cells: Tensor, first: Tensor, d_hidden: Tensor, d_cell: Tensor, recurrent: Tensor, steps: Steps, d_slots: Tensor
) -> None:
    """Go back through the steps of an LSTM.

    Args:
        slots (`Tensor`): Gates, (D, N, 4H).
        cells (`Tensor`): Cell states, (D, N, H).
        first (`Tensor`): Initial cell states, (D, R, H).
        d_hidden (`Tensor`): Gradients of the outputs, (D, N, H); those of the hidden states are added.
        d_cell (`Tensor`): Gradients of the final cell states, (D, R, H); becomes that of the initial ones.
        recurrent (`Tensor`): Recurrent weights, (D, 4H, H).
        steps (`list`): Schedule.
        d_slots (`Tensor`): Receives the gradients before the gates' functions, (D, N, 4H); may be `slots`.
    """
    (directions, _, size_h), started, wide = cells.shape, steps[0][1], cells.dtype
    narrow = wide != d_slots.dtype
    scratch, spare = (workspace.empty(directions, started, size * size_h, dtype=wide) for size in (4, 1))
    target = scratch if narrow else d_slots
    views = by_step(steps, *_lstm_views(slots), cells, d_slots, d_hidden)
    targets = by_step(steps, scratch, *_lstm_views(scratch), *_lstm_views(target), spare)
    blocks = contiguous_blocks(steps, directions, size_h, d_slots.dtype)
    # products of half precision want contiguous factors; the others take theirs where it is
    lefts = contiguous_blocks(steps, directions, 4 * size_h, d_slots.dtype) if narrow else blocks
    for step in range(len(steps) - 1, -1, -1):
        size = steps[step][1]
        # (D, b, H)
        i_f, i, f, g, o, cell, d_slot, dh = views[step]
        part, di_f, di, df, dg, do, to_i_f, _, _, to_g, to_o, spared = targets[step]
        before, dc = views[step - 1][5] if step else first, d_cell[:, :size]
        if narrow:
            dh = df.copy_(dh)
        torch.tanh(cell, out=spared)
        torch.mul(dh, spared, out=do)
        # what reaches the cell through the output: dh * o * (1 - tanh(c)^2)
        torch.mul(dh, o, out=dg)
        dc.add_(tanh_gradient(dg, spared, grad_input=dg))
        torch.mul(dc, g, out=di)
        torch.mul(dc, before[:, :size], out=df)
        torch.mul(dc, i, out=dg)
        dc.mul_(f)
        sigmoid_gradient(di_f, i_f, grad_input=to_i_f)
        tanh_gradient(dg, g, grad_input=to_g)
        sigmoid_gradient(do, o, grad_input=to_o)
        left = d_slot
        if narrow:
            left = lefts[step].copy_(part)
            d_slot.copy_(left)
        if step:
            # (D, b, 4H) @ (D, 4H, H)
            views[step - 1][7][:, :size].add_(torch.bmm(left, recurrent, out=blocks[step]))


class PackedLSTM(torch.autograd.Function):
    """`lstm_forward` with its gradients."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h0: Tensor | None, c0: Tensor | None, reverse: Tensor, steps: Steps, rows: int, *parameters: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return outputs (N, D*H) and final h, c (D, R, H)."""
        out, h, c, kept = lstm_forward(x, h0, c0, reverse, steps, rows, list(parameters), keep=True)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, h0, c0, reverse, *kept, *parameters)
        ctx.steps, ctx.rows = steps, rows
        return out, h, c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor | None, d_h: Tensor | None, d_c: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, h0, c0 and every parameter."""
        x, h0, c0, reverse, slots, cells, hidden, *parameters = ctx.saved_tensors
        steps, needs, started = ctx.steps, ctx.needs_input_grad, ctx.steps[0][1]
        shape, wide = (len(hidden), ctx.rows, hidden.shape[2]), cells.dtype
        d_hidden = distribute(d_out, reverse, hidden)
        if d_h is not None:
            d_hidden.index_add_(1, reverse[:started], d_h[:, :started].to(d_hidden.dtype))
        # (D, R, H)
        d_cell = x.new_zeros(shape, dtype=wide) if d_c is None else d_c.to(wide, copy=True)
        first = x.new_zeros(shape, dtype=wide) if c0 is None else c0.to(wide)
        # (D, N, 4H)
        d_slots = slots_for_gradients(slots, x.dtype)
        w_ih, w_hh = ([weight.to(x.dtype) for weight in parameters[k::4]] for k in range(2))
        # (D, 4H, H)
        recurrent = torch.stack(w_hh)
        _lstm_steps_back(slots, cells, first, d_hidden, d_cell, recurrent, steps, d_slots[:, : len(x)])
        d_x = input_gradient(d_slots, w_ih, reverse) if needs[0] else None
        d_h0 = d_c0 = None
        if h0 is not None and needs[1]:
            d_h0 = torch.zeros_like(h0) if d_h is None else d_h.to(h0.dtype, copy=True)
            # (D, b, 4H) @ (D, 4H, H)
            d_h0[:, :started] = torch.bmm(d_slots[:, :started], recurrent)
        if c0 is not None:
            d_c0 = d_cell.to(c0.dtype)
        d_w_ih = input_weight_gradients(x, reverse, d_slots, needs[6::4])
        d_w_hh = d_b_ih = d_b_hh = [None] * len(hidden)
        if any(needs[7::4]):
            d_w_hh = recurrent_gradients(d_slots, hidden, h0, steps)
        if any(needs[8:]):
            # (D, 4H)
            d_b_ih = d_slots.sum(1)
            # gradients that share memory would be added to twice where batches are accumulated
            d_b_hh = d_b_ih.clone()
        gradients = [grad for four in zip(d_w_ih, d_w_hh, d_b_ih, d_b_hh, strict=True) for grad in four]
        return d_x, d_h0, d_c0, None, None, None, *gradients
