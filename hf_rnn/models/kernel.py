"""One recurrent layer over packed rows on a CPU, both directions advanced together, with its own backward pass.

PyTorch's packed kernels add the gradient of the recurrent weights once a time step. Here the input projection is one product
for all tokens, the loop over steps holds only the recurrent product and the gates, and every weight gradient is one product
at the end. The second direction reads each row reversed within its own length, so both share one shrinking schedule and one
batched product a step. Where the graph is not kept, gradients of the gates are written over the gates.

Shapes: N tokens in all, R rows in order of falling length, b rows still running at a step, D directions, I inputs, H units a
direction, G gates. Products run in the dtype of the input; gates, cell states and sums in fp32 when that is half precision.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .workspace import Workspace

# the first token and the number of rows of every time step
Steps = list[tuple[int, int]]

workspace = Workspace()
sigmoid_gradient = torch.ops.aten.sigmoid_backward.grad_input
tanh_gradient = torch.ops.aten.tanh_backward.grad_input
# a private name: where it is missing every graph counts as kept, which costs memory and nothing else
_graph_is_kept = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of states and gates where products run in `dtype`."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def by_step(steps: Steps, *values: Tensor) -> list[tuple[Tensor, ...]]:
    """Return the views of every step, (D, b, M), of values of all tokens, (D, N, M), and of buffers that all steps share, (D, R, M)."""
    sizes = [size for _, size in steps]
    views: list[Sequence[Tensor]] = []
    for value in values:
        if value.shape[1] == sum(steps[-1]):
            views.append(value.split(sizes, dim=1))
        else:
            of_size = {size: value[:, :size] for size in set(sizes)}
            views.append([of_size[size] for size in sizes])
    return list(zip(*views, strict=True))


def contiguous_blocks(steps: Steps, directions: int, width: int, dtype: torch.dtype) -> list[Tensor]:
    """Return one buffer as a contiguous (D, b, M) for every step."""
    flat = workspace.empty(directions * steps[0][1] * width, dtype=dtype)
    of_size = {size: flat[: directions * size * width].view(directions, size, width) for size in {size for _, size in steps}}
    return [of_size[size] for _, size in steps]


def room(tokens: int, dtype: torch.dtype) -> int:
    """Return for how many tokens buffers have room: in half precision a multiple of 64.

    oneDNN compiles a product of half precision for every new shape, and batches of text hardly ever repeat one.
    """
    return tokens if state_dtype(dtype) == dtype else -(-tokens // 64) * 64


def slots_for_gradients(slots: Tensor, dtype: torch.dtype) -> Tensor:
    """Return where the gradients of slots (D, N, M) go: their own place if nothing reads them again, else a new one with room."""
    if slots.dtype == dtype and not _graph_is_kept():
        return slots
    directions, tokens, width = slots.shape
    fresh = workspace.empty(directions, room(tokens, dtype), width, dtype=dtype)
    fresh[:, tokens:] = 0
    return fresh


def read_by(direction: int, x: Tensor, reverse: Tensor, rows: int) -> Tensor:
    """Return what a direction reads of x (N, I), the second one every row's tokens reversed, with zeros up to `rows`."""
    if direction == 0 and len(x) == rows:
        return x
    source = workspace.empty(rows, x.shape[1], dtype=x.dtype)
    source[len(x) :] = 0
    if direction == 0:
        source[: len(x)] = x
    else:
        torch.index_select(x, 0, reverse, out=source[: len(x)])
    return source


def project(x: Tensor, reverse: Tensor, weights: list[Tensor], out: Tensor) -> None:
    """Write the input's share of every gate into `out`, (D, N or more, G*H), the second direction in reversed order."""
    for direction, (weight, part) in enumerate(zip(weights, out, strict=True)):
        # (N, I) @ (I, G*H) -> (N, G*H)
        torch.mm(read_by(direction, x, reverse, len(part)), weight.t(), out=part)


