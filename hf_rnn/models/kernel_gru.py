"""The GRU layer of the CPU kernel. Shapes are those of `kernel_rnn`."""

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


def _gru_views(slots: Tensor) -> tuple[Tensor, ...]:
    """Return views of slots (D, N, 4H): r and z together, then the hidden share of n, r, z, n."""
    size_h = slots.shape[2] // 4
    return slots[..., size_h : 3 * size_h], *slots.chunk(4, dim=2)


def _rotated(weights: list[Tensor]) -> Tensor:
    """Stack weights (3H, M) of gates r, z, n as (D, 3H, M) of gates n, r, z: the order of the slots that hold hidden shares."""
    return torch.stack([weight.roll(len(weight) // 3, 0) for weight in weights])


def _recurrent_form(parameters: list[Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the recurrent weights (D, H, 3H) and the bias of the slots (D, 1, 4H) from w_hh, b_ih, b_hh of each direction."""
    bias = torch.stack([_slot_bias(*pair) for pair in zip(parameters[1::3], parameters[2::3], strict=True)])
    w_hh = [weight.to(dtype) for weight in parameters[::3]]
    return _rotated(w_hh).transpose(1, 2).contiguous(), bias.to(state_dtype(dtype))[:, None]


def gru_forward(
    x: Tensor, h0: Tensor | None, reverse: Tensor, steps: Steps, rows: int, parameters: list[Tensor], keep: bool
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Run a GRU layer (equations and gate order r, z, n of `torch.nn.GRU`).

    Every token has four slots: the hidden share of n, then r, z, n; the recurrent product fills the first three, the input's the
    last three.

    Args:
        x (`Tensor`): Packed tokens, (N, I).
        h0 (`Tensor` or `None`): Initial state, (D, R, H); None for zeros.
        reverse (`Tensor`): Packed place of each token's mirror image, (N,).
        steps (`list`): First token and number of running rows of every step, at least one.
        rows (`int`): R.
        parameters (`list`): w_ih, w_hh, b_ih, b_hh of each direction.
        keep (`bool`): Whether a backward pass follows.

    Returns:
        `tuple`: Outputs (N, D*H), final h (D, R, H), and for the backward pass slots, states and outputs by direction.
    """
    w_ih, (recurrent, bias) = weight_forms(parameters, x.dtype, _recurrent_form, keep)
    (directions, size_h, _), tokens, wide = recurrent.shape, len(x), state_dtype(x.dtype)
    started, narrow = steps[0][1], wide != x.dtype
    # (D, N, 4H)
    shares = workspace.empty(directions, room(tokens, x.dtype), 4 * size_h, dtype=x.dtype)
    shares[..., :size_h] = 0
    project(x, reverse, w_ih, shares[..., size_h:])
    shares = shares[:, :tokens]
    slots = workspace.empty(directions, tokens if keep else started, 4 * size_h, dtype=wide) if narrow else shares
    # (D, N, H)
    hidden = workspace.empty(directions, tokens, size_h, dtype=x.dtype)
    states = workspace.empty(directions, tokens if keep else started, size_h, dtype=wide) if narrow else hidden
    state = x.new_zeros(directions, rows, size_h, dtype=wide) if h0 is None else h0.to(wide)
    h = None if h0 is None else h0.to(x.dtype)
    blocks = contiguous_blocks(steps, directions, 3 * size_h, x.dtype)
    views = by_step(steps, shares[..., : 3 * size_h], shares, slots, *_gru_views(slots), states, hidden)
    # products of half precision want contiguous factors; the others take theirs where it is
    lefts = contiguous_blocks(steps, directions, size_h, x.dtype) if narrow else blocks
    for block, left, (hidden_share, share, slot, r_z, n_share, r, z, n, after, out) in zip(blocks, lefts, views, strict=True):
        size = share.shape[1]
        if h is not None:
            # (D, b, H) @ (D, H, 3H)
            hidden_share.add_(torch.bmm(left.copy_(h[:, :size]) if narrow else h[:, :size], recurrent, out=block))
        if narrow:
            slot.copy_(share)
        slot.add_(bias)
        r_z.sigmoid_()
        n.addcmul_(r, n_share).tanh_()
        # n + z * (h - n), (D, b, H)
        torch.lerp(n, state[:, :size], z, out=after)
        if narrow:
            out.copy_(after)
        h, state = out, after
    return collect(hidden, reverse), final(h0, states, reverse, steps, rows), [slots, states, hidden]


def _slot_bias(b_ih: Tensor, b_hh: Tensor) -> Tensor:
    """Return the bias of the four slots, (4H,)."""
    (r_z, n), (hidden_r_z, hidden_n) = (bias.tensor_split([len(bias) * 2 // 3]) for bias in (b_ih, b_hh))
    return torch.cat([hidden_n, r_z + hidden_r_z, n])


def _gru_steps_back(
    slots: Tensor, states: Tensor, first: Tensor, d_hidden: Tensor, d_state: Tensor, recurrent: Tensor, steps: Steps, d_slots: Tensor
) -> None:
    """Go back through the steps of a GRU.

    Args:
        slots (`Tensor`): Slots, (D, N, 4H).
        states (`Tensor`): States, (D, N, H).
        first (`Tensor`): Initial states, (D, R, H).
        d_hidden (`Tensor`): Gradients of the outputs, (D, N, H).
        d_state (`Tensor`): Gradients of the final states, (D, R, H); becomes that of the initial ones.
        recurrent (`Tensor`): Recurrent weights in the order of the slots, (D, 3H, H).
        steps (`list`): Schedule.
        d_slots (`Tensor`): Receives the gradients before the slots' functions, (D, N, 4H); may be `slots`.
    """
    (directions, _, size_h), started, wide = states.shape, steps[0][1], states.dtype
    narrow = wide != d_slots.dtype
    scratch = workspace.empty(directions, started, 4 * size_h, dtype=wide)
    target = scratch if narrow else d_slots
    hidden_shares = slice(0, 3 * size_h)
    views = by_step(steps, *_gru_views(slots), states, d_slots, d_slots[..., hidden_shares], d_hidden)
    targets = by_step(steps, scratch, *_gru_views(scratch), *_gru_views(target), d_state[:, :started])
    blocks = contiguous_blocks(steps, directions, size_h, d_slots.dtype)
    # products of half precision want contiguous factors; the others take theirs where it is
    lefts = contiguous_blocks(steps, directions, 3 * size_h, d_slots.dtype) if narrow else blocks
    for step in range(len(steps) - 1, -1, -1):
        size = steps[step][1]
        # (D, b, H)
        r_z, n_share, r, z, n, _, d_slot, d_hidden_share, d_out = views[step]
        part, dr_dz, _, dr, dz, dn, to_r_z, to_n_share, _, _, to_n, dh = targets[step]
        before = views[step - 1][5] if step else first
        dh.add_(d_out)
        torch.sub(before[:, :size], n, out=dz).mul_(dh)
        # dn = dh * (1 - z) * (1 - n^2)
        torch.addcmul(dh, dh, z, value=-1, out=dn)
        dh.mul_(z)
        tanh_gradient(dn, n, grad_input=to_n)
        torch.mul(to_n, n_share, out=dr)
        torch.mul(to_n, r, out=to_n_share)
        sigmoid_gradient(dr_dz, r_z, grad_input=to_r_z)
        left = d_hidden_share
        if narrow:
            d_slot.copy_(part)
            left = lefts[step].copy_(d_hidden_share)
        if step:
            # (D, b, 3H) @ (D, 3H, H)
            dh.add_(torch.bmm(left, recurrent, out=blocks[step]))


class PackedGRU(torch.autograd.Function):
    """`gru_forward` with its gradients."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h0: Tensor | None, reverse: Tensor, steps: Steps, rows: int, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return outputs (N, D*H) and final h (D, R, H)."""
        out, h, kept = gru_forward(x, h0, reverse, steps, rows, list(parameters), keep=True)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, h0, reverse, *kept, *parameters)
        ctx.steps, ctx.rows = steps, rows
        return out, h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor | None, d_h: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, h0 and every parameter."""
        x, h0, reverse, slots, states, hidden, *parameters = ctx.saved_tensors
        steps, needs, started = ctx.steps, ctx.needs_input_grad, ctx.steps[0][1]
        shape, wide = (len(hidden), ctx.rows, hidden.shape[2]), states.dtype
        # (D, R, H)
        d_state = x.new_zeros(shape, dtype=wide) if d_h is None else d_h.to(wide, copy=True)
        first = x.new_zeros(shape, dtype=wide) if h0 is None else h0.to(wide)
        w_ih, w_hh = ([weight.to(x.dtype) for weight in parameters[k::4]] for k in range(2))
        # (D, 3H, H)
        recurrent = _rotated(w_hh)
        # (D, N, 4H), and its parts (D, N, 3H)
        d_slots = slots_for_gradients(slots, x.dtype)
        d_hidden = distribute(d_out, reverse, hidden)
        _gru_steps_back(slots, states, first, d_hidden, d_state, recurrent, steps, d_slots[:, : len(x)])
        d_input_shares, d_hidden_shares = d_slots[..., shape[2] :], d_slots[..., : 3 * shape[2]]
        if h0 is not None and needs[1]:
            # (D, b, 3H) @ (D, 3H, H)
            d_state[:, :started] += torch.bmm(d_hidden_shares[:, :started], recurrent)
        d_x = input_gradient(d_input_shares, w_ih, reverse) if needs[0] else None
        d_w_ih = input_weight_gradients(x, reverse, d_input_shares, needs[5::4])
        d_w_hh = d_b_ih = d_b_hh = [None] * len(hidden)
        if any(needs[6::4]):
            d_w_hh = [grad.roll(-shape[2], 0) for grad in recurrent_gradients(d_hidden_shares, hidden, h0, steps)]
        if any(needs[7:]):
            # (D, 4H)
            d_bias = d_slots.sum(1)
            d_b_ih, d_b_hh = d_bias[:, shape[2] :], d_bias[:, : 3 * shape[2]].roll(-shape[2], 1)
        gradients = [grad for four in zip(d_w_ih, d_w_hh, d_b_ih, d_b_hh, strict=True) for grad in four]
        return d_x, None if h0 is None else d_state.to(h0.dtype), None, None, None, *gradients
