"""Measure the recurrence against bare matrix products and PyTorch's own layers, training end to end, and pipelines.

Rivals run in one process, in turn, several times; a figure is the median, and ratios are what counts. Keep the machine quiet.
Writes `benchmark.md`, `benchmark.json` and `benchmark.png`. `--device cuda` measures the ways to run on a GPU.
"""

import argparse
import itertools
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification, pipeline
from transformers.generation import BaseStreamer

import hf_rnn
from hf_rnn import RnnConfig, RnnForCausalLM, RnnForSequenceClassification
from hf_rnn.commands import text_classification
from hf_rnn.data.files.readers import read_rows
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.models.cells import cell_of
from hf_rnn.models.packing import Packing
from hf_rnn.models.recurrence import new_recurrence

INPUTS = HIDDEN = 256
LAYERS = 2
SAMPLES = Path(hf_rnn.__file__).parent / "samples"
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
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
        stock, gates = CELLS[cell], len(cell_of(cell).gates)
        self.lengths, self.dtype, self.device, self.train, self.gates = lengths, dtype, device, train, gates
        sizes = [INPUTS, *[2 * HIDDEN] * (LAYERS - 1)]
        self.ours = [new_recurrence(cell, size, HIDDEN, bidirectional=True).to(device) for size in sizes]
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
                x, weight = self._operand(tokens, layer.input_size), self._operand(width, layer.input_size)
                slots = self._operand(tokens, width)
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


def measure_layers(device: str, repeats: int) -> list[Row]:
    """Time two layers of every kind on every batch, in training and inference."""
    rows = []
    dtypes = ["fp32", "bf16"] if device == "cpu" else list(DTYPES)
    for (batch, lengths), cell, dtype, train in itertools.product(batches().items(), CELLS, dtypes, (True, False)):
        torch.manual_seed(0)
        rivals = Stacks(lengths, cell, DTYPES[dtype], device, train).rivals()
        times = interleave(rivals, repeats if len(lengths) > 1 else 3 * repeats, device)
        rows.append(Row(batch, cell, dtype, "training" if train else "inference", times))
        print(rows[-1].batch, cell, dtype, rows[-1].mode, {name: f"{ratio:.2f}" for name, ratio in rows[-1].ratios.items()}, flush=True)
    return rows


def _high_water() -> float:
    """Return the most memory this process has held, in MiB; Linux tells."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _peak(rival: str, batch: str, dtype: str, queue: Any) -> None:
    stacks = Stacks(batches()[batch], "lstm", DTYPES[dtype], "cpu", train=True)
    before = _high_water()
    for _ in range(3):
        stacks.rivals()[rival]()
    queue.put(_high_water() - before)


def measure_memory() -> list[dict[str, Any]]:
    """Return by how many MiB three training steps raise the peak of a process of their own."""
    context = multiprocessing.get_context("spawn")
    found = []
    for batch, dtype in itertools.product(["grouped, 512 rows", "shuffled, 128 rows"], ["fp32", "bf16"]):
        line: dict[str, Any] = {"batch": batch, "dtype": dtype}
        for rival in ("ours", "packed", "padded"):
            queue = context.Queue()
            process = context.Process(target=_peak, args=(rival, batch, dtype, queue))
            process.start()
            line[rival] = round(queue.get(), 1)
            process.join()
        found.append(line)
        print(line, flush=True)
    return found


class TutorialModel(nn.Module):
    """The classifier of the tutorial: embedding, two bidirectional `nn.LSTM` layers on packed rows, linear."""

    def __init__(self, vocab_size: int, num_labels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, INPUTS)
        self.rnn = nn.LSTM(INPUTS, HIDDEN, LAYERS, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(2 * HIDDEN, num_labels)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return logits (B, C)."""
        packed = nn.utils.rnn.pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.rnn(packed)
        return self.linear(torch.cat([h[-2], h[-1]], dim=1))


