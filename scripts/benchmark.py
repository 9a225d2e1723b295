"""Measure the recurrence against bare matrix products and PyTorch's own layers, training end to end, and pipelines.

All rivals of a row run in one process, in turn, several times; a figure is the median, and ratios are what counts. Keep the
machine quiet. Writes `benchmark.md`, `benchmark.json` and `benchmark.png` to the output folder.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from hf_rnn.packing_rnn import Packing
from hf_rnn.recurrence_rnn import RaggedGRU, RaggedLSTM

INPUTS = HIDDEN = 256
LAYERS = 2
CELLS = {"lstm": (RaggedLSTM, nn.LSTM, 4), "gru": (RaggedGRU, nn.GRU, 3)}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def batches() -> dict[str, Tensor]:
    """Return the lengths of the rows of every batch."""
    generator = torch.Generator().manual_seed(0)
    # mean 17, longest 63, like a shuffled batch of short reviews
    shuffled = torch.randn(128, generator=generator).mul_(0.6).add_(2.65).exp_().clamp_(1, 63).long()
    return {
        "grouped, 512 rows": 16 - torch.arange(512) // 256,
        "grouped, 128 rows": 16 - torch.arange(128) // 64,
        "shuffled, 128 rows": shuffled,
        "documents, 32 rows": torch.randint(200, 601, (32,), generator=generator),
        "one row of 16": torch.tensor([16]),
    }


@dataclass
class Row:
    """One line of the table: milliseconds of every rival on one batch."""

    batch: str
    cell: str
    dtype: str
    mode: str
    times: dict[str, float]

    @property
    def ratios(self) -> dict[str, float]:
        """Return every time as a multiple of that of the bare products."""
        return {name: value / self.times["products"] for name, value in self.times.items()}


class Stacks:
    """The rivals: two bidirectional layers of one cell on one batch, with the same weights."""

    def __init__(self, lengths: Tensor, cell: str, dtype: torch.dtype, device: str, train: bool) -> None:
        ragged, stock, gates = CELLS[cell]
        self.lengths, self.dtype, self.device, self.train, self.gates = lengths, dtype, device, train, gates
        sizes = [INPUTS, *[2 * HIDDEN] * (LAYERS - 1)]
        self.ours = [ragged(size, HIDDEN, bidirectional=True).to(device) for size in sizes]
        self.both = [stock(size, HIDDEN, bidirectional=True, batch_first=True).to(device) for size in sizes]
        self.single = [[stock(size, HIDDEN, batch_first=True).to(device) for _ in range(2)] for size in sizes]
        for ours, both, singles in zip(self.ours, self.both, self.single, strict=True):
            both.load_state_dict(ours.state_dict())
            for index, single in enumerate(singles):
                names = list(ours.state_dict())[4 * index : 4 * index + 4]
                single.load_state_dict(dict(zip(single.state_dict(), (ours.state_dict()[name] for name in names), strict=True)))
        self.tokens = torch.randn(int(lengths.sum()), INPUTS, device=device)
        self.padded = nn.utils.rnn.pad_sequence(list(self.tokens.split(lengths.tolist())), batch_first=True)
        steps = torch.arange(self.padded.shape[1])
        self.mirror = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps).to(device)
        self.operands: dict[tuple[int, ...], Tensor] = {}

    def rivals(self) -> dict[str, Callable[[], None]]:
        """Return a function for each rival that runs it once."""
        layers = {"ours": self._ours, "packed": self._packed, "padded": self._padded}
        return {"products": self._products, **{name: self._timed(run) for name, run in layers.items()}}

    def outputs(self) -> list[Tensor]:
        """Return what each rival makes of the batch, (N, 2H) in the order of the rows laid end to end."""
        mask = torch.arange(self.padded.shape[1]) < self.lengths[:, None]
        ours, packed, padded = self._ours(self.tokens), self._packed(self.padded), self._padded(self.padded)
        back = Packing.from_lengths(self.lengths).source.to(self.device)
        return [torch.empty_like(ours).index_copy(0, back, ours), *(out[mask.to(self.device)] for out in (packed, padded))]

    def _timed(self, run: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        source = self.tokens if run == self._ours else self.padded

        def once() -> None:
            with torch.set_grad_enabled(self.train), torch.autocast(self.device, self.dtype, enabled=self.dtype != torch.float32):
                x = source.clone().requires_grad_(self.train)
                out = run(x)
                if self.train:
                    out.backward(out.detach())

        return once

    def _ours(self, x: Tensor) -> Tensor:
        packing = Packing.from_lengths(self.lengths.to(self.device))
        x = x.index_select(0, packing.source)
        for layer in self.ours:
            x, _ = layer(x, packing)
        return x

    def _packed(self, x: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, self.lengths, batch_first=True, enforce_sorted=False)
        for layer in self.both:
            packed, _ = layer(packed)
        return nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)[0]

    def _padded(self, x: Tensor) -> Tensor:
        for forward, backward in self.single:
            mirrored = x.gather(1, self.mirror[..., None].expand_as(x))
            out, back = forward(x)[0], backward(mirrored)[0]
            x = torch.cat([out, back.gather(1, self.mirror[..., None].expand_as(back))], dim=2)
        return x

    def _operand(self, *shape: int) -> Tensor:
        if shape not in self.operands:
            self.operands[shape] = torch.randn(shape, device=self.device, dtype=self.dtype)
        return self.operands[shape]

    def _products(self) -> None:
        """Run the matrix products of the layers alone: both directions of a step in one batched product, the rest one by one."""
        tokens, width = len(self.tokens), self.gates * HIDDEN
        steps = Packing.from_lengths(self.lengths).steps
        with torch.no_grad():
            for layer in self.ours:
                x, weight, slots = self._operand(tokens, layer.input_size), self._operand(width, layer.input_size), self._operand(tokens, width)
                for _ in range(2):
                    x @ weight.t()
                    if self.train:
                        slots @ weight, slots.t() @ x, slots.t() @ self._operand(tokens, HIDDEN)
                for _, size in steps:
                    torch.bmm(self._operand(2, len(self.lengths), HIDDEN)[:, :size], self._operand(2, HIDDEN, width))
                    if self.train:
                        torch.bmm(self._operand(2, len(self.lengths), width)[:, :size], self._operand(2, width, HIDDEN))


def interleave(rivals: dict[str, Callable[[], None]], repeats: int, device: str, limit: float = 20.0) -> dict[str, float]:
    """Return each rival's median milliseconds of `repeats` turns; one that takes longer than `limit` seconds runs once."""

    def measure(run: Callable[[], None]) -> float:
        started = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - started) * 1e3

    times = {name: [measure(run)] for name, run in rivals.items()}
    slow = {name for name, values in times.items() if values[0] > 1e3 * limit}
    for values in (values for name, values in times.items() if name not in slow):
        values.clear()
    for _ in range(repeats):
        for name, run in rivals.items():
            if name not in slow:
                times[name].append(measure(run))
    return {name: statistics.median(values) for name, values in times.items()}
