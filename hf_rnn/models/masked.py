"""The mask-only form: padded rows in, padded rows out, no shape that depends on data.

`torch.export` and `torch.compile` unroll PyTorch's recurrent layers over a fixed number of steps, and break at packing. Here the
recurrences are operators of their own, `hf_rnn::recurrence` and `hf_rnn::word_recurrence`, which a graph holds as one node with
batch and time free; they run whatever way suits device and shape. What surrounds them is gathering by index.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .backends import run_layer
from .cells import LSTM, cell_of
from .packing import Packing


@dataclass(frozen=True)
class Compaction:
    """Where the positions that exist stand once they are moved to the left of their row.

    Attributes:
        lengths (`Tensor`): Existing positions a row, (B,).
        order (`Tensor`): For each compact position the one it comes from, (B, T); 0 behind a row's length.
        rank (`Tensor`): For each position its compact place, (B, T); that of the last before it where it does not exist.
    """

    lengths: Tensor
    order: Tensor
    rank: Tensor

    @classmethod
    def from_mask(cls, mask: Tensor) -> "Compaction":
        """Plan the compaction of mask (B, T)."""
        batch_size, length = mask.shape
        rank = mask.cumsum(1) - 1
        positions = torch.arange(length, device=mask.device).expand(batch_size, length)
        # what does not exist goes to one more column, which is cut off
        target = torch.where(mask, rank, length)
        order = positions.new_zeros(batch_size, length + 1).scatter(1, target, positions)[:, :length]
        return cls(mask.sum(1), order, rank.clamp(min=0))

    def take(self, values: Tensor) -> Tensor:
        """Move values (B, T) or (B, T, M) of positions to their compact places."""
        return take_positions(values, self.order)

    @property
    def exists(self) -> Tensor:
        """Return whether a compact position holds anything, (B, T)."""
        return torch.arange(self.order.shape[1], device=self.order.device) < self.lengths[:, None]


def take_positions(values: Tensor, index: Tensor) -> Tensor:
    """Return values (B, T) or (B, T, M) at index (B, W)."""
    if values.dim() == 2:
        return values.gather(1, index)
    return values.gather(1, index.unsqueeze(2).expand(-1, -1, values.shape[2]))


def look_ahead(values: Tensor, starts: Tensor, special: Tensor, count: int) -> Tensor:
    """Return at each piece of a word what stands at the start of the next words (B, T, count * M), 0 where there are not so many.

    Args:
        values (`Tensor`): Of all positions, (B, T, M).
        starts (`Tensor`): True at the first piece of a word, (B, T), and perhaps of what is special.
        special (`Tensor`): True at special tokens and where there is nothing, (B, T), which have no next words.
        count (`int`): How many words.
    """
    words = Compaction.from_mask(starts & ~special)
    last, seen = (words.lengths[:, None] - 1).clamp(min=0), []
    for step in range(1, count + 1):
        # (B, T)
        ahead = words.rank + step
        is_there = ((ahead <= last) & ~special).unsqueeze(2)
        seen.append(take_positions(values, take_positions(words.order, torch.minimum(ahead, last))) * is_there)
    return torch.cat(seen, 2)


def _run_rows(
    x: Tensor, lengths: Tensor, state: list[Tensor], weights: list[Tensor], cell_type: str, training: bool
) -> tuple[Tensor, Tensor]:
    batch_size, length, _ = x.shape
    packing = Packing.from_lengths(lengths)
    exists = torch.arange(length, device=x.device) < lengths[:, None]
    # (N,): the place of each packed token in the flattened batch
    places = exists.flatten().nonzero().squeeze(1)[packing.source]
    # inside an operator the dtype is that of its input
    with torch.autocast(x.device.type, enabled=False):
        out, final = run_layer(x.flatten(0, 1)[places], packing, tuple(state) or None, weights, cell_of(cell_type), training)
    padded = x.new_zeros(batch_size * length, out.shape[1]).index_copy(0, places, out)
    # our kernel returns finer states than half precision, and a graph knows one dtype
    return padded.view(batch_size, length, out.shape[1]), torch.stack(final).to(x.dtype)


def _run_words(x: Tensor, unit_of: Tensor, lengths: Tensor, weights: list[Tensor]) -> Tensor:
    batch_size, length, _ = x.shape
    exists = torch.arange(length, device=x.device) < lengths[:, None]
    # (B * T,): pieces of each unit
    counts = x.new_zeros(batch_size, length, dtype=torch.long).scatter_add(1, unit_of, exists.long()).flatten()
    units = counts.nonzero().squeeze(1)
    packing = Packing.from_lengths(counts[units])
    places = exists.flatten().nonzero().squeeze(1)[packing.source]
    with torch.autocast(x.device.type, enabled=False):
        _, (h, _) = run_layer(x.flatten(0, 1)[places], packing, None, weights, LSTM, False)
    states = torch.cat([h[0], h[1]], dim=1)
    return x.new_zeros(batch_size * length, states.shape[1]).index_copy(0, units, states).view(batch_size, length, states.shape[1])


def _gradients(run: Callable[..., tuple[Tensor, ...]], tensors: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
    """Return the gradients of `run(*tensors)` by running it again: an operator keeps nothing but its inputs."""
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    # operators run below autograd: let it see what happens here
    with torch._C._SetExcludeDispatchKeyGuard(torch._C.DispatchKey.AutogradFunctionality, False), torch.enable_grad():
        outputs = run(*leaves)
    # without a token nothing depends on the weights
    needed = [(output, grad) for output, grad in zip(outputs, grads, strict=True) if output.requires_grad]
    if not needed:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad([output for output, _ in needed], leaves, [grad for _, grad in needed], allow_unused=True)
    return [torch.zeros_like(leaf) if grad is None else grad.clone() for grad, leaf in zip(found, leaves, strict=True)]


@torch.library.custom_op("hf_rnn::recurrence", mutates_args=())
def recurrence(
    x: Tensor, lengths: Tensor, state: list[Tensor], weights: list[Tensor], cell_type: str, training: bool
) -> tuple[Tensor, Tensor]:
    """Run one recurrent layer over padded rows.

    Args:
        x (`Tensor`): Rows, (B, T, I), padded on the right.
        lengths (`Tensor`): Positions of each row, (B,).
        state (`list`): Initial states of the cell, each (D, B, H), or nothing for zeros.
        weights (`list`): w_ih, w_hh, b_ih, b_hh of each of D directions.
        cell_type (`str`): Name of the cell.
        training (`bool`): Whether the layer is being trained.

    Returns:
        `tuple`: Outputs (B, T, D*H), zero behind a row's length, and the final states, (number of states, D, B, H).
    """
    return _run_rows(x, lengths, state, weights, cell_type, training)


@recurrence.register_fake
def _(x: Tensor, lengths: Tensor, state: list[Tensor], weights: list[Tensor], cell_type: str, training: bool) -> tuple[Tensor, Tensor]:
    directions, size_h = len(weights) // 4, weights[1].shape[1]
    final = x.new_empty(len(cell_of(cell_type).states), directions, x.shape[0], size_h)
    return x.new_empty(x.shape[0], x.shape[1], directions * size_h), final


@torch.library.custom_op("hf_rnn::recurrence_backward", mutates_args=())
def recurrence_backward(
    d_out: Tensor, d_final: Tensor, x: Tensor, lengths: Tensor, state: list[Tensor], weights: list[Tensor], cell_type: str, training: bool
) -> list[Tensor]:
    """Return the gradients of x, the initial state and the weights of `recurrence`."""
    split = 1 + len(state)

    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        return _run_rows(x, lengths, list(rest[: split - 1]), list(rest[split - 1 :]), cell_type, training)

    return _gradients(run, [x, *state, *weights], [d_out, d_final])


@recurrence_backward.register_fake
def _(
    d_out: Tensor, d_final: Tensor, x: Tensor, lengths: Tensor, state: list[Tensor], weights: list[Tensor], cell_type: str, training: bool
) -> list[Tensor]:
    return [torch.empty_like(tensor) for tensor in (x, *state, *weights)]


def _save_recurrence(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    x, lengths, state, weights, ctx.cell_type, ctx.training = inputs
    ctx.num_states = len(state)
    ctx.save_for_backward(x, lengths, *state, *weights)


def _recurrence_gradients(ctx: Any, d_out: Tensor, d_final: Tensor) -> tuple:
    x, lengths, *rest = ctx.saved_tensors
    state, weights = rest[: ctx.num_states], rest[ctx.num_states :]
    grads = recurrence_backward(d_out, d_final, x, lengths, state, weights, ctx.cell_type, ctx.training)
    return grads[0], None, grads[1 : 1 + ctx.num_states], grads[1 + ctx.num_states :], None, None


recurrence.register_autograd(_recurrence_gradients, setup_context=_save_recurrence)


@torch.library.custom_op("hf_rnn::word_recurrence", mutates_args=())
def word_recurrence(x: Tensor, unit_of: Tensor, lengths: Tensor, weights: list[Tensor]) -> Tensor:
    """Read the pieces of each word by a bidirectional LSTM and return its final states.

    Args:
        x (`Tensor`): Pieces, (B, T, E), padded on the right.
        unit_of (`Tensor`): The word of each piece, counted in its row, (B, T).
        lengths (`Tensor`): Pieces of each row, (B,).
        weights (`list`): w_ih, w_hh, b_ih, b_hh of each direction.

    Returns:
        `Tensor`: (B, T, 2H): words at the left of each row, zeros behind them.
    """
    return _run_words(x, unit_of, lengths, weights)


@word_recurrence.register_fake
def _(x: Tensor, unit_of: Tensor, lengths: Tensor, weights: list[Tensor]) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1], 2 * weights[1].shape[1])


@torch.library.custom_op("hf_rnn::word_recurrence_backward", mutates_args=())
def word_recurrence_backward(grad: Tensor, x: Tensor, unit_of: Tensor, lengths: Tensor, weights: list[Tensor]) -> list[Tensor]:
    """Return the gradients of the pieces and the weights of `word_recurrence`."""
    return _gradients(lambda x, *weights: (_run_words(x, unit_of, lengths, list(weights)),), [x, *weights], [grad])


@word_recurrence_backward.register_fake
def _(grad: Tensor, x: Tensor, unit_of: Tensor, lengths: Tensor, weights: list[Tensor]) -> list[Tensor]:
    return [torch.empty_like(tensor) for tensor in (x, *weights)]


def _save_words(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, unit_of, lengths, weights = inputs
    ctx.save_for_backward(x, unit_of, lengths, *weights)


def _word_gradients(ctx: Any, grad: Tensor) -> tuple:
    x, unit_of, lengths, *weights = ctx.saved_tensors
    d_x, *d_weights = word_recurrence_backward(grad, x, unit_of, lengths, weights)
    return d_x, None, None, d_weights


word_recurrence.register_autograd(_word_gradients, setup_context=_save_words)
