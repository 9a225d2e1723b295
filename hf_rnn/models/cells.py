"""Recurrent cells: a cell is a record, and what differs between cells is asked of the record, never of its name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .kernel_gru import PackedGRU, gru_forward
from .kernel_lstm import PackedLSTM, lstm_forward
from .onednn import is_available, lstm_inference

# h (and what else a cell hands on), of one shape
State = tuple[Tensor, ...]
Step = Callable[[Tensor, State, Tensor, Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True)
class TorchLayer:
    """PyTorch's own layer of a cell.

    Args:
        mode (`str`): What `nn.RNNBase` calls it.
        layer (`type`): The layer, `nn.LSTM` and the like.
        function (`Callable`): The function under it, which takes packed tokens or dense rows.
    """

    mode: str
    layer: type[nn.RNNBase]
    function: Callable[..., Any]


@dataclass(frozen=True)
class Kernel:
    """A kernel for packed rows on a CPU: `forward` without gradients, `function` with them; see `kernel_lstm`."""

    forward: Callable[..., Any]
    function: type[torch.autograd.Function]


@dataclass(frozen=True)
class Inference:
    """A faster way than PyTorch's layer through dense rows without gradients on a CPU, see `onednn.lstm_inference`.

    Args:
        is_available (`Callable`): Whether build and processor have it in a dtype.
        prepare (`Callable`): Takes the weights of a direction, dtype, number of rows and of steps; returns what runs them.
    """

    is_available: Callable[[torch.dtype], bool]
    prepare: Callable[[list[Tensor], torch.dtype, int, int], Callable[[Tensor, State], tuple[Tensor, State]]]


@dataclass(frozen=True)
class OnnxOperator:
    """ONNX's operator of a cell.

    Args:
        name (`str`): Its name.
        order (`tuple`): The places of its gates among those of the cell.
        attributes (`Mapping`): Attributes that make it compute what the cell does.
        has_int8 (`bool`): Whether ONNX Runtime has it in int8.
    """

    name: str
    order: tuple[int, ...]
    attributes: Mapping[str, int] = field(default_factory=dict)
    has_int8: bool = False


@dataclass(frozen=True)
class Cell:
    """All that is known of a recurrent cell; only the first four are needed, the others make it faster or smaller.

    Args:
        name (`str`): The `cell_type` of configs.
        gates (`tuple`): Names of the G blocks of H rows each that its weights are made of, in order.
        states (`tuple`): Names of what a step hands to the next one; the first is the output.
        step (`Callable`): One step of B rows in plain PyTorch. Takes the input's share of every block, `w_ih x + b_ih`, (B, G*H), the
            states, (B, H) each, `w_hh` (G*H, H) and `b_hh` (G*H,). Returns gates and states by name, (B, H) each; those that end in
            "gate" are shares from 0 to 1. A step must not mix rows.
        biases (`Mapping`): Initial biases of blocks that do not start at 0.
        torch_layer (`TorchLayer`, *optional*): PyTorch's own layer.
        kernel (`Kernel`, *optional*): A kernel for packed rows.
        inference (`Inference`, *optional*): A faster way without gradients.
        onnx (`OnnxOperator`, *optional*): ONNX's operator; an export of other cells loops over their step.
    """

    name: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    step: Step
    biases: Mapping[str, float] = field(default_factory=dict)
    torch_layer: TorchLayer | None = None
    kernel: Kernel | None = None
    inference: Inference | None = None
    onnx: OnnxOperator | None = None

    def advance(self, share: Tensor, state: State, w_hh: Tensor, b_hh: Tensor) -> State:
        """Return the states after a step; see `step`."""
        values = self.step(share, state, w_hh, b_hh)
        return tuple(values[name] for name in self.states)


def _lstm_step(share: Tensor, state: State, w_hh: Tensor, b_hh: Tensor) -> dict[str, Tensor]:
    h, c = state
    i, f, g, o = (share + linear(h, w_hh, b_hh)).chunk(4, dim=1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * c + i * g
    return {"input gate": i, "forget gate": f, "output gate": o, "candidate": g, "cell": c, "hidden": o * c.tanh()}


def _gru_step(share: Tensor, state: State, w_hh: Tensor, b_hh: Tensor) -> dict[str, Tensor]:
    (h,) = state
    (r, z, n), (r_h, z_h, n_h) = share.chunk(3, dim=1), linear(h, w_hh, b_hh).chunk(3, dim=1)
    r, z = (r + r_h).sigmoid(), (z + z_h).sigmoid()
    n = (n + r * n_h).tanh()
    return {"reset gate": r, "update gate": z, "candidate": n, "hidden": (1 - z) * n + z * h}


def _rnn_step(share: Tensor, state: State, w_hh: Tensor, b_hh: Tensor) -> dict[str, Tensor]:
    return {"hidden": (share + linear(state[0], w_hh, b_hh)).tanh()}


# Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000, open at first (Jozefowicz et al. 2015)
LSTM = Cell(
    name="lstm",
    gates=("input gate", "forget gate", "candidate", "output gate"),
    states=("hidden", "cell"),
    step=_lstm_step,
    biases={"forget gate": 1.0},
    torch_layer=TorchLayer("LSTM", nn.LSTM, torch.lstm),
    kernel=Kernel(lstm_forward, PackedLSTM),
    inference=Inference(is_available, lstm_inference),
    onnx=OnnxOperator("LSTM", (0, 3, 1, 2), has_int8=True),
)
# Cho et al. 2014, with the reset gate after the product
GRU = Cell(
    name="gru",
    gates=("reset gate", "update gate", "candidate"),
    states=("hidden",),
    step=_gru_step,
    torch_layer=TorchLayer("GRU", nn.GRU, torch.gru),
    kernel=Kernel(gru_forward, PackedGRU),
    onnx=OnnxOperator("GRU", (1, 0, 2), {"linear_before_reset": 1}),
)
# Elman 1990, without gates
RNN = Cell(
    name="rnn",
    gates=("hidden",),
    states=("hidden",),
    step=_rnn_step,
    torch_layer=TorchLayer("RNN_TANH", nn.RNN, torch.rnn_tanh),
    onnx=OnnxOperator("RNN", (0,)),
)
BUILT_IN = (LSTM, GRU, RNN)
CELLS = {cell.name: cell for cell in BUILT_IN}


def cell_of(name: str) -> Cell:
    """Return the cell of a name.

    Raises:
        ValueError: There is none.
    """
    if name not in CELLS:
        raise ValueError(
            f"`cell_type` must be one of {tuple(CELLS)}, got {name!r}. Set it in RnnConfig or pass --cell_type; "
            "for a cell of your own call hf_rnn.register_cell first."
        )
    return CELLS[name]


def register_cell(cell: Cell) -> Cell:
    """Make a cell of your own a `cell_type` of configs, in this process; what it was registered as before is replaced.

    Args:
        cell (`Cell`): Its name, gates, states and step, and what there is to make it fast.

    Returns:
        `Cell`: The same.

    Raises:
        ValueError: The name is that of a built-in cell, or the step does not do what a step must.
    """
    if not isinstance(cell, Cell):
        raise ValueError(f"`cell` must be a hf_rnn.models.cells.Cell, got {type(cell).__name__}. Give it name, gates, states and step.")
    if not str(cell.name).isidentifier() or cell.name in {each.name for each in BUILT_IN}:
        raise ValueError(f"`name` must be an identifier and none of a built-in cell, got {cell.name!r}. Choose another one.")
    for name, values in (("gates", cell.gates), ("states", cell.states)):
        if not isinstance(values, tuple) or not values or len(set(values)) < len(values):
            raise ValueError(f"`{name}` of the cell {cell.name!r} must be a tuple of different names, at least one, got {values!r}.")
    if not set(cell.biases) <= set(cell.gates):
        raise ValueError(f"`biases` of the cell {cell.name!r} must be of its gates {cell.gates}, got {tuple(cell.biases)}.")
    _check_step(cell)
    CELLS[cell.name] = cell
    return cell


@torch.no_grad()
def _check_step(cell: Cell) -> None:
    """Raise a ValueError if a step of three rows of two units fails, lacks a state, or mixes rows."""
    generator = torch.Generator().manual_seed(0)
    width = 2 * len(cell.gates)
    shapes = [(3, width), *[(3, 2)] * len(cell.states), (width, 2), (width,)]
    share, *state, w_hh, b_hh = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    try:
        values = cell.step(share, tuple(state), w_hh, b_hh)
        alone = cell.step(share[1:2], tuple(part[1:2] for part in state), w_hh, b_hh)
    except Exception as error:
        raise ValueError(f"`step` of the cell {cell.name!r} fails on 3 rows of 2 units: {type(error).__name__}: {error}") from error
    if not isinstance(values, Mapping) or not set(cell.states) <= set(values):
        got: Any = tuple(values) if isinstance(values, Mapping) else type(values).__name__
        raise ValueError(f"`step` of the cell {cell.name!r} must return its states {cell.states} by name, got {got}.")
    for name, value in values.items():
        if not isinstance(value, Tensor) or value.shape != (3, 2):
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"`step` of the cell {cell.name!r} must return (3, 2) for 3 rows of 2 units, got {got} as {name!r}.")
        if not torch.allclose(value[1:2], alone[name]):
            raise ValueError(
                f"`step` of the cell {cell.name!r} mixes rows: {name!r} of a row differs beside others. Work on each row alone."
            )
