"""How the operators of the mask-only form are written in ONNX, for `torch.onnx.export`.

Each function takes and returns values of the graph and does what the operator of the same name does; onnxscript turns its calls into nodes.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from onnxscript import BOOL, DOUBLE, INT64, graph, script
from onnxscript import opset18 as op

from ..models.cells import CELLS, LSTM, Cell
from .scan import scan_cell

# the operators are defined where they are imported from

INT32_TYPE, INT64_TYPE = 6, 7
# words of more than one and up to the next many pieces are read together
WORD_LENGTHS = (0, 2, 32, 512, 8192, 2**31)


def _constant(*values: int) -> Any:
    return op.Constant(value_ints=list(values))


def _stack_directions(weights: Sequence[Any], order: Sequence[int]) -> list[Any]:
    """Return W (D, G*H, I), R (D, G*H, H) and B (D, 2*G*H) of ONNX from w_ih, w_hh, b_ih, b_hh of each direction."""
    size = weights[1].shape[1]
    # (G*H,)
    rows = _constant(*(gate * size + row for gate in order for row in range(size)))
    stacked: list[list[Any]] = [[], [], []]
    for start in range(0, len(weights), 4):
        w_ih, w_hh, b_ih, b_hh = (op.Gather(weight, rows, axis=0) for weight in weights[start : start + 4])
        for values, value in zip(stacked, (w_ih, w_hh, op.Concat(b_ih, b_hh, axis=0)), strict=True):
            values.append(op.Unsqueeze(value, _constant(0)))
    return [op.Concat(*values, axis=0) for values in stacked]


def onnx_recurrence(x: Any, lengths: Any, state: Sequence[Any], weights: Sequence[Any], cell_type: str, training: bool) -> tuple[Any, Any]:
    """Write `hf_rnn::recurrence`: outputs (B, T, D*H) and final states (number of states, D, B, H)."""
    cell = CELLS[cell_type]
    write = scan_cell if cell.onnx is None else _operator
    # no further than the longest row goes: of words there are fewer than of pieces
    longest = op.Max(op.ReduceMax(lengths, keepdims=1), _constant(1))
    by_time = op.Transpose(op.Slice(x, _constant(0), longest, _constant(1)), perm=[1, 0, 2])
    # (T, D, B, H), (D, B, H) of each state
    out, final = write(by_time, lengths, state, weights, cell)
    out = op.Pad(out, op.Concat(_constant(0, 0, 0, 0), op.Sub(op.Shape(x, start=1, end=2), longest), _constant(0, 0, 0), axis=0))
    # (T, D, B, H) -> (B, T, D, H) -> (B, T, D*H)
    rows = op.Reshape(op.Transpose(out, perm=[2, 0, 1, 3]), _constant(0, 0, -1))
    return rows, op.Concat(*(op.Unsqueeze(part, _constant(0)) for part in final), axis=0)


def _operator(x: Any, lengths: Any, state: Sequence[Any], weights: Sequence[Any], cell: Cell) -> tuple[Any, Sequence[Any]]:
    """Write ONNX's operator of a cell; see `scan.scan_cell`."""
    assert cell.onnx is not None
    options: dict[str, Any] = {
        "hidden_size": weights[1].shape[1],
        "direction": "bidirectional" if len(weights) == 8 else "forward",
        **cell.onnx.attributes,
    }
    inputs = [x, *_stack_directions(weights, cell.onnx.order), op.Cast(lengths, to=INT32_TYPE), *state]
    out, *final = getattr(op, cell.onnx.name)(*inputs, **options)
    return out, final


