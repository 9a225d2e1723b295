"""How the operators of the mask-only form are written in ONNX, for `torch.onnx.export`.

Each function takes and returns values of the graph and does what the operator of the same name does; onnxscript turns its calls into nodes.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from onnxscript import DOUBLE, FLOAT, INT64, graph, script
from onnxscript import opset18 as op

from ..models.cells import CELLS, LSTM, Cell
from .scan import scan_cell

# the operators are defined where they are imported from

INT32_TYPE, INT64_TYPE = 6, 7
# words of more than one and up to the next many pieces are read together
WORD_LENGTHS = (0, 4, 32, 512, 8192, 2**31)


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
    cell, by_time = CELLS[cell_type], op.Transpose(x, perm=[1, 0, 2])
    write = scan_cell if cell.onnx is None else _operator
    # (T, D, B, H), (D, B, H) of each state
    out, final = write(by_time, lengths, state, weights, cell)
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
def onnx_max_marginals(emissions: FLOAT, lengths: INT64, start: DOUBLE, end: DOUBLE, transitions: DOUBLE) -> FLOAT:
    """Write `hf_rnn::max_marginals`: a scan over the positions and one back, as in `models.crf`."""
    # (W,), (B, W)
    positions = op.Range(0, op.Squeeze(op.Shape(emissions, start=1, end=2)), 1)
    mask = op.Less(positions, op.Unsqueeze(lengths, [1]))
    # (W, B), (W, B, 1), (W, B, C)
    is_last = op.Transpose(op.Equal(positions, op.Unsqueeze(lengths - 1, [1])), perm=[1, 0])
    exists = op.Unsqueeze(op.Transpose(mask, perm=[1, 0]), [2])
    scores = op.Transpose(op.CastLike(emissions, transitions), perm=[1, 0, 2])
    scores = op.Where(exists, scores, op.CastLike(0.0, transitions))
    # (B, C)
    first = start + op.Gather(scores, 0, axis=0)

    @graph()
    def forward(alpha, score, is_move):  # type: ignore[no-untyped-def]
        moved = op.Unsqueeze(alpha, [2]) + transitions
        best = op.ReduceMax(moved, [1], keepdims=0) + score
        reached = op.Where(is_move, best, alpha)
        return reached, op.Identity(reached), op.ArgMax(moved, axis=1, keepdims=0)

    # a scan needs a position: at the first one nothing moves
    moves = op.And(exists, op.Unsqueeze(op.Greater(positions, 0), [1, 2]))
    _, alphas, chosen = op.Scan(first, scores, moves, body=forward, num_scan_inputs=2)
    # what a position needs of the next one; the last gets the first one's, where nothing moves
    after = op.Mod(positions + 1, op.Shape(emissions, start=1, end=2))
    beta = op.Expand(end, op.Shape(first))
    tag = op.ArgMax(first, axis=1, keepdims=0) * 0

    @graph()
    def backward(beta, tag, alpha, next_score, has_next, pointer, ends):  # type: ignore[no-untyped-def]
        following = op.ReduceMax(transitions + op.Unsqueeze(beta + next_score, [1]), [2], keepdims=0)
        onward = op.Where(has_next, following, end)
        marginal = alpha + onward
        followed = op.Squeeze(op.GatherElements(pointer, op.Unsqueeze(tag, [1]), axis=1), [1])
        best = op.Where(ends, op.ArgMax(marginal, axis=1, keepdims=0), followed)
        return onward, best, marginal, op.Identity(best)

    _, _, marginals, path = op.Scan(
        beta,
        tag,
        alphas,
        op.Gather(scores, after, axis=0),
        op.Gather(moves, after, axis=0),
        op.Gather(chosen, after, axis=0),
        is_last,
        body=backward,
        num_scan_inputs=5,
        scan_input_directions=[1, 1, 1, 1, 1],
        scan_output_directions=[1, 1],
    )
    # (B, W, C)
    shortfall = op.CastLike(op.Transpose(marginals - op.ReduceMax(marginals, [2], keepdims=1), perm=[1, 0, 2]), emissions)
    shortfall = op.Min(shortfall, op.CastLike(-1.1754943508222875e-38, emissions))
    tags = op.Range(0, op.Squeeze(op.Shape(emissions, start=2, end=3)), 1)
    is_best = op.Equal(op.Unsqueeze(op.Transpose(path, perm=[1, 0]), [2]), tags)
    zero = op.CastLike(0.0, emissions)
    return op.Where(op.Unsqueeze(mask, [2]), op.Where(is_best, zero, shortfall), zero)


@script(default_opset=op)
def onnx_forward_backward(emissions: FLOAT, lengths: INT64, start: DOUBLE, end: DOUBLE, transitions: DOUBLE) -> DOUBLE:
    """Write `hf_rnn::forward_backward`: a scan over the positions and one back."""
    # (W,), (W, B, 1), (W, B, C)
    positions = op.Range(0, op.Squeeze(op.Shape(emissions, start=1, end=2)), 1)
    exists = op.Unsqueeze(op.Less(op.Unsqueeze(positions, [1]), op.Unsqueeze(lengths, [0])), [2])
    scores = op.Transpose(op.CastLike(emissions, transitions), perm=[1, 0, 2])
    scores = op.Where(exists, scores, op.CastLike(0.0, transitions))
    # (B, C)
    first = start + op.Gather(scores, 0, axis=0)

    @graph()
    def forward(alpha, score, is_move):  # type: ignore[no-untyped-def]
        moved = op.ReduceLogSumExp(op.Unsqueeze(alpha, [2]) + transitions, [1], keepdims=0) + score
        reached = op.Where(is_move, moved, alpha)
        return reached, op.Identity(reached)

    # a scan needs a position: at the first one nothing moves
    moves = op.And(exists, op.Unsqueeze(op.Greater(positions, 0), [1, 2]))
    _, alphas = op.Scan(first, scores, moves, body=forward, num_scan_inputs=2)
    # what a position needs of the next one; the last gets the first one's, where nothing moves
    after = op.Mod(positions + 1, op.Shape(emissions, start=1, end=2))

    @graph()
    def backward(beta, next_score, has_next):  # type: ignore[no-untyped-def]
        following = op.ReduceLogSumExp(transitions + op.Unsqueeze(beta + next_score, [1]), [2], keepdims=0)
        onward = op.Where(has_next, following, end)
        return onward, op.Identity(onward)

    _, betas = op.Scan(
        op.Expand(end, op.Shape(first)),
        op.Gather(scores, after, axis=0),
        op.Gather(moves, after, axis=0),
        body=backward,
        num_scan_inputs=2,
        scan_input_directions=[1, 1],
        scan_output_directions=[1],
    )
    # (2, B, W, C)
    both = op.Concat(op.Unsqueeze(alphas, [0]), op.Unsqueeze(betas, [0]), axis=0)
    return op.Transpose(both, perm=[0, 2, 1, 3])


def onnx_searchsorted(keys: Any, values: Any, **options: Any) -> Any:
    """Write `aten::searchsorted`: how many of sorted keys (V,) are below each value, by bisection."""
    count = keys.shape[0]
    found = op.Mul(values, _constant(0))
    step = 1 << (count.bit_length() - 1) if count else 0
    while step:
        reached = op.Add(found, _constant(step))
        inside = op.LessOrEqual(reached, _constant(count))
        key = op.Gather(keys, op.Where(inside, op.Sub(reached, _constant(1)), _constant(0)))
        found = op.Where(op.And(inside, op.Less(key, values)), reached, found)
        step //= 2
    return found


TRANSLATIONS = {
    torch.ops.hf_rnn.recurrence.default: onnx_recurrence,
    torch.ops.hf_rnn.word_recurrence.default: onnx_word_recurrence,
    torch.ops.hf_rnn.max_marginals.default: onnx_max_marginals,
    torch.ops.hf_rnn.forward_backward.default: onnx_forward_backward,
    torch.ops.aten.searchsorted.Tensor: onnx_searchsorted,
}
