"""What a run prints: plain lines where nobody watches, each metric once, and three lines at the end."""

import shlex
import subprocess
import sys

import pytest
from runs import reviews

from hf_rnn.commands import cli, text_classification
from hf_rnn.sharing.cards import distinct
from hf_rnn.training import progress
from hf_rnn.training.progress import line_of


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Return the folder of a run and all that it printed, to a pipe."""
    folder = tmp_path_factory.mktemp("run") / "my reviews"
    arguments = reviews(folder, "--do_train", "--do_eval", "--do_predict", "--disable_tqdm", "false")
    command = [sys.executable, "-m", "hf_rnn", "text-classification", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folder, run.stdout, run.stderr


def test_lines_of_a_run(printed):
    """No bar, no carriage return, no shard, no library warning; two lines an epoch; the files say the same scores."""
    _, out, err = printed
    assert "\r" not in out + err
    assert not [word for word in ("shards", "it/s", "examples/s", "Warning", "Loading weights") if word in out + err]
    lines = out.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 4
    assert len(lines) + len(err.splitlines()) < 30
    assert "_micro" not in out


def test_a_minute_without_a_line_ends_in_one(tmp_path, capsys, monkeypatch):
    """A job's log says how far training is and how long it takes, by the steps that this process made."""
    clock = iter(range(0, 100_000, 25))
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    # 25 steps an epoch, each of which takes 25 seconds on that clock, as does what stands between epochs
    text_classification.main(reviews(tmp_path / "out", "--do_train", "--linear_size", "0", "--per_device_train_batch_size", "32"))
    told = [line for line in capsys.readouterr().out.splitlines() if line.endswith(" left")]
    assert told[0] == "epoch 0.12  3 of 50 steps, 20 min left"
    assert [int(line.split()[2]) for line in told] == [*range(3, 25, 3), *range(28, 50, 3)]


def test_three_lines_end_a_training(printed, capsys):
    """The score and its epoch, the folder, and a next command that works as it stands."""
    folder, out, _ = printed
    score, model, following = out.splitlines()[-3:]
    assert score.startswith("Score: accuracy 0.")
    assert "on validation, accuracy 0." in score
    assert score.endswith("(after 2 epochs)")
    assert str(folder) in model
    command = shlex.split(following.removeprefix("Next:"))
    assert command[0] == "hf-rnn"
    assert cli.main(command[1:]) == 0
    assert '"label": ' in capsys.readouterr().out


def test_a_run_without_evaluation_says_so(tmp_path, capsys):
    """There is no score to show."""
    text_classification.main(reviews(tmp_path / "out", "--do_train", "--num_train_epochs", "1"))
    assert "Score: none after 1 epochs; --do_eval measures" in capsys.readouterr().out


def test_each_metric_once():
    """Micro averages go where they equal the accuracy of the same split, and only there."""
    metrics = {
        "eval_accuracy": 0.5,
        "eval_f1_micro": 0.5,
        "eval_f1_macro": 0.5,
        "test_f1_micro": 0.5,
        "test_accuracy": 0.4,
        "eval_loss": 1.0,
    }
    assert set(distinct(metrics)) == set(metrics) - {"eval_f1_micro"}
    assert (
        line_of({"eval_accuracy": 0.5, "eval_f1_micro": 0.5, "eval_loss": 1.0, "eval_runtime": 3.0})
        == "validation accuracy 0.5000  loss 1.0000"
    )
    assert line_of({"loss": 1.0, "accuracy": 0.25, "grad_norm": 1.0, "learning_rate": 0.1}) == "training   loss 1.0000  accuracy 0.2500"