def onnx_word_recurrence(x: Any, unit_of: Any, lengths: Any, weights: Sequence[Any]) -> Any:
    """Write `hf_rnn::word_recurrence`: words of similar length become rows of as many steps; final states (B, T, 2H).

    One long word then makes no other as long: what is gathered is at most 16 times the pieces.
    """
    size = op.Shape(x)
    batch, length, width = (op.Slice(size, _constant(axis), _constant(axis + 1)) for axis in range(3))
    # (T,), (B, T)
    positions = op.Range(op.Constant(value_int=0), op.Squeeze(length), op.Constant(value_int=1))
    exists = op.Less(positions, op.Unsqueeze(lengths, _constant(1)))
    zeros = op.ConstantOfShape(op.Concat(batch, length, axis=0), value=onnx.helper.make_tensor("zero", INT64_TYPE, [1], [0]))
    # (B, T): pieces of each word, and where the first of them is among all positions
    counts = op.ScatterElements(zeros, unit_of, op.Cast(exists, to=INT64_TYPE), axis=1, reduction="add")
    first_row = op.Mul(op.Range(op.Constant(value_int=0), op.Squeeze(batch), op.Constant(value_int=1)), op.Squeeze(length))
    starts = op.Add(op.CumSum(counts, op.Constant(value_int=1), exclusive=1), op.Unsqueeze(first_row, _constant(1)))
    # one more word, of one piece, so that no group is empty
    counts = op.Concat(op.Reshape(counts, _constant(-1)), _constant(1), axis=0)
    starts = op.Concat(op.Reshape(starts, _constant(-1)), _constant(0), axis=0)
    slots = op.Mul(batch, length)
    pieces = op.Reshape(x, op.Concat(_constant(-1), width, axis=0))
    states = op.CastLike(op.ConstantOfShape(op.Concat(op.Add(slots, _constant(1)), _constant(2 * weights[1].shape[1]), axis=0)), x)
    for low, high in itertools.pairwise(WORD_LENGTHS):
        chosen = op.And(op.Greater(counts, _constant(low)), op.LessOrEqual(counts, _constant(high)))
        # (K,), (K, L), (K, L, E)
        words = op.Concat(op.Reshape(op.NonZero(chosen), _constant(-1)), slots, axis=0)
        steps = op.Gather(counts, words)
        places = op.Range(op.Constant(value_int=0), op.ReduceMax(steps, keepdims=0), op.Constant(value_int=1))
        index = op.Min(op.Add(op.Unsqueeze(op.Gather(starts, words), _constant(1)), places), op.Sub(slots, _constant(1)))
        _, final = onnx_recurrence(op.Gather(pieces, index, axis=0), steps, (), weights, LSTM.name, False)
        # (2, 2, K, H), of which h comes first -> (K, 2, H) -> (K, 2H)
        h = op.Transpose(op.Squeeze(op.Slice(final, _constant(0), _constant(1)), _constant(0)), perm=[1, 0, 2])
        states = op.ScatterND(states, op.Unsqueeze(words, _constant(1)), op.Reshape(h, _constant(0, -1)))
    return op.Reshape(op.Slice(states, _constant(0), slots, _constant(0)), op.Concat(batch, length, _constant(-1), axis=0))


# the types are those of onnxscript's own language, in which a function becomes a function of the ONNX model
@script(default_opset=op)
def _search(first: DOUBLE, both: DOUBLE, moves: DOUBLE) -> DOUBLE:
    """Return the best scores of what is read before each tag (W, 2, B, C), from the first (2, B, C) on, by moves (2, 1, C, C)."""

    @graph()
    def step(reached, score):  # type: ignore[no-untyped-def]
        return op.ReduceMax(moves + op.Unsqueeze(reached + score, [2]), [3], keepdims=0), op.Identity(reached)

    _, before = op.Scan(first, both, body=step, num_scan_inputs=1)
    return before


@script(default_opset=op)
def _sum(first: DOUBLE, both: DOUBLE, factors: DOUBLE, highest: DOUBLE, tiny: DOUBLE) -> DOUBLE:
    """Return log-sums of what is read before each tag (W, 2, B, C), by factors (2, C, C) of probabilities e^-highest times as large."""

    @graph()
    def step(reached, score):  # type: ignore[no-untyped-def]
        ends = reached + score
        peak = op.ReduceMax(ends, [2], keepdims=1)
        moved = op.Log(op.Max(op.MatMul(op.Exp(ends - peak), factors), tiny)) + (peak + highest)
        return moved, op.Identity(reached)

    _, before = op.Scan(first, both, body=step, num_scan_inputs=1)
    return before


@script(default_opset=op)
def _follow(tag: INT64, alpha: DOUBLE, marginals: DOUBLE, is_last: BOOL, before: DOUBLE) -> INT64:
    """Return the best path (W, B): the last tag of a row is the best of all, each other one that from which the next is reached."""

    @graph()
    def step(tag, ended, marginal, ends):  # type: ignore[no-untyped-def]
        best = op.ArgMax(op.Where(ends, marginal, ended + op.Gather(before, tag, axis=0)), axis=1, keepdims=0)
        return best, op.Identity(best)

    _, path = op.Scan(
        tag, alpha, marginals, is_last, body=step, num_scan_inputs=3, scan_input_directions=[1, 1, 1], scan_output_directions=[1]
    )
    return path


def _positions(emissions: Any) -> Any:
    """Return the positions of rows (B, W, C), (W,)."""
    return op.Range(op.Constant(value_int=0), op.Squeeze(op.Shape(emissions, start=1, end=2)), op.Constant(value_int=1))


def _exists(emissions: Any, lengths: Any) -> Any:
    """Return where a row (B, W, C) has a position, (B, W, 1)."""
    return op.Unsqueeze(op.Less(_positions(emissions), op.Unsqueeze(lengths, _constant(1))), _constant(2))


def _pair(forward: Any, back: Any) -> Any:
    """Return what belongs to both ways of reading side by side, (2, ...)."""
    return op.Concat(op.Unsqueeze(forward, _constant(0)), op.Unsqueeze(back, _constant(0)), axis=0)


