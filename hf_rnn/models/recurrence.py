"""Recurrent layers over batches of unequal length, exact for every row, run in the way that suits device and shape."""

from torch import Tensor, nn

from .backends import State, run_layer
from .masked import recurrence
from .packing import Packing


def masked_locked_dropout(x: Tensor, p: float) -> Tensor:
    """Drop features of padded rows (B, T, F), the same ones at all steps of a row; see `locked_dropout`."""
    return x * x.new_empty(x.shape[0], 1, x.shape[2]).bernoulli_(1 - p).div_(1 - p)


def locked_dropout(x: Tensor, rows: Tensor, num_rows: int, p: float) -> Tensor:
    """Drop features of packed tokens, the same ones at all steps of a row (Gal and Ghahramani 2016).

    Args:
        x (`Tensor`): Packed tokens, (N, F).
        rows (`Tensor`): Row of each token, (N,).
        num_rows (`int`): R.
        p (`float`): Probability of dropping; the rest is scaled by 1 / (1 - p).
    """
    # (R, F)
    mask = x.new_empty(num_rows, x.shape[1]).bernoulli_(1 - p).div_(1 - p)
    # (N, F)
    return x * mask.index_select(0, rows)


class _RaggedRecurrence(nn.RNNBase):
    """Forward pass shared by `RaggedLSTM` and `RaggedGRU`: one layer over packed tokens.

    The base is that of `nn.LSTM` and `nn.GRU` and not these themselves, which `torch.compile` refuses by their class.
    """

    backend: str = "auto"

    def forward(self, x: Tensor, packing: Packing, state: State | None = None, weight_dropout: float = 0.0) -> tuple[Tensor, State]:
        """Run the layer.

        Args:
            x (`Tensor`): Packed tokens, (N, I).
            packing (`Packing`): How they are packed.
            state (`tuple`, *optional*): Initial h (and c), each (D, R, H) in the caller's order of rows; zeros by default.
            weight_dropout (`float`): DropConnect on the hidden-to-hidden weights while training (Merity et al. 2018).

        Returns:
            `tuple`: Outputs (N, D*H) and the final state, like `state`. A row without tokens keeps its initial state.

        Raises:
            ValueError: `backend` names no way to run, or one that cannot run here.
        """
        if x.is_cuda:
            # weights that were loaded one by one are copied at every call until they lie in one piece
            self.flatten_parameters()
        return run_layer(x, packing, state, self.weights(weight_dropout), self.mode, self.training, self.backend)

    def forward_masked(self, x: Tensor, lengths: Tensor, state: State | None = None, weight_dropout: float = 0.0) -> tuple[Tensor, State]:
        """Run the layer over rows (B, T, I) of `lengths` (B,), padded on the right: outputs (B, T, D*H), zero behind them."""
        out, final = recurrence(x, lengths, list(state or ()), self.weights(weight_dropout), self.mode, self.training)
        return out, tuple(final)

    def weights(self, weight_dropout: float = 0.0) -> list[Tensor]:
        """Return w_ih, w_hh, b_ih, b_hh of each direction, with DropConnect on the hidden-to-hidden weights while training."""
        weights = [getattr(self, name) for name in self._flat_weights_names]
        if self.training and weight_dropout > 0:
            weights[1::4] = [nn.functional.dropout(weight, weight_dropout) for weight in weights[1::4]]
        return weights


class RaggedLSTM(_RaggedRecurrence):
    """`torch.nn.LSTM` of one layer whose forward pass takes packed tokens; weights, names and gate order are PyTorch's."""

    def __init__(self, input_size: int, hidden_size: int, bidirectional: bool = False) -> None:
        super().__init__("LSTM", input_size, hidden_size, bidirectional=bidirectional)


class RaggedGRU(_RaggedRecurrence):
    """`torch.nn.GRU` of one layer whose forward pass takes packed tokens; weights, names and gate order are PyTorch's."""

    def __init__(self, input_size: int, hidden_size: int, bidirectional: bool = False) -> None:
        super().__init__("GRU", input_size, hidden_size, bidirectional=bidirectional)


def is_loaded(tensor: Tensor) -> bool:
    """Return whether transformers has filled a tensor from a checkpoint."""
    return getattr(tensor, "_is_hf_initialized", False)


def init_recurrence(module: nn.RNNBase) -> None:
    """Initialise each gate: input weights Glorot, recurrent weights orthogonal (Saxe et al. 2014), biases 0, but 1 on an LSTM's
    forget gate (Jozefowicz et al. 2015).
    """
    for name, parameter in module.named_parameters():
        if is_loaded(parameter):
            continue
        gates = parameter.split(module.hidden_size)
        for index, gate in enumerate(gates):
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(gate)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(gate)
            else:
                is_forget = module.mode == "LSTM" and index == 1 and name.startswith("bias_ih")
                nn.init.constant_(gate, 1.0 if is_forget else 0.0)
