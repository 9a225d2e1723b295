"""The benchmark compares what computes the same, and writes its page, its numbers and its picture."""

import json
import sys

import pytest
import torch
from runs import SCRIPTS

import hf_rnn

sys.path.insert(0, str(SCRIPTS))
import benchmark
import benchmark_predict


@pytest.fixture
def small(monkeypatch):
    """Shrink the layers and the batches."""
    monkeypatch.setattr(benchmark, "INPUTS", 6)
    monkeypatch.setattr(benchmark, "HIDDEN", 4)
    monkeypatch.setattr(benchmark, "batches", lambda: {"three rows": torch.tensor([3, 1, 5]), "one row": torch.tensor([4])})


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_rivals_compute_the_same(small, cell):
    """Ours, packed and padded layers give the same outputs, and all run in training."""
    stacks = benchmark.Stacks(torch.tensor([3, 1, 5]), cell, torch.float32, "cpu", train=True)
    ours, *others = stacks.outputs()
    assert all(torch.allclose(ours, other, atol=1e-6) for other in others)
    times = benchmark.interleave(stacks.rivals(), 2, "cpu")
    assert list(times) == ["products", "ours", "packed", "padded"] and min(times.values()) > 0


def test_slow_rivals_run_once():
    """What takes longer than the limit is not repeated."""
    calls = {"slow": 0, "quick": 0}

    def count(name):
        calls[name] += 1

    benchmark.interleave({name: (lambda name=name: count(name)) for name in calls}, 3, "cpu", limit=0)
    assert calls == {"slow": 1, "quick": 1}


def test_page_numbers_and_picture(small, tmp_path, capsys):
    """A run leaves a table, the raw times, and a picture."""
    benchmark.main(["--only", "layers", "--repeats", "1", "--output_dir", str(tmp_path)])
    page = (tmp_path / "benchmark.md").read_text()
    assert "| three rows | lstm | bf16 | inference |" in page
    numbers = json.loads((tmp_path / "benchmark.json").read_text())
    assert len(numbers["layers"]) == 2 * 2 * 2 * 2
    assert (tmp_path / "benchmark.png").stat().st_size > 5000


def test_training_compares_script_and_tutorial(small, tmp_path, monkeypatch):
    """Both train on the same rows and report speed and accuracy."""
    lines = (benchmark.SAMPLES / "nsmc_train.tsv").read_text().splitlines()
    for name, rows in (("train", lines[:301]), ("held_out", [lines[0], *lines[301:401]])):
        (tmp_path / f"{name}.tsv").write_text("\n".join(rows) + "\n")
    found = benchmark.measure_training(tmp_path / "train.tsv", tmp_path / "held_out.tsv", tmp_path / "out", 1)
    assert [line["what"] for line in found] == ["our script, fp32", "our script, bf16", "tutorial, fp32"]
    assert all(line["examples/s"] > 0 and 0 < line["accuracy"] < 1 for line in found)


def test_onnx_is_measured(small):
    """Every shape, in PyTorch and in both graphs."""
    found = benchmark.measure_onnx(1)
    assert [(line["cell"], line["rows"], line["tokens"]) for line in found[:2]] == [("lstm", 1, 10), ("lstm", 1, 20)]
    assert all(float(line[name]) >= 0 for line in found for name in ("PyTorch", "ONNX fp32", "ONNX int8"))


def test_a_missing_gpu_is_named(capsys):
    """The error says what to leave out."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit):
        benchmark.main(["--device", "cuda"])
    assert "PyTorch finds no GPU here. Leave the option out" in capsys.readouterr().err


def test_generation_is_measured(small):
    """An early and a late token of either cell, and their ratio."""
    found = benchmark.measure_generation(1, 100)
    assert [line["cell"] for line in found] == ["lstm", "gru"]
    assert all(float(line["token 20, ms"]) > 0 and float(line["token 100, ms"]) > 0 and float(line["ratio"]) > 0 for line in found)


def test_prediction_is_measured():
    """The model takes a part of the time, and is as it was afterwards."""
    forward = hf_rnn.RnnForSequenceClassification.forward
    found = benchmark_predict.main(["--rows", "40", "--size", "1 x 128", "--processes", "--share"])
    assert hf_rnn.RnnForSequenceClassification.forward is forward
    assert 0 < found["alone"]["in the model"] < 1 and found["alone"]["peak GiB"] > 0


@pytest.mark.thorough
def test_a_process_of_its_own_is_measured():
    """It answers all rows."""
    found = benchmark_predict.main(["--rows", "40", "--size", "1 x 128", "--processes", "1"])
    assert found["1 processes"]["seconds"] > 0 and found["same bytes"]
