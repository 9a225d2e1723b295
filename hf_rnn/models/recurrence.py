"""Recurrent layers over batches of unequal length, exact for every row, run in the way that suits device and shape."""

import torch
from torch import Tensor, nn

from .backends import run_layer
from .cells import Cell, State, cell_of
from .masked import recurrence
from .packing import Packing


class Recurrence(nn.Module):
    """One layer of a cell over packed tokens; weights have the names and the order of PyTorch's recurrent layers."""

    backend: str = "auto"
    cell_type: str
    hidden_size: int
    _flat_weights_names: list[str]

    @property
    def cell(self) -> Cell:
        """Return the cell."""
        # a name is all that is kept, so that layers can be copied and pickled whatever their step is
        return cell_of(self.cell_type)

    def forward(self, x: Tensor, packing: Packing, state: State | None = None, weight_dropout: float = 0.0) -> tuple[Tensor, State]:
        """Run the layer.

        Args:
            x (`Tensor`): Packed tokens, (N, I).
            packing (`Packing`): How they are packed.
            state (`tuple`, *optional*): Initial states of the cell, each (D, R, H) in the caller's order of rows; zeros by default.
            weight_dropout (`float`): DropConnect on the hidden-to-hidden weights while training (Merity et al. 2018).

        Returns:
            `tuple`: Outputs (N, D*H) and the final state, like `state`. A row without tokens keeps its initial state.

        Raises:
            ValueError: `backend` names no way to run, or one that cannot run here.
        """
        if x.is_cuda and isinstance(self, nn.RNNBase):
            # weights that were loaded one by one are copied at every call until they lie in one piece
            self.flatten_parameters()
        return run_layer(x, packing, state, self.weights(weight_dropout), self.cell, self.training, self.backend)

    def forward_masked(self, x: Tensor, lengths: Tensor, state: State | None = None, weight_dropout: float = 0.0) -> tuple[Tensor, State]:
        """Run the layer over rows (B, T, I) of `lengths` (B,), padded on the right: outputs (B, T, D*H), zero behind them."""
        out, final = recurrence(x, lengths, list(state or ()), self.weights(weight_dropout), self.cell_type, self.training)
        return out, tuple(final)

    def weights(self, weight_dropout: float = 0.0) -> list[Tensor]:
        """Return w_ih, w_hh, b_ih, b_hh of each direction, with DropConnect on the hidden-to-hidden weights while training."""
        weights = [getattr(self, name) for name in self._flat_weights_names]
        if self.training and weight_dropout > 0:
            weights[1::4] = [nn.functional.dropout(weight, weight_dropout) for weight in weights[1::4]]
        return weights


class TorchRecurrence(Recurrence, nn.RNNBase):
    """The layer of a cell that PyTorch has too.

    The base is that of `nn.LSTM` and its like and not these themselves, which `torch.compile` refuses by their class.
    """

    def __init__(self, mode: str, cell_type: str, input_size: int, hidden_size: int, bidirectional: bool) -> None:
        super().__init__(mode, input_size, hidden_size, bidirectional=bidirectional)
        self.cell_type = cell_type


class PlainRecurrence(Recurrence):
    """The layer of any other cell."""

    def __init__(self, cell_type: str, input_size: int, hidden_size: int, bidirectional: bool) -> None:
        super().__init__()
        self.cell_type, self.input_size, self.hidden_size, self.bidirectional = cell_type, input_size, hidden_size, bidirectional
        rows, self._flat_weights_names = len(self.cell.gates) * hidden_size, []
        for suffix in ("_l0", "_l0_reverse")[: 1 + bidirectional]:
            for name, shape in (
                ("weight_ih", (rows, input_size)),
                ("weight_hh", (rows, hidden_size)),
                ("bias_ih", (rows,)),
                ("bias_hh", (rows,)),
            ):
                self._flat_weights_names.append(name + suffix)
                self.register_parameter(name + suffix, nn.Parameter(torch.empty(shape)))
        init_recurrence(self)


def new_recurrence(cell_type: str, input_size: int, hidden_size: int, bidirectional: bool = False) -> Recurrence:
    """Return a layer of a cell.

    Args:
        cell_type (`str`): Name of the cell.
        input_size, hidden_size (`int`): I, and H of one direction.
        bidirectional (`bool`): Whether it also reads every row from its end.

    Raises:
        ValueError: There is no such cell.
    """
    layer = cell_of(cell_type).torch_layer
    if layer is None:
        return PlainRecurrence(cell_type, input_size, hidden_size, bidirectional)
    return TorchRecurrence(layer.mode, cell_type, input_size, hidden_size, bidirectional)


def is_loaded(tensor: Tensor) -> bool:
    """Return whether transformers has filled a tensor from a checkpoint."""
    return getattr(tensor, "_is_hf_initialized", False)


def init_recurrence(module: Recurrence) -> None:
    """Initialise each gate: input weights Glorot, recurrent weights orthogonal (Saxe et al. 2014), biases 0, or on one side what the
    cell says, such as 1 on an LSTM's forget gate (Jozefowicz et al. 2015).
    """
    cell = module.cell
    for name, parameter in module.named_parameters():
        if is_loaded(parameter):
            continue
        for gate, part in zip(cell.gates, parameter.split(module.hidden_size), strict=True):
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(part)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(part)
            else:
                nn.init.constant_(part, cell.biases.get(gate, 0.0) if name.startswith("bias_ih") else 0.0)
