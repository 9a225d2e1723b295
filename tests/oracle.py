"""Slow and obviously right twins of what the package computes: a loop over cells and a list of all CRF paths."""

import itertools

import torch
from torch import Tensor

from hf_rnn.models.recurrence import Recurrence

# a step of each cell from an input (1, I) and the states before it, (1, H) each
STEPS = {
    "lstm": lambda x, now, parameters: torch.lstm_cell(x, now, *parameters),
    "gru": lambda x, now, parameters: (torch.gru_cell(x, *now, *parameters),),
    "rnn": lambda x, now, parameters: (torch.rnn_tanh_cell(x, *now, *parameters),),
}


def run_cells(layer: Recurrence, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one layer over one row x (T, I) from a state of D vectors each, one step of PyTorch's cells at a time."""
    step = STEPS[layer.cell_type]
    outputs, finals = [], []
    for direction, suffix in enumerate(("", "_reverse")[: 2 if layer.bidirectional else 1]):
        parameters = [getattr(layer, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        now = tuple(part[direction][None] for part in state)
        steps = []
        for vector in x.flip(0) if direction else x:
            now = step(vector[None], now, parameters)
            steps.append(now[0][0])
        steps = steps[::-1] if direction else steps
        outputs.append(torch.stack(steps) if steps else x.new_zeros(0, layer.hidden_size))
        finals.append(now)
    return torch.cat(outputs, 1), tuple(torch.cat(parts) for parts in zip(*finals, strict=True))


def all_paths(emissions: Tensor, start: Tensor, end: Tensor, transitions: Tensor) -> dict[tuple[int, ...], Tensor]:
    """Return the score of every tag path of one row of emissions (W, C)."""
    length, num_tags = emissions.shape
    scores = {}
    for path in itertools.product(range(num_tags), repeat=length):
        score = start[path[0]] + end[path[-1]] + sum(emissions[t, tag] for t, tag in enumerate(path))
        scores[path] = score + sum(transitions[a, b] for a, b in itertools.pairwise(path))
    return scores
