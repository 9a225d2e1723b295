"""One layer of the encoder."""

from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from .cells import cell_of
from .configuration_rnn import RnnConfig
from .layouts import Layout
from .recurrence import new_recurrence


class RnnLayer(GradientCheckpointingLayer):
    """One recurrent layer and the locked dropout on its output.

    Args:
        input_size (`int`): I.
        config (`RnnConfig`): Gives the rest.
    """

    def __init__(self, input_size: int, config: RnnConfig) -> None:
        super().__init__()
        self.recurrence = new_recurrence(config.cell_type, input_size, config.direction_size, config.bidirectional)
        self.hidden_dropout = config.hidden_dropout
        self.weight_dropout = config.weight_dropout

    def forward(self, x: Tensor, layout: Layout, *state: Tensor) -> tuple[Tensor, ...]:
        """Return outputs (U, H) and the final h (and c) (D, B, H / D) from arranged units x (U, I) and an initial state, if any."""
        out, final = layout.run(self.recurrence, x, state or None, self.weight_dropout)
        if self.training and self.hidden_dropout > 0:
            out = layout.dropout(out, self.hidden_dropout)
        return out, *final


def split_state(state: Tensor | None, batch_size: int, config: RnnConfig) -> list[tuple[Tensor, ...]]:
    """Return the initial h (and c) of every layer, or an empty tuple each, from a state (B, layers, S); see `RnnModelOutput`.

    Raises:
        ValueError: The model is bidirectional, or the state has another shape.
    """
    if state is None:
        return [()] * config.num_hidden_layers
    if config.bidirectional:
        raise ValueError(
            "`state` needs a unidirectional model: the second direction of a bidirectional one starts at the end of the row, "
            "which the next chunk moves. Train with --bidirectional false to stream, or encode the whole row at once."
        )
    num_states = len(cell_of(config.cell_type).states)
    expected = (batch_size, config.num_hidden_layers, num_states * config.hidden_size)
    if tuple(state.shape) != expected:
        raise ValueError(
            f"`state` of this {config.cell_type} must have the shape (batch, num_hidden_layers, {num_states} * hidden_size) = "
            f"{expected}, got {tuple(state.shape)}. Pass the `state` that the model returned for the same rows."
        )
    parts = state.transpose(0, 1).chunk(num_states, dim=2)
    return [tuple(part[layer : layer + 1] for part in parts) for layer in range(config.num_hidden_layers)]
