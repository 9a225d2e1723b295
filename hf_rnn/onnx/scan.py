"""Cells that ONNX has no operator for: a scan over time whose body is the cell's step."""

import itertools
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch
from onnxscript import evaluator, opset18
from torch import Tensor, nn
from torch.export import Dim

from ..models.cells import Cell, State

# its types are those of ONNX
op: Any = opset18
# of `op`, and the one that PyTorch's own translations are written in
OPSET = 18
# names are shared by a graph and the bodies in it
_bodies = itertools.count()


class _Step(nn.Module):
    """A step of a cell as a module, to be exported."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, share: Tensor, state: State, w_hh: Tensor, b_hh: Tensor) -> State:
        return self.cell.advance(share, state, w_hh, b_hh)


def scan_cell(x: Any, lengths: Any, state: Sequence[Any], weights: Sequence[Any], cell: Cell) -> tuple[Any, list[Any]]:
    """Write a layer: outputs (T, D, B, H), zero behind a row's length, and final states (D, B, H) from x (T, B, I).

    Args:
        x (`Any`): Value of the graph, (T, B, I).
        lengths (`Any`): (B,), int64.
        state (`Sequence`): Initial states, (D, B, H) each, or nothing for zeros.
        weights (`Sequence`): w_ih, w_hh, b_ih, b_hh of each direction.
        cell (`Cell`): The cell.
    """
    length, batch = (op.Shape(x, start=axis, end=axis + 1) for axis in (0, 1))
    times = op.Range(op.Constant(value_int=0), op.Squeeze(length), op.Constant(value_int=1))
    # (T, B, 1)
    exists = op.Unsqueeze(op.Less(op.Unsqueeze(times, _ints(1)), op.Unsqueeze(lengths, _ints(0))), _ints(2))
    size = weights[1].shape[1]
    zeros = op.CastLike(op.ConstantOfShape(op.Concat(batch, _ints(size), axis=0)), x)
    outputs, finals = [], []
    for direction in range(len(weights) // 4):
        w_ih, w_hh, b_ih, b_hh = weights[4 * direction : 4 * direction + 4]
        # (T, B, G*H)
        shares = _turned(op.Add(op.MatMul(x, op.Transpose(w_ih, perm=[1, 0])), b_ih), lengths, direction)
        first = [op.Gather(part, op.Constant(value_int=direction), axis=0) for part in state] or [zeros] * len(cell.states)
        *final, out = _scan([*first, shares, exists], _body(cell, size, w_hh, b_hh))
        outputs.append(op.Unsqueeze(_turned(out, lengths, direction), _ints(1)))
        finals.append([op.Unsqueeze(part, _ints(0)) for part in final])
    return op.Concat(*outputs, axis=1), [op.Concat(*parts, axis=0) for parts in zip(*finals, strict=True)]


def _ints(*values: int) -> Any:
    return op.Constant(value_ints=list(values))


def _turned(values: Any, lengths: Any, direction: int) -> Any:
    """Return values (T, B, M) with every row reversed within its own length, for the second direction."""
    return op.ReverseSequence(values, lengths, batch_axis=1, time_axis=0) if direction else values


def _scan(inputs: list[Any], body: ir.Graph) -> Sequence[Any]:
    """Write a scan over the last two inputs."""
    attributes = [ir.AttrGraph("body", body), ir.AttrInt64("num_scan_inputs", 2)]
    node = ir.Node("", "Scan", inputs, attributes, num_outputs=len(body.outputs), version=OPSET)
    recorder: Any = evaluator.default()
    recorder.nodes.append(node)
    return node.outputs


def _body(cell: Cell, size: int, w_hh: ir.Value, b_hh: ir.Value) -> ir.Graph:
    """Return a step of rows as a graph: states, share and whether rows go on in, states and output out; weights come from around it."""
    rows, count, batch = len(cell.gates) * size, len(cell.states), {0: Dim("batch", min=1, max=2**31)}
    # one tensor in two places would be one input
    state = tuple(torch.zeros(2, size) for _ in cell.states)
    example = (torch.zeros(2, rows), state, torch.zeros(rows, size), torch.zeros(rows))
    program = torch.onnx.export(
        _Step(cell).eval(),
        example,
        dynamic_shapes=(batch, (batch,) * count, None, None),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    graph = program.model.graph
    share, *before, own_w_hh, own_b_hh = graph.inputs
    for inner, outer in ((own_w_hh, w_hh), (own_b_hh, b_hh)):
        ir.convenience.replace_all_uses_with(inner, outer)
    exists = ir.Value(name="exists", type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape(["batch", 1]))
    zero = ir.node("Constant", [], {"value_float": 0.0})
    # rows that have ended keep their state
    kept = [ir.node("Where", [exists, after, now]) for after, now in zip(graph.outputs, before, strict=True)]
    shown = ir.node("Where", [exists, graph.outputs[0], zero.outputs[0]])
    graph.extend([zero, *kept, shown])
    graph.inputs[:] = [*before, share, exists]
    graph.outputs[:] = [node.outputs[0] for node in (*kept, shown)]
    prefix = f"step_{next(_bodies)}_"
    for number, value in enumerate([*graph.inputs, *graph.initializers.values(), *(value for node in graph for value in node.outputs)]):
        value.name = f"{prefix}{number}"
    return graph
