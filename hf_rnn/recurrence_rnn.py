"""Recurrent layers over batches of unequal length, exact for every row, by the kernel that suits device and shape."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .kernel_gru_rnn import PackedGRU, gru_forward
from .kernel_lstm_rnn import PackedLSTM, lstm_forward
from .kernel_rnn import Steps

BACKENDS = ("auto", "packed", "stock")


@dataclass(frozen=True)
class Packing:
    """Where each token of ragged rows stands once the rows are packed, the layout of `torch.nn.utils.rnn.PackedSequence`.

    R rows of together N tokens, laid end to end, become N tokens in order of time: first the first token of every row that
    has one, longest row first, then the second tokens, and so on. Rows without tokens are legal and come last.

    Attributes:
        lengths (`Tensor`): Tokens a row, (R,).
        order (`Tensor`): Rows by falling length, (R,).
        inverse (`Tensor`): The place of each row in `order`, (R,).
        rows (`Tensor`): For each packed token its row's place in `order`, (N,).
        source (`Tensor`): For each packed token its place among the rows laid end to end, (N,).
        reverse (`Tensor`): For each packed token the packed place of its mirror image in its own row, (N,).
        steps (`list`): First packed token and number of running rows of every time step.
    """

    lengths: Tensor
    order: Tensor
    inverse: Tensor
    rows: Tensor
    source: Tensor
    reverse: Tensor
    steps: Steps

    @classmethod
    def from_lengths(cls, lengths: Tensor) -> "Packing":
        """Plan the packing of rows with `lengths` (R,) tokens each."""
        # (R,)
        ordered, order = lengths.sort(descending=True, stable=True)
        firsts = (lengths.cumsum(0) - lengths)[order]
        longest = int(ordered[0]) if len(ordered) else 0
        # (S, R): whether a row runs at a step
        running = ordered > torch.arange(longest, device=lengths.device)[:, None]
        # (S,)
        sizes = running.sum(1)
        starts = sizes.cumsum(0) - sizes
        # (N,)
        times, rows = running.nonzero(as_tuple=True)
        reverse = starts[ordered[rows] - 1 - times] + rows
        steps = list(zip(starts.tolist(), sizes.tolist(), strict=True))
        return cls(lengths, order, order.argsort(), rows, firsts[rows] + times, reverse, steps)

    @property
    def batch_sizes(self) -> Tensor:
        """Return the number of running rows of every step, (S,), on the CPU as cuDNN wants it."""
        return torch.tensor([size for _, size in self.steps], dtype=torch.int64)

    @property
    def is_rectangular(self) -> bool:
        """Return whether all rows have the same number of tokens, at least one."""
        return bool(self.steps) and self.steps[-1][1] == len(self.lengths)


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
    """Forward pass shared by `RaggedLSTM` and `RaggedGRU`: one layer over packed tokens."""

    backend: str = "auto"

    def forward(
        self, x: Tensor, packing: Packing, state: tuple[Tensor, ...] | None = None, weight_dropout: float = 0.0
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the layer.

        Args:
            x (`Tensor`): Packed tokens, (N, I).
            packing (`Packing`): How they are packed.
            state (`tuple`, *optional*): Initial h (and c), each (D, R, H) in the caller's order of rows; zeros by default.
            weight_dropout (`float`): DropConnect on the hidden-to-hidden weights while training (Merity et al. 2018).

        Returns:
            `tuple`: Outputs (N, D*H) and the final state, like `state`. A row without tokens keeps its initial state.

        Raises:
            ValueError: `backend` names no kernel.
        """
        directions = 2 if self.bidirectional else 1
        if not packing.steps:
            return x.new_zeros(0, directions * self.hidden_size), state or self._zeros(x, packing)
        if x.is_cuda:
            # weights that were loaded one by one are copied at every call until they lie in one piece
            self.flatten_parameters()
        weights = [getattr(self, name) for name in self._flat_weights_names]
        if self.training and weight_dropout > 0:
            weights[1::4] = [nn.functional.dropout(weight, weight_dropout) for weight in weights[1::4]]
        ordered = state and tuple(part.index_select(1, packing.order) for part in state)
        run = self._packed if self._choose(x, packing) == "packed" else self._stock
        out, final = run(x, packing, ordered, weights)
        return out, tuple(part.index_select(1, packing.inverse) for part in final)

    def _zeros(self, x: Tensor, packing: Packing) -> tuple[Tensor, ...]:
        """Return the initial state of rows that bring none."""
        zeros = x.new_zeros(2 if self.bidirectional else 1, len(packing.lengths), self.hidden_size)
        return (zeros, zeros) if self.mode == "LSTM" else (zeros,)

    def _choose(self, x: Tensor, packing: Packing) -> str:
        """Return "packed" for our CPU kernel or "stock" for PyTorch's (cuDNN on a GPU)."""
        if self.backend not in BACKENDS:
            raise ValueError(f"`backend` must be one of {BACKENDS}, got {self.backend!r}. Set model.recurrence_backend.")
        if self.backend != "auto":
            return self.backend
        if x.device.type != "cpu":
            return "stock"
        # rows of one length need no packing, and for few of them the number of operations decides: measured on 2 cores
        return "stock" if packing.is_rectangular and len(packing.lengths) <= 4 else "packed"

    def _packed(
        self, x: Tensor, packing: Packing, state: tuple[Tensor, ...] | None, weights: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        # no kernel of one's own is on autocast's list
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        kernel: Any = PackedLSTM if self.mode == "LSTM" else PackedGRU
        function: Any = lstm_forward if self.mode == "LSTM" else gru_forward
        states = state or (None,) * (2 if self.mode == "LSTM" else 1)
        arguments = (x, *states, packing.reverse, packing.steps, len(packing.lengths))
        if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in (x, *states, *weights)):
            out, *final = kernel.apply(*arguments, *weights)
        else:
            out, *final, _ = function(*arguments, weights, keep=False)
        return out, tuple(final)

    def _stock(
        self, x: Tensor, packing: Packing, state: tuple[Tensor, ...] | None, weights: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        state = state or self._zeros(x, packing)
        function: Any = torch.lstm if self.mode == "LSTM" else torch.gru
        options = (weights, True, 1, 0.0, self.training, self.bidirectional)
        if packing.is_rectangular:
            # (S, R, I): packed tokens of equal rows are a time-major batch
            steps, rows = len(packing.steps), len(packing.lengths)
            hx = state if self.mode == "LSTM" else state[0]
            out, *final = function(x.view(steps, rows, -1), hx, *options, False)
            return out.reshape(steps * rows, -1), tuple(final)
        running = packing.steps[0][1]
        started = tuple(part[:, :running].contiguous() for part in state)
        out, *final = function(x, packing.batch_sizes, started if self.mode == "LSTM" else started[0], *options)
        # rows without tokens never started
        return out, tuple(torch.cat([part, first[:, running:]], dim=1) for part, first in zip(final, state, strict=True))


class RaggedLSTM(_RaggedRecurrence, nn.LSTM):
    """`torch.nn.LSTM` of one layer whose forward pass takes packed tokens; weights, names and gate order are PyTorch's."""


class RaggedGRU(_RaggedRecurrence, nn.GRU):
    """`torch.nn.GRU` of one layer whose forward pass takes packed tokens; weights, names and gate order are PyTorch's."""


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
