"""Every output folder belongs to one process at a time; a run that is interrupted or has no room says how to go on."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from runs import SCRIPTS, reviews
from safetensors.torch import save_file

from hf_rnn.commands import cli, compare
from hf_rnn.data.files.readers import DataError
from hf_rnn.data.locking import LOCK, locked
from hf_rnn.distillation import distill as distilling
from hf_rnn.training.checkpoints import CHECKSUMS, last_complete_checkpoint
from hf_rnn.training.outputs import writing_to
from hf_rnn.tuning import learning_curve as curves
from hf_rnn.tuning import tune as tuning

HOLD = "import sys; from hf_rnn.data.locking import locked\nwith locked(sys.argv[1]): print('held', flush=True); sys.stdin.read()"


@pytest.fixture(scope="module")
def holder(tmp_path_factory):
    """Start a process that holds a folder; return both."""
    folder = tmp_path_factory.mktemp("held") / "out"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process, folder
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("text-classification", ["--train_file", "{data}", "--do_train"]),
        ("text-classification", ["--model_name_or_path", "{model}", "--test_file", "{data}", "--do_predict"]),
        ("token-classification", ["--train_file", "{data}", "--do_train"]),
        ("language-model", ["--train_files", "{data}", "--do_train"]),
        ("tune", ["--train_file", "{data}"]),
        ("learning-curve", ["--train_file", "{data}", "--test_file", "{data}"]),
        ("compare", ["cell_type=gru", "{model}", "--train_file", "{data}", "--test_file", "{data}"]),
        ("distill", ["--teacher", "{model}", "--train_file", "{data}", "--test_file", "{data}"]),
        ("export", ["--model_name_or_path", "{model}"]),
        ("convert", ["--model_name_or_path", "{model}"]),
        ("demo", ["--model_name_or_path", "{model}"]),
        ("train-tokenizer", ["--train_file", "{data}"]),
        ("check", ["--train_file", "{data}"]),
        ("import", ["--weights_file", "{weights}", "--labels", "a", "b"]),
    ],
)
def test_the_second_is_told(command, options, holder, classifier, tmp_path, capsys):
    """In one line: the folder, the process, and what to do; in the folder nothing changes."""
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": f"a {row}", "label": str(row % 2)}) + "\n" for row in range(20)))
    lstm, table = torch.nn.LSTM(4, 5), torch.zeros(9, 4)
    rnn = {f"rnn.{name}": value.detach() for name, value in lstm.state_dict().items()}
    linear = {"linear.weight": torch.zeros(2, 5), "linear.bias": torch.zeros(2)}
    save_file({"embedding.weight": table, **rnn, **linear}, tmp_path / "weights.safetensors")
    options = [option.format(model=classifier[0], data=data, weights=tmp_path / "weights.safetensors") for option in options]
    process, folder = holder
    assert cli.main([command, *options, "--output_dir", str(folder)]) == 1
    told = f"error: '{folder}': process {process.pid} is writing there. Wait until it ends, or pass another --output_dir.\n"
    assert capsys.readouterr().err.endswith(told)
    assert [path.name for path in folder.iterdir()] == [LOCK]


@pytest.mark.parametrize(
    ("command", "option"), [("predict", "output_file"), ("next", "output_file"), ("explain", "output_file"), ("explain", "gates_file")]
)
def test_the_second_is_told_of_a_file(command, option, classifier, tmp_path, capsys):
    """As of folders; nothing is written."""
    code = "import sys; from hf_rnn.data.locking import locked_file\nwith locked_file(sys.argv[1], ''): print(flush=True); sys.stdin.read()"
    path = tmp_path / ("out.png" if command == "explain" else "out.jsonl")
    pool = tmp_path.parent / "pool.jsonl"
    pool.write_text('{"text": "a"}\n')
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        text = {"predict": ["--text", "a"], "next": ["--pool", str(pool)], "explain": ["--texts", "a"]}[command]
        assert cli.main([command, "--model_name_or_path", str(classifier[0]), *text, f"--{option}", str(path)]) == 1
        told = capsys.readouterr().err
        process.communicate("")
    assert told.endswith(f"'{path}': process {process.pid} is writing there. Wait until it ends, or pass another --{option}.\n"), told
    assert not list(tmp_path.iterdir())


def test_every_command_that_writes_is_told():
    """None is forgotten; a server writes nothing, and pushes are one commit each."""
    tests = (test_the_second_is_told, test_the_second_is_told_of_a_file)
    told = {case[0] for test in tests for mark in test.pytestmark for case in mark.args[1]}
    assert told | {"serve", "push"} == set(cli.COMMANDS)


def test_a_lock_goes_with_its_process(holder, tmp_path):
    """That of a killed one is taken over; nothing is left of it, nor of a folder in which nothing was written."""
    process, folder = holder
    with pytest.raises(DataError, match=f"process {process.pid} is writing there"), locked(folder):
        pass
    process.kill()
    process.wait()
    assert (folder / LOCK).exists()
    with locked(folder), locked(folder / "."):
        (folder / "file").touch()
        done = subprocess.run([sys.executable, "-c", HOLD, str(folder)], capture_output=True, text=True, check=False, input="")
        assert f"process {os.getpid()} is writing there" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["file"]
    with locked(tmp_path / "new" / "er"):
        assert (tmp_path / "new" / "er" / LOCK).exists()
    assert not (tmp_path / "new").exists()


def test_a_child_does_not_keep_the_lock(tmp_path):
    """A forked child that outlives its parent, as workers of a killed run do, holds nothing."""
    code = "import os, sys, time; from hf_rnn.data.locking import locked\nwith locked(sys.argv[1]):\n"
    code += "    if os.fork() == 0: time.sleep(60); os._exit(0)\n    print('forked', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout.readline() == "forked\n"
    with pytest.raises(DataError), locked(tmp_path / "out"):
        pass
    process.kill()
    process.wait()
    try:
        with locked(tmp_path / "out"):
            pass
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_an_interrupted_training_names_its_checkpoint(tmp_path):
    """Ctrl-C gives one line with the last whole checkpoint; the folder is free again."""
    command = [sys.executable, str(SCRIPTS / "run_text_classification.py"), *reviews(tmp_path / "out", "--do_train", "--linear_size", "0")]
    command[command.index("--num_train_epochs") + 1] = "500"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list((tmp_path / "out").glob("checkpoint-*/checksums.json")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert re.search(
        rf"^error: interrupted. Pass --resume_from_checkpoint last to go on from {tmp_path}/out/checkpoint-\d+\.$", said.splitlines()[-1]
    )
    assert not (tmp_path / "out" / LOCK).exists()


@pytest.mark.parametrize(
    ("module", "part", "options"),
    [
        (tuning._Search, "run", ["tune", "--train_file", "{data}"]),
        (
            curves,
            "summarize",
            ["learning-curve", "--train_file", "{data}", "--test_file", "{data}", "--sizes", "8", "--seeds", "1"],
        ),
        (compare, "open_models", ["compare", "a", "b", "--test_file", "{data}"]),
        (distilling._Plan, "run", ["distill", "--teacher", "a", "--train_file", "{data}", "--test_file", "{data}"]),
    ],
)
def test_what_goes_on_by_itself_says_so(module, part, options, tmp_path, capsys, monkeypatch):
    """Ctrl-C in what runs other commands names neither their checkpoints nor their options."""
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": f"a {row}", "label": str(row % 2)}) + "\n" for row in range(20)))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, part, interrupted)
    monkeypatch.setattr(curves.LearningCurve, "run", lambda self: [])
    assert cli.main([*(option.format(data=data) for option in options), "--output_dir", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.endswith("error: interrupted. The same command again goes on where this one stopped.\n")


def test_one_of_two_processes_ends(classifier, tmp_path, monkeypatch):
    """The other names the last checkpoint that both have written, in one line; an error of its own stays as it is."""
    shutil.copytree(classifier[0], tmp_path / "out")
    last = last_complete_checkpoint(str(tmp_path / "out"))
    (Path(last) / CHECKSUMS).unlink()
    for rank in (0, 1):
        shutil.copy(Path(last) / "rng_state.pth", Path(last) / f"rng_state_{rank}.pth")
    (Path(last) / "rng_state.pth").unlink()
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = f"Another process of this run has ended; what it said tells why. Pass --resume_from_checkpoint last to go on from {last}."
    with pytest.raises(DataError, match=re.escape(told)), writing_to(str(tmp_path / "out")):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:3817")
    with pytest.raises(RuntimeError, match="shapes"), writing_to(str(tmp_path / "out")):
        raise RuntimeError("shapes")


@pytest.mark.thorough
def test_a_training_without_room(tmp_path):
    """One line names the folder and what to do."""
    code = "import resource, sys; from hf_rnn.commands import cli; "
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); sys.exit(cli.main(sys.argv[1:]))"
    options = reviews(tmp_path / "out", "--do_train", "--linear_size", "0", "--vocab_size", "1000")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_DATASETS_CACHE": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code, "text-classification", *options], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    assert re.search(r"^error: .*cannot be written: File too large. Make room there.", done.stderr.splitlines()[-1]), done.stderr[-2000:]
