"""One layer of the encoder."""

from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_rnn import RnnConfig
from .packing_rnn import Packing
from .recurrence_rnn import RaggedGRU, RaggedLSTM, locked_dropout, masked_locked_dropout


class RnnLayer(GradientCheckpointingLayer):
    """One recurrent layer and the locked dropout on its output.

    Args:
        input_size (`int`): I.
        config (`RnnConfig`): Gives the rest.
    """

    def __init__(self, input_size: int, config: RnnConfig) -> None:
        super().__init__()
        kind = RaggedLSTM if config.cell_type == "lstm" else RaggedGRU
        self.recurrence = kind(input_size, config.direction_size, bidirectional=config.bidirectional)
        self.hidden_dropout = config.hidden_dropout
        self.weight_dropout = config.weight_dropout

    def forward(self, x: Tensor, packing: Packing, *state: Tensor) -> tuple[Tensor, ...]:
        """Return outputs (N, H) and the final h (and c) (D, B, H / D) from packed x (N, I) and an initial state, if any."""
        out, final = self.recurrence(x, packing, state or None, self.weight_dropout)
        if self.training and self.hidden_dropout > 0:
            out = locked_dropout(out, packing.rows, len(packing.lengths), self.hidden_dropout)
        return out, *final

    def forward_masked(self, x: Tensor, lengths: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return outputs (B, T, H) and the final state from rows x (B, T, I) of `lengths` (B,), padded on the right."""
        out, final = self.recurrence.forward_masked(x, lengths, state or None, self.weight_dropout)
        if self.training and self.hidden_dropout > 0:
            out = masked_locked_dropout(out, self.hidden_dropout)
        return out, *final
