"""Checkpoints are whole or passed over; runs that diverge stop; runs that had stopped early end as they would have."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import matplotlib.figure
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import SCRIPTS, reviews
from safetensors.torch import load_file
from transformers.trainer_utils import rotate_checkpoints

from hf_rnn.commands import cli, text_classification
from hf_rnn.data.locking import LOCK
from hf_rnn.reports import writing
from hf_rnn.tasks import report as task_module
from hf_rnn.training import finishing, running
from hf_rnn.training.checkpoints import (
    CHECKPOINT_FILES,
    CHECKSUMS,
    _end_saving,
    checkpoint_problem,
    last_complete_checkpoint,
    order_times,
    was_trained,
    write_checksums,
)
from hf_rnn.training.resuming import OPTIONS

SHORT = ["--max_train_samples", "160", "--per_device_train_batch_size", "16", "--save_total_limit", "99"]


def flip(content):
    """Change one bit in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = {
    "a flipped bit": flip,
    "a zeroed tail": lambda content: content[: -(len(content) // 4)] + bytes(len(content) // 4),
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "another type": lambda content: b"[]",
}


@pytest.fixture
def run(classifier, tmp_path):
    """Return a copy of the folder of a run."""
    return Path(shutil.copytree(classifier[0], tmp_path / "run"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_found(run, damage):
    """Whatever happens to whichever file of a checkpoint, it is passed over for the one before, and named."""
    first, last = sorted(run.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    assert checkpoint_problem(last) is None
    for name in (*CHECKPOINT_FILES, "rng_state.pth"):
        content = (last / name).read_bytes()
        (last / name).write_bytes(DAMAGES[damage](content))
        assert f"{name} is damaged" in str(checkpoint_problem(last))
        assert last_complete_checkpoint(str(run)) == str(first)
        (last / name).write_bytes(content)
    (last / CHECKSUMS).write_bytes(DAMAGES[damage]((last / CHECKSUMS).read_bytes()))
    assert checkpoint_problem(last)


def checkpoints(folder, *steps):
    """Make folders of checkpoints that nothing is written in."""
    for step in steps:
        (folder / f"checkpoint-{step}").mkdir()
        for name in (*CHECKPOINT_FILES, OPTIONS):
            (folder / f"checkpoint-{step}" / name).write_text("{}")
        write_checksums(folder / f"checkpoint-{step}")
    return [folder / f"checkpoint-{step}" for step in steps]


@pytest.mark.parametrize("times", [(7200, 3600, 0), (0, 7200, 0), (-7200, -3600, 0)])
def test_clocks_that_go_back(times, tmp_path):
    """Trainer removes the oldest by time: that is the one of the fewest steps, whatever the clock said."""
    folders = checkpoints(tmp_path, 1, 2, 10)
    for folder, later in zip(folders, times, strict=True):
        os.utime(folder, (time.time() + later,) * 2)
    order_times(folders[-1])
    rotate_checkpoints(str(tmp_path), 2, use_mtime=True)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint-10", "checkpoint-2"]


@pytest.mark.parametrize(
    ("limit", "best", "kept"),
    [(None, None, (1, 2, 3, 4)), (1, None, (4,)), (2, None, (3, 4)), (1, 2, (2, 4)), (3, 1, (1, 3, 4)), (9, None, (1, 2, 3, 4))],
)
def test_removal_is_ended(limit, best, kept, tmp_path):
    """A run that was killed before it removed older checkpoints does so when it goes on,; a half-written newer one does not count."""
    *_, last, _ = checkpoints(tmp_path, 1, 2, 3, 4, 5)
    (tmp_path / "checkpoint-5" / "optimizer.pt").unlink()
    (tmp_path / "checkpoint-5" / CHECKSUMS).unlink()
    state = {"best_model_checkpoint": best and f"elsewhere/checkpoint-{best}"}
    (last / "trainer_state.json").write_text(json.dumps(state))
    (last / CHECKSUMS).unlink()
    _end_saving(last, limit)
    assert sorted(os.listdir(tmp_path)) == [f"checkpoint-{step}" for step in (*kept, 5)]


def test_checkpoints_without_checksums(run):
    """Those of earlier versions are judged by what their formats tell."""
    last = max(run.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    (last / CHECKSUMS).unlink()
    assert checkpoint_problem(last) is None
    cut = [(name, DAMAGES["cut off"]) for name in CHECKPOINT_FILES]
    for name, damage in [
        *cut,
        ("trainer_state.json", lambda _: b"[]"),
        ("config.json", lambda _: b"{"),
        ("scheduler.pt", DAMAGES["a zeroed tail"]),
    ]:
        content = (last / name).read_bytes()
        (last / name).write_bytes(damage(content))
        assert name in str(checkpoint_problem(last))
        (last / name).write_bytes(content)


@pytest.mark.parametrize("options", [[], ["--optim", "sgd", "--max_grad_norm", "1e9"], ["--save_strategy", "no"], ["--max_steps", "2"]])
def test_divergence_stops_the_run(tmp_path, options, capsys):
    """A run that leaves the numbers ends at once with what to lower, and saves no weights."""
    arguments = reviews(tmp_path / "out", *SHORT, "--do_train", "--do_eval", "--learning_rate", "1e30", *options)
    assert cli.main(["text-classification", *arguments]) == 1
    assert "Training stopped at step " in (error := capsys.readouterr().err)
    assert "Lower --learning_rate (it is 1e+30)" in error
    assert not list((tmp_path / "out").rglob("model.safetensors"))


def test_divergence_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    """The message names it, and the run can be resumed from there."""
    compute = running.RnnTrainer.compute_loss

    def explode(self, model, inputs, return_outputs=False, **kwargs):
        loss, outputs = compute(self, model, inputs, return_outputs=True, **kwargs)
        loss = loss * float("nan") if model.training and self.state.global_step == 12 else loss
        return (loss, outputs) if return_outputs else loss

    monkeypatch.setattr(running.RnnTrainer, "compute_loss", explode)
    arguments = reviews(tmp_path / "out", *SHORT, "--do_train", "--do_eval")
    with pytest.raises(ValueError, match=r"stopped at step 13: the loss is NaN or infinite. The last good .* is .*checkpoint-8\. Lower"):
        text_classification.main(arguments)
    monkeypatch.undo()
    text_classification.main([*arguments, "--resume_from_checkpoint", "last"])
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.thorough
def test_early_stopping_survives_resumption(tmp_path, monkeypatch):
    """Killed after any checkpoint and resumed, a run that stops early ends with the same weights and the same mean loss."""
    log = running.RnnTrainer.log

    def worse(self, logs, start_time=None):
        step = self.state.global_step
        logs |= {"eval_accuracy": 1 / step, "eval_loss": float(step)} if "eval_loss" in logs else {}
        log(self, logs, start_time)

    monkeypatch.setattr(running.RnnTrainer, "log", worse)
    options = ["--do_train", "--do_eval", "--early_stopping_patience", "2", "--num_train_epochs", "9"]
    text_classification.main(reviews(tmp_path / "whole", *SHORT, *options))
    whole = load_file(tmp_path / "whole" / "model.safetensors")
    results = json.loads((tmp_path / "whole" / "train_results.json").read_text())
    names = sorted((path.name for path in (tmp_path / "whole").glob("checkpoint-*")), key=lambda name: int(name.split("-")[1]))
    assert len(names) == 3
    for count in range(1, len(names) + 1):
        folder = tmp_path / f"killed{count}"
        for name in names[:count]:
            shutil.copytree(tmp_path / "whole" / name, folder / name)
            state = json.loads((folder / name / "trainer_state.json").read_text())
            assert str(tmp_path / "whole") in state["best_model_checkpoint"]
        text_classification.main(reviews(folder, *SHORT, *options, "--resume_from_checkpoint", "last"))
        resumed = load_file(folder / "model.safetensors")
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)
        assert json.loads((folder / "train_results.json").read_text())["train_loss"] == results["train_loss"]
        assert len(list(folder.glob("checkpoint-*"))) == 3


def test_ornaments_cannot_lose_the_model(tmp_path, monkeypatch):
    """When no picture, report or card can be made, model and predictions are there and each failure is a warning."""

    def fail(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", fail)
    monkeypatch.setattr(task_module, "classification_report", fail)
    monkeypatch.setattr(finishing, "write_card", fail)
    warnings = []
    monkeypatch.setattr(writing.logger, "warning", warnings.append)
    metrics = text_classification.main(reviews(tmp_path / "out", *SHORT, "--do_train", "--do_predict"))
    assert metrics["test_accuracy"] > 0
    assert {"model.safetensors", "predictions.jsonl"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert [what for what in ("curves", "report", "confusion matrix", "card") if f"The {what} could not be written" in str(warnings)] == [
        "curves",
        "report",
        "confusion matrix",
        "card",
    ]


def damage_anything(checkpoint, name, place, content):
    """Write bytes into a file of a checkpoint; it is found damaged, unless they are those that stood there."""
    path = checkpoint / name
    before = path.read_bytes()
    start = int(place * len(before))
    path.write_bytes(before[:start] + content + before[start + len(content) :])
    changed = path.read_bytes() != before
    problem = checkpoint_problem(checkpoint)
    path.write_bytes(before)
    assert bool(problem) == changed
    assert not problem or name in problem


# white space changes nothing of the checksums
DAMAGED = {
    "name": st.sampled_from((*CHECKPOINT_FILES, "rng_state.pth")),
    "place": st.floats(0, 1),
    "content": st.binary(max_size=40),
}


@settings(max_examples=30, deadline=None)
@given(**DAMAGED)
def test_any_damage(classifier, name, place, content):
    """Whatever bytes are written wherever into whichever file."""
    damage_anything(max(classifier[0].glob("checkpoint-*")), name, place, content)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(**DAMAGED)
def test_any_damage_at_length(classifier, name, place, content):
    """The same, ten thousand times."""
    damage_anything(max(classifier[0].glob("checkpoint-*")), name, place, content)


def test_the_lock_of_a_killed_training_goes(tmp_path):
    """Where the training is at its end nobody would take it over otherwise; a folder that is not there is not made."""
    assert not was_trained(tmp_path / "new") and not (tmp_path / "new").exists()
    (tmp_path / LOCK).touch()
    assert not was_trained(tmp_path)
    for name in ("all_results.json", "README.md", LOCK):
        (tmp_path / name).touch()
    assert was_trained(tmp_path)
    assert not (tmp_path / LOCK).exists()


@pytest.mark.slow
def test_twenty_kills_of_a_run_that_stops_early(tmp_path):
    """Killed twenty times at random moments, also after the stop, and resumed, it ends with the weights of the run left alone."""
    generator = random.Random(0)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    options = [*SHORT, "--do_train", "--do_eval", "--early_stopping_patience", "2", "--num_train_epochs", "30", "--learning_rate", "0.05"]
    command = [sys.executable, str(SCRIPTS / "run_text_classification.py")]
    subprocess.run([*command, *reviews(tmp_path / "whole", *options)], env=environment, check=True, capture_output=True)
    whole = load_file(tmp_path / "whole" / "model.safetensors")
    for _ in range(20):
        folder = tmp_path / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        is_first = True
        while not (folder / "train_results.json").is_file():
            resumed = ["--resume_from_checkpoint", "last"] if folder.is_dir() else []
            process = subprocess.Popen(
                [*command, *reviews(folder, *options, *resumed)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while is_first and process.poll() is None and not list(folder.glob("checkpoint-*")):
                time.sleep(0.01)
            with suppress(subprocess.TimeoutExpired):
                process.wait(generator.uniform(0, 3) if is_first else 600)
            process.kill()
            process.wait()
            is_first = False
        killed = load_file(folder / "model.safetensors")
        assert all(torch.equal(whole[name], killed[name]) for name in whole)