def _both_ways(emissions: Any, lengths: Any, start: Any, end: Any) -> tuple[Any, Any, Any]:
    """Return scores read both ways (W, 2, B, C), what they begin with (2, B, C), and the mirror image of positions (B, W, C)."""
    scores = op.Where(_exists(emissions, lengths), op.CastLike(emissions, start), op.CastLike(op.Constant(value_float=0.0), start))
    last = op.Unsqueeze(op.Sub(lengths, _constant(1)), _constant(1))
    mirror = op.Max(op.Sub(last, _positions(emissions)), _constant(0))
    mirror = op.Expand(op.Unsqueeze(mirror, _constant(2)), op.Shape(scores))
    both = op.Transpose(_pair(scores, op.GatherElements(scores, mirror, axis=1)), perm=[2, 0, 1, 3])
    first = op.Expand(op.Unsqueeze(_pair(start, end), _constant(1)), op.Shape(both, start=1))
    return both, first, mirror


def _meet(before: Any, both: Any, mirror: Any) -> tuple[Any, Any]:
    """Return what ends in each tag, and what follows on it, (B, W, C) each, from what is read before it both ways (W, 2, B, C)."""
    forward, back = (op.Constant(value_int=way) for way in (0, 1))
    alpha = op.Add(op.Gather(before, forward, axis=1), op.Gather(both, forward, axis=1))
    beta = op.GatherElements(op.Transpose(op.Gather(before, back, axis=1), perm=[1, 0, 2]), mirror, axis=1)
    return op.Transpose(alpha, perm=[1, 0, 2]), beta


def onnx_max_marginals(emissions: Any, lengths: Any, start: Any, end: Any, transitions: Any) -> Any:
    """Write `hf_rnn::max_marginals`: a scan over the positions both ways at once, as in `models.crf`, and one back along the path."""
    both, first, mirror = _both_ways(emissions, lengths, start, end)
    # (C, C): to each tag from those before it
    before = op.Transpose(transitions, perm=[1, 0])
    reached = _search(first, both, op.Unsqueeze(_pair(before, transitions), _constant(1)))
    alpha, beta = _meet(reached, both, mirror)
    marginals = op.Add(alpha, beta)
    # (W, B, 1)
    last = op.Sub(op.Unsqueeze(lengths, _constant(0, 2)), _constant(1))
    is_last = op.Equal(op.Unsqueeze(_positions(emissions), _constant(1, 2)), last)
    by_position = [op.Transpose(values, perm=[1, 0, 2]) for values in (alpha, marginals)]
    path = _follow(op.Mul(lengths, _constant(0)), *by_position, is_last, before)
    # (B, W, C)
    shortfall = op.CastLike(op.Sub(marginals, op.ReduceMax(marginals, _constant(2), keepdims=1)), emissions)
    shortfall = op.Min(shortfall, op.CastLike(op.Constant(value_float=-torch.finfo(torch.float32).tiny), emissions))
    tags = op.Range(op.Constant(value_int=0), op.Squeeze(op.Shape(emissions, start=2, end=3)), op.Constant(value_int=1))
    is_best = op.Equal(op.Unsqueeze(op.Transpose(path, perm=[1, 0]), _constant(2)), tags)
    zero = op.CastLike(op.Constant(value_float=0.0), emissions)
    return op.Where(_exists(emissions, lengths), op.Where(is_best, zero, shortfall), zero)


def onnx_forward_backward(emissions: Any, lengths: Any, start: Any, end: Any, transitions: Any) -> Any:
    """Write `hf_rnn::forward_backward`: a scan over the positions both ways at once, whose sums are products as in `models.crf`."""
    both, first, mirror = _both_ways(emissions, lengths, start, end)
    highest = op.ReduceMax(transitions, keepdims=0)
    factors = op.Exp(op.Sub(transitions, highest))
    # constants are of single precision, in which the least double is 0
    tiny = op.Exp(op.CastLike(op.Constant(value_float=-708.0), transitions))
    reached = _sum(first, both, _pair(factors, op.Transpose(factors, perm=[1, 0])), highest, tiny)
    return _pair(*_meet(reached, both, mirror))


def onnx_searchsorted(keys: Any, values: Any, **options: Any) -> Any:
    """Write `aten::searchsorted`: how many of sorted keys (V,) are below each value, by bisection."""
    # the last key that is known to be below, and how many behind it may be
    last, left = op.Sub(op.Mul(values, _constant(0)), _constant(1)), keys.shape[0]
    while left:
        half = (left + 1) // 2
        probed = op.Add(last, _constant(half))
        last = op.Where(op.Less(op.Gather(keys, probed), values), probed, last)
        left //= 2
    return op.Add(last, _constant(1))


TRANSLATIONS = {
    torch.ops.hf_rnn.recurrence.default: onnx_recurrence,
    torch.ops.hf_rnn.word_recurrence.default: onnx_word_recurrence,
    torch.ops.hf_rnn.max_marginals.default: onnx_max_marginals,
    torch.ops.hf_rnn.forward_backward.default: onnx_forward_backward,
    torch.ops.aten.searchsorted.Tensor: onnx_searchsorted,
}
