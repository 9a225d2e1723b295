"""Runs that are killed, resumed or spread over processes end like one that was left alone."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from runs import SCRIPTS, reviews
from safetensors.torch import load_file

from hf_rnn.commands import text_classification


def weights(folder):
    """Return the weights of a run."""
    return load_file(folder / "model.safetensors")


def test_an_earlier_run_is_not_overwritten(classifier, tmp_path):
    """Checkpoints of another run in the output folder are an error that names both ways on."""
    folder, _ = classifier
    with pytest.raises(ValueError, match="holds checkpoints of an earlier run. Pass --resume_from_checkpoint last"):
        text_classification.main(reviews(folder, "--do_train"))
    with pytest.raises(ValueError, match="is not a whole checkpoint: config.json is missing"):
        text_classification.main(reviews(folder, "--do_train", "--resume_from_checkpoint", str(tmp_path)))


@pytest.mark.parametrize("batching", [[], ["--max_tokens_per_batch", "1200"]])
@pytest.mark.thorough
def test_resume_after_kill_is_bit_identical(tmp_path, batching):
    """Killed at any moment and resumed, as often as it takes, the run ends with the weights of one that was left alone."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    options = [
        "--do_train",
        "--do_eval",
        "--save_strategy",
        "steps",
        "--eval_strategy",
        "steps",
        "--save_steps",
        "4",
        "--eval_steps",
        "4",
        "--logging_steps",
        "4",
        *batching,
    ]
    command = [sys.executable, str(SCRIPTS / "run_text_classification.py")]
    subprocess.run([*command, *reviews(tmp_path / "whole", *options)], env=environment, check=True, capture_output=True)
    kills = 0
    while not (tmp_path / "killed" / "all_results.json").is_file():
        resumed = ["--resume_from_checkpoint", "last"] if (tmp_path / "killed").is_dir() else []
        process = subprocess.Popen(
            [*command, *reviews(tmp_path / "killed", *options, *resumed)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if kills < 2:
            before = set((tmp_path / "killed").glob("checkpoint-*"))
            while process.poll() is None and set((tmp_path / "killed").glob("checkpoint-*")) <= before:
                time.sleep(0.01)
            # the folder is there, its files are being written
            time.sleep(0.03 * kills)
            process.send_signal(signal.SIGKILL)
            kills += 1
        _, error = process.communicate(timeout=300)
        assert process.returncode in (0, -signal.SIGKILL), error.decode()[-2000:]
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert kills == 2
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


# two batches of 16 rows make one of 32; two batches within a budget make two steps whose gradients are added
ROWS = [["--per_device_train_batch_size", "16"], ["--per_device_train_batch_size", "32"]]
TOKENS = [["--max_tokens_per_batch", "1000"], ["--max_tokens_per_batch", "1000", "--gradient_accumulation_steps", "2"]]


@pytest.mark.parametrize("batching", [ROWS, TOKENS], ids=["rows", "tokens"])
@pytest.mark.thorough
def test_two_processes_give_the_metrics_of_one(tmp_path, batching):
    """Under `accelerate launch` with two CPU processes training takes the same steps and evaluation finds the same metrics."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    options = ["--do_train", "--do_eval", "--do_predict", "--learning_rate", "0.5", "--optim", "sgd", "--max_eval_samples", "99"]
    options += ["--embedding_dropout", "0", "--input_dropout", "0", "--hidden_dropout", "0", "--classifier_dropout", "0"]
    # --multi_gpu is accelerate's way to start several processes on one machine; --use_cpu keeps them off any GPU
    launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
    launch = [sys.executable, *launch.split(), "--main_process_port", "0"]
    script = str(SCRIPTS / "run_text_classification.py")
    for name, prefix, more in (("two", launch, batching[0]), ("one", [sys.executable], batching[1])):
        arguments = reviews(tmp_path / name, *options, *more)
        process = subprocess.run([*prefix, script, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stderr[-3000:]
    states = [json.loads((tmp_path / name / "trainer_state.json").read_text()) for name in ("one", "two")]
    assert states[0]["global_step"] == states[1]["global_step"] > 10
    one, two = (json.loads((tmp_path / name / "all_results.json").read_text()) for name in ("one", "two"))
    for metric in ("eval_accuracy", "eval_f1_macro", "eval_recall_macro", "test_accuracy", "test_f1_micro"):
        assert two[metric] == pytest.approx(one[metric], abs=1e-9), metric
    # the Trainer averages the losses of batches, of which the last is filled up with rows seen before
    assert two["eval_loss"] == pytest.approx(one["eval_loss"], abs=2e-2)
    a, b = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.allclose(a[name], b[name], atol=1e-5) for name in a if a[name].is_floating_point())
    predictions = [(tmp_path / name / "predictions.jsonl").read_text().splitlines() for name in ("one", "two")]
    assert [json.loads(line)["text"] for line in predictions[0]] == [json.loads(line)["text"] for line in predictions[1]]
    assert len(predictions[1]) == 150