def collect(hidden: Tensor, reverse: Tensor) -> Tensor:
    """Bring (D, N, H), of which the second direction is reversed, into (N, D*H) in reading order."""
    if len(hidden) == 1:
        return hidden[0]
    out = workspace.empty(hidden.shape[1], 2 * hidden.shape[2], dtype=hidden.dtype)
    forward, backward = out.chunk(2, dim=1)
    forward.copy_(hidden[0])
    torch.index_select(hidden[1], 0, reverse, out=backward)
    return out


def distribute(grad: Tensor | None, reverse: Tensor, like: Tensor) -> Tensor:
    """Undo `collect` for a gradient: (N, D*H) -> (D, N, H), of the shape of `like`; zeros for None."""
    out = workspace.empty(*like.shape, dtype=like.dtype)
    if grad is None:
        return out.zero_()
    for direction, part in enumerate(grad.chunk(len(out), dim=1)):
        if direction == 0:
            out[0] = part
        else:
            torch.index_select(part, 0, reverse, out=out[1])
    return out


def final(first: Tensor | None, values: Tensor, reverse: Tensor, steps: Steps, rows: int) -> Tensor:
    """Return each row's last value, (D, R, H), among (D, N, H) or a running buffer; rows without tokens keep that of `first`."""
    started = steps[0][1]
    # the mirror image of a row's first token is its last
    last = values.index_select(1, reverse[:started]) if values.shape[1] == sum(steps[-1]) else values
    if started == rows:
        return last
    empty = values.new_zeros(len(values), rows - started, values.shape[2]) if first is None else first[:, started:].to(values.dtype)
    return torch.cat([last, empty], dim=1)


def input_weight_gradients(x: Tensor, reverse: Tensor, d_slots: Tensor, needed: list[bool]) -> list[Tensor | None]:
    """Return the gradient of each direction's input weights, (G*H, I), from those of the gates, (D, N or more, G*H)."""
    grads: list[Tensor | None] = []
    for direction, (part, need) in enumerate(zip(d_slots, needed, strict=True)):
        # (G*H, N) @ (N, I)
        grads.append(part.t() @ read_by(direction, x, reverse, len(part)) if need else None)
    return grads


def recurrent_gradients(d_slots: Tensor, hidden: Tensor, h0: Tensor | None, steps: Steps) -> list[Tensor]:
    """Return the gradient of each direction's recurrent weights, (G*H, H), from those of the gates, (D, N or more, G*H)."""
    started, tokens, rows = steps[0][1], hidden.shape[1], d_slots.shape[1]
    # first tokens found nothing if there was no initial state; leaving them out would make a new shape for oneDNN, see `room`
    left_out = started if h0 is None and state_dtype(hidden.dtype) == hidden.dtype else 0
    # what every other token found, (D, N or more, H)
    found = workspace.empty(len(hidden), rows - left_out, hidden.shape[2], dtype=hidden.dtype)
    found[:, : started - left_out] = 0 if h0 is None else h0[:, :started]
    found[:, tokens - left_out :] = 0
    if len(steps) > 1:
        parts = [hidden[:, before : before + size] for (before, _), (_, size) in pairwise(steps)]
        torch.cat(parts, dim=1, out=found[:, started - left_out : tokens - left_out])
    # (G*H, N) @ (N, H)
    return [part[left_out:].t() @ values for part, values in zip(d_slots, found, strict=True)]


def input_gradient(d_slots: Tensor, weights: list[Tensor], reverse: Tensor) -> Tensor:
    """Return the gradient of the layer's input, (N, I), from those of the gates, (D, N or more, G*H)."""
    # (N, G*H) @ (G*H, I) -> (N, I)
    parts = [
        torch.mm(part, weight, out=workspace.empty(len(part), weight.shape[1], dtype=part.dtype))[: len(reverse)]
        for part, weight in zip(d_slots, weights, strict=True)
    ]
    return parts[0] if len(parts) == 1 else parts[0].add_(read_by(1, parts[1], reverse, len(reverse)))