def train_tutorial(
    rows: list[list[int]], labels: list[int], held_out: tuple[list[list[int]], list[int]], vocab_size: int, epochs: int
) -> tuple[float, float]:
    """Train as the tutorial does, in shuffled batches of 128 with Adam: return examples/s and the accuracy on held-out rows."""
    torch.manual_seed(42)
    model = TutorialModel(vocab_size, max(labels) + 1)
    optimizer = torch.optim.Adam(model.parameters())

    def pad(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True), torch.tensor([len(row) for row in rows])

    started = time.perf_counter()
    for _ in range(epochs):
        for chosen in torch.randperm(len(rows)).split(128):
            optimizer.zero_grad()
            logits = model(*pad([rows[index] for index in chosen]))
            nn.functional.cross_entropy(logits, torch.tensor([labels[index] for index in chosen])).backward()
            optimizer.step()
    speed = epochs * len(rows) / (time.perf_counter() - started)
    with torch.no_grad():
        answers = [model(*pad(held_out[0][start : start + 256])).argmax(1) for start in range(0, len(held_out[0]), 256)]
    return speed, (torch.cat(answers) == torch.tensor(held_out[1])).double().mean().item()


def measure_training(train_file: Path, held_out_file: Path, output_dir: Path, epochs: int) -> list[dict[str, Any]]:
    """Train our script in fp32 and bf16 and the tutorial's loop on the same rows, tokens and model size."""
    found = []
    sizes = f"--embedding_size {INPUTS} --hidden_size {2 * HIDDEN} --num_hidden_layers {LAYERS} --per_device_train_batch_size 128"
    run = f"--do_train --do_eval --eval_strategy no --save_strategy no --num_train_epochs {epochs} --disable_tqdm true {sizes}"
    for name, more in (("our script, fp32", []), ("our script, bf16", ["--bf16", "true"])):
        folder = output_dir / name.replace(", ", "_").replace(" ", "_")
        files = ["--train_file", str(train_file), "--validation_file", str(held_out_file), "--output_dir", str(folder)]
        text_classification.main([*files, *run.split(), *more])
        metrics = json.loads((folder / "all_results.json").read_text())
        found.append({"what": name, "examples/s": metrics["train_samples_per_second"], "accuracy": metrics["eval_accuracy"]})
        print(found[-1], flush=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids_of = AutoConfig.from_pretrained(folder).label2id
    splits = []
    for path in (train_file, held_out_file):
        rows = [row for row in read_rows(str(path)) if row["document"]]
        ids = tokenizer([row["document"] for row in rows], truncation=True)["input_ids"]
        splits.append((ids, [ids_of[row["label"]] for row in rows]))
    speed, accuracy = train_tutorial(*splits[0], splits[1], len(tokenizer), epochs)
    found.append({"what": "tutorial, fp32", "examples/s": round(speed, 1), "accuracy": accuracy})
    print(found[-1], flush=True)
    return found


def measure_pipelines(texts: list[str], tokenizer: Any, repeats: int) -> list[dict[str, Any]]:
    """Return texts/s of pipelines with our model and a randomly initialised DistilBERT-base of the same vocabulary."""
    sizes = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    models = {
        f"ours, {cell}": RnnForSequenceClassification(
            RnnConfig(**sizes, embedding_size=INPUTS, hidden_size=2 * HIDDEN, num_hidden_layers=LAYERS, cell_type=cell)
        )
        for cell in CELLS
    }
    models["DistilBERT"] = DistilBertForSequenceClassification(DistilBertConfig(**sizes))
    pipelines = {name: pipeline("text-classification", model=model, tokenizer=tokenizer) for name, model in models.items()}
    found = []
    for size in (1, 32):
        # a slow model gets fewer texts
        counts = {name: 64 if name == "DistilBERT" else 256 for name in pipelines}
        runs = {name: partial(run, texts[: counts[name]], batch_size=size) for name, run in pipelines.items()}
        times = interleave(runs, repeats, "cpu")
        found.append({"batch": size, **{name: round(1e3 * counts[name] / value, 1) for name, value in times.items()}})
        print(found[-1], flush=True)
    return found


def measure_onnx(repeats: int) -> list[dict[str, Any]]:
    """Return milliseconds of one batch in PyTorch and in ONNX Runtime in fp32 and int8.

    One after the other: threads of a session wait by spinning and would slow down what runs in turn with it.
    """
    from hf_rnn.onnx import export, runtime

    shapes = ((1, 10), (1, 20), (1, 64), (1, 256), (32, 20))
    found = []
    for cell in CELLS:
        config = RnnConfig(vocab_size=16000, embedding_size=INPUTS, hidden_size=2 * HIDDEN, num_hidden_layers=LAYERS, cell_type=cell)
        model = RnnForSequenceClassification(config).eval()
        lines = {shape: {"cell": cell, "rows": shape[0], "tokens": shape[1]} for shape in shapes}

        def measure(name: str, run: Any, lines: dict[tuple[int, int], dict[str, Any]] = lines) -> None:
            for shape, line in lines.items():
                with torch.inference_mode():
                    times = interleave({name: partial(run, torch.randint(16000, shape))}, repeats, "cpu")
                line[name] = f"{times[name]:.2f}"

        measure("PyTorch", model)
        with tempfile.TemporaryDirectory() as folder:
            export.export_onnx(model, folder)
            export.quantize(folder)
            for name, file in (("ONNX fp32", runtime.MODEL_FILE), ("ONNX int8", runtime.QUANTIZED_FILE)):
                measure(name, runtime.OnnxRnnForSequenceClassification.from_pretrained(folder, file_name=file))
        found += lines.values()
    print(table(found), flush=True)
    return found


class Clock(BaseStreamer):
    """Note when `generate` hands out each token."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Do nothing."""


def measure_generation(repeats: int, tokens: int = 2000) -> list[dict[str, Any]]:
    """Return milliseconds of a token near the 20th and near a late one of a text that a causal model generates."""
    found = []
    for cell in CELLS:
        sizes = {"vocab_size": 16000, "embedding_size": INPUTS, "hidden_size": 2 * HIDDEN, "num_hidden_layers": LAYERS}
        model = RnnForCausalLM(RnnConfig(cell_type=cell, bidirectional=False, **sizes)).eval()
        early, late = [], []
        for _ in range(repeats):
            clock = Clock()
            options = {"max_new_tokens": tokens + 50, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
            model.generate(torch.randint(1, 16000, (1, 5)), streamer=clock, **options)
            spans = np.diff(clock.times) * 1e3
            # the prompt comes first
            early += spans[10:60].tolist()
            late += spans[tokens - 10 : tokens + 40].tolist()
        name = f"token {tokens:,}, ms"
        line = {"cell": cell, "token 20, ms": np.median(early), name: np.median(late)}
        ratio = line[name] / line["token 20, ms"]
        found.append({name: value if name == "cell" else f"{value:.2f}" for name, value in {**line, "ratio": ratio}.items()})
    print(table(found), flush=True)
    return found


def table(lines: list[dict[str, Any]]) -> str:
    """Return lines as a Markdown table."""
    head = list(lines[0])
    cells = [head, ["---"] * len(head), *([str(line[name]) for name in head] for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells) + "\n"


def layer_lines(rows: list[Row]) -> list[dict[str, Any]]:
    """Return the table of layers: milliseconds of the products, and every rival as a multiple of them."""
    return [
        {
            "batch": row.batch,
            "cell": row.cell,
            "dtype": row.dtype,
            "mode": row.mode,
            "products, ms": f"{row.times['products']:.2f}",
            **{name: f"{row.ratios[name]:.2f}" for name in ("ours", "packed", "padded")},
        }
        for row in rows
    ]


def draw(rows: list[Row], path: Path) -> None:
    """Draw the ratios of the LSTM to the bare products, a panel for each dtype and mode."""
    panels = sorted({(row.dtype, row.mode) for row in rows}, reverse=True)
    figure = Figure(figsize=(11, 3.2 * len(panels)), layout="constrained")
    for axes, (dtype, mode) in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        shown = [row for row in rows if row.cell == "lstm" and (row.dtype, row.mode) == (dtype, mode)]
        # PyTorch's packed layer is off the scale on long rows: its figure stands at the edge
        limit = min(12, 1.15 * max(max(row.ratios.values()) for row in shown))
        for offset, (name, colour) in enumerate({"ours": "#1f77b4", "packed": "#ff7f0e", "padded": "#2ca02c"}.items()):
            places, ratios = [index + 0.27 * (offset - 1) for index in range(len(shown))], [row.ratios[name] for row in shown]
            axes.bar(places, ratios, width=0.25, color=colour, label=name)
            for place, ratio in zip(places, ratios, strict=True):
                axes.text(place, min(ratio, 0.94 * limit), f"{ratio:.1f}", ha="center", va="bottom", fontsize=8)
        axes.axhline(1, color="grey", linewidth=1)
        axes.set_xticks(range(len(shown)), [row.batch for row in shown])
        axes.set_title(f"LSTM, {mode}, {dtype}: time as a multiple of the bare matrix products")
        axes.set_ylim(0, limit)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=120)


def main(argv: list[str] | None = None) -> None:
    """Run the measurements that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/benchmark"))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeats", type=int, default=7)
    parts = ["layers", "memory", "training", "pipelines", "generation", "onnx"]
    parser.add_argument("--only", nargs="+", default=parts, choices=parts, help="what to measure; onnx needs the extra of that name")
    parser.add_argument("--train_file", type=Path, default=SAMPLES / "nsmc_train.tsv", help="reviews with columns document and label")
    parser.add_argument("--held_out_file", type=Path, default=SAMPLES / "nsmc_test.tsv", help="reviews for the accuracy")
    parser.add_argument("--epochs", type=int, default=1)
    arguments = parser.parse_args(argv)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no GPU here. Leave the option out to measure the CPU.")
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    where = torch.cuda.get_device_name() if arguments.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    page, results = [f"# Benchmark\n\ntorch {torch.__version__}, {where}\n"], {}
    if "layers" in arguments.only:
        rows = measure_layers(arguments.device, arguments.repeats)
        results["layers"] = [asdict(row) for row in rows]
        page += ["## Layers: time as a multiple of the bare matrix products\n", table(layer_lines(rows))]
        draw(rows, arguments.output_dir / "benchmark.png")
    if "memory" in arguments.only and arguments.device == "cpu" and Path("/proc/self/status").is_file():
        results["memory"] = measure_memory()
        page += ["## Peak memory of training, MiB\n", table(results["memory"])]
    if "training" in arguments.only:
        results["training"] = measure_training(arguments.train_file, arguments.held_out_file, arguments.output_dir, arguments.epochs)
        page += ["## Training end to end\n", table(results["training"])]
    if "pipelines" in arguments.only:
        texts = [row["document"] for row in read_rows(str(SAMPLES / "nsmc_test.tsv")) if row["document"]]
        tokenizer = train_tokenizer(texts, "unigram", 4000)
        results["pipelines"] = measure_pipelines(texts, tokenizer, arguments.repeats)
        page += ["## Pipelines, texts/s\n", table(results["pipelines"])]
    if "generation" in arguments.only:
        results["generation"] = measure_generation(arguments.repeats)
        page += ["## Generation, a token at a time\n", table(results["generation"])]
    if "onnx" in arguments.only:
        results["onnx"] = measure_onnx(3 * arguments.repeats)
        page += ["## One batch, milliseconds\n", table(results["onnx"])]
    (arguments.output_dir / "benchmark.md").write_text("\n".join(page))
    (arguments.output_dir / "benchmark.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
