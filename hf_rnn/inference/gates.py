"""Gates and states of a layer over the steps of a text, by the equations of the cell."""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..models.cells import Cell
from .reading import Reading, read_text

Trace = dict[str, Tensor]


@torch.inference_mode()
def trace_gates(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str, layer: int = -1) -> dict[str, Any]:
    """Return what the gates and states of a recurrent layer are at each step of a text.

    A loop over the equations of the cell, in fp32, on what the layer reads: the same numbers as the layer's output, to rounding.

    Args:
        model (`PreTrainedModel`): Any model of this package.
        tokenizer (`PreTrainedTokenizerBase`): Its fast tokenizer.
        text (`str`): The text.
        layer (`int`): Which layer, from 0, or from -1 backwards.

    Returns:
        `dict`: `text`; `units`, start and end in characters of what each of U steps reads, (0, 0) for special tokens; `directions`, for
            each direction a dictionary of tensors (U, S), S units wide, in the order of the text whatever the order of reading: "input
            gate", "forget gate", "output gate", "candidate", "cell" and "hidden" of an LSTM (Hochreiter and Schmidhuber 1997; Gers et al.
            2000), "reset gate", "update gate", "candidate" and "hidden" of a GRU (Cho et al. 2014, with the reset gate after the product),
            "hidden" of a plain RNN, and what the step of a cell of your own returns.

    Raises:
        ValueError: The model has no such layer, or is none of this package.
    """
    base = model.base_model
    layers = getattr(base, "layers", None)
    if getattr(model.config, "model_type", None) != "hf_rnn" or layers is None:
        raise ValueError(f"Only the layers of models of this package have such gates, got {type(model).__name__}. Load one of these.")
    if not -len(layers) <= layer < len(layers):
        raise ValueError(f"`layer` must be from {-len(layers)} to {len(layers) - 1}, got {layer}. Pass --layer.")
    reading = read_text(model, tokenizer, text)
    ids = reading.ids[None].to(model.device)
    starts = base.units(ids, torch.ones_like(ids, dtype=torch.bool))[0].cpu()
    hidden = base(ids, output_hidden_states=True).hidden_states[layer % len(layers)]
    # (U, I)
    x = hidden[0].float().cpu()[starts]
    recurrence = layers[layer].recurrence
    weights = [weight.float().cpu() for weight in recurrence.weights()]
    directions = [_trace(recurrence.cell, x, *weights[:4])]
    if len(weights) == 8:
        directions.append({name: values.flip(0) for name, values in _trace(recurrence.cell, x.flip(0), *weights[4:]).items()})
    return {"text": text, "units": _places(reading, starts), "directions": directions}


def _places(reading: Reading, starts: Tensor) -> list[tuple[int, int]]:
    """Return start and end of what each unit covers."""
    firsts = starts.nonzero().flatten().tolist()
    lasts = [*(first - 1 for first in firsts[1:]), len(starts) - 1]
    return [(reading.pieces[first][0], reading.pieces[last][1]) for first, last in zip(firsts, lasts, strict=True)]


def _trace(cell: Cell, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Trace:
    """Return the trace of a cell over x (U, I)."""
    state = (x.new_zeros(1, w_hh.shape[1]),) * len(cell.states)
    # without a step it is one of nothing: what the cell has, and how wide
    steps = [cell.step(x.new_zeros(1, len(b_ih)), state, w_hh, b_hh)] if not len(x) else []
    for share in (x @ w_ih.T + b_ih).split(1):
        steps.append(cell.step(share, state, w_hh, b_hh))
        state = tuple(steps[-1][name] for name in cell.states)
    return {name: torch.cat([step[name] for step in steps])[: len(x)] for name in steps[0]}
