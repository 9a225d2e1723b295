"""Gates and states of a layer over the steps of a text, by the equations of the cell."""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

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
            2000), "reset gate", "update gate", "candidate" and "hidden" of a GRU (Cho et al. 2014, with the reset gate after the product).

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
    step = _lstm if recurrence.mode == "LSTM" else _gru
    directions = [step(x, *weights[:4])]
    if len(weights) == 8:
        directions.append({name: values.flip(0) for name, values in step(x.flip(0), *weights[4:]).items()})
    return {"text": text, "units": _places(reading, starts), "directions": directions}


def _places(reading: Reading, starts: Tensor) -> list[tuple[int, int]]:
    """Return start and end of what each unit covers."""
    firsts = starts.nonzero().flatten().tolist()
    lasts = [*(first - 1 for first in firsts[1:]), len(starts) - 1]
    return [(reading.pieces[first][0], reading.pieces[last][1]) for first, last in zip(firsts, lasts, strict=True)]


def _lstm(x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Trace:
    """Return the trace of an LSTM over x (U, I)."""
    names = ("input gate", "forget gate", "output gate", "candidate", "cell", "hidden")
    h = c = x.new_zeros(w_hh.shape[1])
    steps = []
    for part in x @ w_ih.T + b_ih + b_hh:
        i, f, g, o = (part + w_hh @ h).chunk(4)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        h = o * c.tanh()
        steps.append(torch.stack([i, f, o, g, c, h]))
    return _by_name(names, steps, h)


def _gru(x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Trace:
    """Return the trace of a GRU over x (U, I)."""
    names = ("reset gate", "update gate", "candidate", "hidden")
    h = x.new_zeros(w_hh.shape[1])
    steps = []
    for part in x @ w_ih.T + b_ih:
        (r, z, n), (r_h, z_h, n_h) = part.chunk(3), (w_hh @ h + b_hh).chunk(3)
        r, z = (r + r_h).sigmoid(), (z + z_h).sigmoid()
        n = (n + r * n_h).tanh()
        h = (1 - z) * n + z * h
        steps.append(torch.stack([r, z, n, h]))
    return _by_name(names, steps, h)


def _by_name(names: tuple[str, ...], steps: list[Tensor], h: Tensor) -> Trace:
    # (U, N, S)
    values = torch.stack(steps) if steps else h.new_zeros(0, len(names), len(h))
    return dict(zip(names, values.unbind(1), strict=True))
