"""Measure `hf-rnn predict`: peak memory, its speed beside that of the model alone, and two processes beside one.

The model has random weights, the rows are the review samples over and over. Processes are bound to cores. Keep the machine quiet.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch

import hf_rnn
from hf_rnn.commands import predict
from hf_rnn.data.files.readers import read_rows

MODULE = ["-m", "hf_rnn", "predict"]
SAMPLES = Path(hf_rnn.__file__).parent / "samples"
SIZES = {
    "1 x 128": {"embedding_size": 128, "hidden_size": 256, "num_hidden_layers": 1},
    "2 x 256": {"embedding_size": 256, "hidden_size": 512, "num_hidden_layers": 2},
}


def prepare(folder: Path, size: str, rows: int) -> None:
    """Write a classifier and a file of rows."""
    texts = [row["document"] for name in ("nsmc_train.tsv", "nsmc_test.tsv") for row in read_rows(str(SAMPLES / name))]
    tokenizer = hf_rnn.train_tokenizer(texts, vocab_size=8000)
    config = hf_rnn.RnnConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **SIZES[size])
    hf_rnn.RnnForSequenceClassification(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    for name, count in (("rows", rows), ("few", 2)):
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in islice(cycle(texts), count))


def options(folder: Path, name: str, output: str) -> list[str]:
    """Return the options of a prediction."""
    files = ["--input_file", str(folder / f"{name}.jsonl"), "--output_file", str(folder / output), "--resume", "false"]
    return ["--model_name_or_path", str(folder / "model"), *files]


def measure_share(folder: Path) -> dict[str, float]:
    """Return the share of the time that is spent in the model, rows a second, and the peak memory of this process in GiB."""
    spent = 0.0
    forward = hf_rnn.RnnForSequenceClassification.forward

    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal spent
        start = time.perf_counter()
        output = forward(*args, **kwargs)
        spent += time.perf_counter() - start
        return output

    hf_rnn.RnnForSequenceClassification.forward = timed
    start, before = time.perf_counter(), time.process_time()
    try:
        predict.main(options(folder, "rows", "alone.jsonl"))
    finally:
        hf_rnn.RnnForSequenceClassification.forward = forward
    whole = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": whole, "CPU seconds": time.process_time() - before, "in the model": spent / whole, "peak GiB": peak}


def measure_processes(folder: Path, count: int) -> dict[str, float]:
    """Return the seconds that processes on as many cores take for the rows, for two rows, and the largest peak memory of one in GiB."""
    found: dict[str, float] = {}
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(count)] if count > 1 else []
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:count]))
    command = ["taskset", "-c", cores, sys.executable, *launch, *MODULE]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    for what, name in (("start", "few"), ("seconds", "rows")):
        start = time.perf_counter()
        subprocess.run([*command, *options(folder, name, f"{name}{count}.jsonl")], env=environment, check=True, capture_output=True)
        found[what] = time.perf_counter() - start
    return {**found, "peak GiB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the measurements that the arguments ask for, and print them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--size", choices=SIZES, default="2 x 256", help="layers and units a direction")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2], help="as processes on as many cores")
    parser.add_argument("--share", action="store_true", help="also in this process, with the time that the model takes")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    results: dict[str, Any] = {"rows": arguments.rows, "size": arguments.size}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder, arguments.size, arguments.rows)
        for count in arguments.processes:
            results[f"{count} processes"] = measure_processes(folder, count)
            print(count, results[f"{count} processes"], flush=True)
        outputs = {(folder / f"rows{count}.jsonl").read_bytes() for count in arguments.processes}
        results["same bytes"] = len(outputs) < 2
        if arguments.share:
            results["alone"] = measure_share(folder)
    print(json.dumps(results, indent=1))
    return results


if __name__ == "__main__":
    main()
