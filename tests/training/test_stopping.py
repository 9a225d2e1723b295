"""Which evaluation is the best, when training stops, and what the number of rows has to do with it."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from runs import reviews
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_rnn.arguments import LabelledTrainingArguments
from hf_rnn.commands import text_classification
from hf_rnn.tasks.defaults import ROWS_TO_STOP_BY, UNKNOWN, classifier_defaults, fill, fine_tuning_defaults, tagger_defaults
from hf_rnn.training import running
from hf_rnn.training.stopping import Patience, is_best

SHORT = ["--do_train", "--do_eval", "--max_train_samples", "160", "--per_device_train_batch_size", "16", "--save_total_limit", "99"]


def play(tmp_path, evaluations, patience, greater_is_better=True):
    """Let pairs of metric and loss come in; return the number of the best one, and how many came in before the stop."""
    args = TrainingArguments(str(tmp_path), metric_for_best_model="f1", greater_is_better=greater_is_better, use_cpu=True)
    state, control, callback, best = TrainerState(), TrainerControl(), Patience(patience), 0
    for step, (metric, loss) in enumerate(evaluations, 1):
        state.global_step = step
        state.log_history.append({"step": step, "eval_f1": metric, "eval_loss": loss})
        callback.on_evaluate(args, state, control, {"eval_f1": metric})
        if is_best(state, metric, greater_is_better):
            state.best_metric, state.best_global_step, best = metric, step, step
        if control.should_training_stop:
            return best, step
        # as a resumed run would
        callback = Patience.from_state(callback.state())
    return best, len(evaluations)


@pytest.mark.parametrize(
    ("evaluations", "best", "seen"),
    [
        # zeros while the loss falls
        ([(0.0, 1.0), (0.0, 0.9), (0.0, 0.8), (0.0, 0.7), (0.3, 0.6)], 5, 5),
        # zeros, and the loss rises
        ([(0.0, 1.0), (0.0, 1.1), (0.0, 1.2), (0.3, 0.6)], 1, 3),
        # ties
        ([(0.5, 1.0), (0.5, 0.9), (0.5, 1.1), (0.4, 1.0)], 2, 4),
        # a better metric counts, whatever the loss does
        ([(0.5, 1.0), (0.6, 1.1), (0.7, 1.2), (0.6, 1.3), (0.7, 1.1), (0.6, 1.3), (0.6, 1.3)], 5, 7),
        # the loss falls on, though the metric has had its best
        ([(0.5, 1.0), (0.4, 0.9), (0.4, 0.8), (0.4, 0.7), (0.4, 0.7), (0.4, 0.7), (0.9, 0.1)], 1, 6),
        ([(0.5, float("nan")), (0.5, float("nan")), (0.5, float("nan")), (0.6, float("nan"))], 1, 3),
    ],
)
def test_the_loss_decides_where_the_metric_does_not(evaluations, best, seen, tmp_path):
    """With a patience of two."""
    assert play(tmp_path, evaluations, 2) == (best, seen)
    mirrored = [(-metric, loss) for metric, loss in evaluations]
    assert play(tmp_path, mirrored, 2, greater_is_better=False) == (best, seen)


@pytest.mark.thorough
def test_a_metric_that_stays_zero_neither_ends_training_nor_keeps_the_first_weights(tmp_path, monkeypatch):
    """The weights are those of the least loss; resumed from the middle, the run ends with the same."""
    log = running.RnnTrainer.log

    def silent(self, logs, start_time=None):
        logs |= {"eval_accuracy": 0.0} if "eval_loss" in logs else {}
        log(self, logs, start_time)

    monkeypatch.setattr(running.RnnTrainer, "log", silent)
    options = [*SHORT, "--early_stopping_patience", "1", "--num_train_epochs", "5", "--learning_rate", "0.0005"]
    text_classification.main(reviews(tmp_path / "whole", *options))
    state = json.loads((tmp_path / "whole" / "trainer_state.json").read_text())
    losses = {entry["step"]: entry["eval_loss"] for entry in state["log_history"] if "eval_loss" in entry}
    assert state["best_global_step"] == min(losses, key=losses.get) > min(losses)
    assert state["best_model_checkpoint"].endswith(f"-{state['best_global_step']}")
    for step in sorted(losses)[:2]:
        shutil.copytree(tmp_path / "whole" / f"checkpoint-{step}", tmp_path / "killed" / f"checkpoint-{step}")
    text_classification.main(reviews(tmp_path / "killed", *options, "--resume_from_checkpoint", "last"))
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


FEW, MANY = classifier_defaults(replace(UNKNOWN, rows=ROWS_TO_STOP_BY - 1)), classifier_defaults(replace(UNKNOWN, rows=ROWS_TO_STOP_BY))


@pytest.mark.parametrize(
    ("given", "defaults", "expected"),
    [
        ({}, FEW, (0, False)),
        ({}, MANY, (3, True)),
        ({}, tagger_defaults(replace(UNKNOWN, rows=100)), (3, True)),
        ({}, fine_tuning_defaults(replace(UNKNOWN, rows=100), 384, False), (3, True)),
        # options win, and who names a patience or a metric wants the best weights
        ({"early_stopping_patience": 2}, FEW, (2, True)),
        ({"early_stopping_patience": 0}, MANY, (0, True)),
        ({"metric_for_best_model": "loss"}, FEW, (0, True)),
        ({"load_best_model_at_end": True}, FEW, (0, True)),
        ({"load_best_model_at_end": False}, MANY, (3, False)),
        # nothing to choose by
        ({"do_eval": False}, MANY, (3, False)),
        ({"save_strategy": "no"}, MANY, (3, False)),
    ],
)
def test_the_number_of_rows_decides_what_options_leave_open(given, defaults, expected, tmp_path):
    """Few rows: all epochs, and the last weights."""
    training = LabelledTrainingArguments(str(tmp_path), **{"do_eval": True, "use_cpu": True, **given})
    fill(defaults, training)
    assert (training.early_stopping_patience, training.load_best_model_at_end) == expected


def test_few_rows_end_with_the_last_weights(tmp_path, capsys):
    """After all epochs, whatever the evaluations said, and the score says so."""
    text_classification.main(reviews(tmp_path, *SHORT, "--num_train_epochs", "5", "--learning_rate", "0.05"))
    state = json.loads((tmp_path / "trainer_state.json").read_text())
    assert (state["epoch"], state["stateful_callbacks"].keys() & {"Patience"}) == (5.0, set())
    assert "(after 5 epochs)" in capsys.readouterr().out
    last = max(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    whole, kept = (load_file(folder / "model.safetensors") for folder in (tmp_path, last))
    # the output layer is weighed against the linear model
    body = [name for name in kept if "classifier" not in name]
    assert len(body) > 3 and all(torch.equal(whole[name], kept[name]) for name in body)
