"""Going on with other options: what changed is said, batches and epochs may change, what weights depend on may not."""

import json
from shutil import copytree, rmtree

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments

import hf_rnn
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.training import building
from hf_rnn.training.resuming import OPTIONS, changed_options

SIZES = {"embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 60, "linear_size": 0, "use_cpu": True}
ROWS = [{"text": f"{word} film {index}", "label": word} for index in range(24) for word in ("good", "bad")]


def train(folder, rows=ROWS, **options):
    """Train a tiny classifier without evaluation."""
    usual = {"do_eval": False, "num_train_epochs": 2, "per_device_train_batch_size": 8, "save_total_limit": None, "disable_tqdm": True}
    return hf_rnn.train(train=rows, output_dir=str(folder), **{**SIZES, **usual, **options})


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Train two epochs of six steps; return the folder."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    train(folder)
    return folder


def state(folder, step):
    """Return the state of a checkpoint."""
    return json.loads((folder / f"checkpoint-{step}" / "trainer_state.json").read_text())


@pytest.mark.parametrize(("size", "end"), [(4, 36), (16, 18), (8, 24)])
def test_batches_and_epochs(begun, tmp_path, caplog, size, end):
    """Four epochs in all, whatever the batches: those of the checkpoint, and two more of 12, 3 or 6 steps; a second resumption knows."""
    folder = tmp_path / "run"
    copytree(begun, folder)
    train(folder, num_train_epochs=4, per_device_train_batch_size=size, resume_from_checkpoint="last")
    assert (state(folder, end)["epoch"], state(folder, end)["max_steps"]) == (4, end)
    # it falls to zero at the end
    rates = [entry["learning_rate"] for entry in state(folder, end)["log_history"][2:]]
    assert 0 < rates[1] < rates[0] < 0.002 * 0.6
    batches = f"per_device_train_batch_size 8 -> {size}, " if size != 8 else ""
    assert f"checkpoint-12 with other options: {batches}num_train_epochs 2 -> 4." in caplog.text
    assert caplog.text.count("Going on from") == 1 and "do not match" not in caplog.text
    whole = load_file(folder / "model.safetensors")
    rmtree(folder / f"checkpoint-{end}")
    caplog.clear()
    train(folder, num_train_epochs=4, per_device_train_batch_size=size, resume_from_checkpoint="last")
    again = load_file(folder / "model.safetensors")
    assert state(folder, end)["epoch"] == 4 and "Going on from" not in caplog.text
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_rates(begun, tmp_path, caplog):
    """Another rate and another decay count from there on."""
    copytree(begun, tmp_path / "run")
    options = {"num_train_epochs": 3, "learning_rate": 0.5, "weight_decay": 0.25, "lr_scheduler_type": "constant"}
    train(tmp_path / "run", resume_from_checkpoint="last", **options)
    assert state(tmp_path / "run", 18)["log_history"][-1]["learning_rate"] == 0.5
    assert "learning_rate 0.002 -> 0.5, lr_scheduler_type linear -> constant" in caplog.text
    groups = torch.load(tmp_path / "run" / "checkpoint-18" / "optimizer.pt", weights_only=True)["param_groups"]
    assert groups[0]["weight_decay"] == 0.25 and all(group["lr"] == 0.5 for group in groups)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hidden_size": 16}, r"`hidden_size` is 8 in the checkpoint '.*checkpoint-12', but 16 now.* Pass --hidden_size 8 and"),
        ({"cell_type": "gru"}, "`cell_type` is lstm in the checkpoint .*, but gru now"),
        (
            {"rows": [*ROWS, {"text": "a film", "label": "fair"}]},
            r"the labels \['bad', 'good'\], but the rows have \['bad', 'fair', 'good'",
        ),
    ],
)
def test_what_may_not_change(begun, tmp_path, options, told):
    """Sizes and labels are refused in a line that names old, new and what to pass; nothing is written over."""
    copytree(begun, tmp_path / "run")
    with pytest.raises(ValueError, match=told) as caught:
        train(tmp_path / "run", resume_from_checkpoint="last", **options)
    assert "\n" not in str(caught.value)
    assert load_file(tmp_path / "run" / "model.safetensors").keys() == load_file(begun / "model.safetensors").keys()


def test_compiling_is_refused(tmp_path):
    """It does not end, so that it is not begun."""
    with pytest.raises(ValueError, match="`torch_compile` unrolls a recurrence .* Leave --torch_compile out"):
        train(tmp_path / "run", torch_compile=True)


def test_checkpoints_without_a_note(begun, tmp_path):
    """Those of older versions, and damaged notes, tell nothing of their options."""
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    assert changed_options(begun / "checkpoint-6", arguments)[0]
    assert changed_options(tmp_path, arguments) == ({}, 0)
    (tmp_path / OPTIONS).write_text("{")
    assert changed_options(tmp_path, arguments) == ({}, 0)


def test_a_checkpoint_keeps_its_tokenizer(tmp_path, caplog):
    """Its weights have learnt with those pieces, whatever the rows would give now; one of another size is another model."""
    first, other, larger = (
        train_tokenizer(texts, "word", size) for texts, size in ((["a b"] * 2, 6), (["c d"] * 2, 6), (["a b c"] * 2, 7))
    )
    first.save_pretrained(tmp_path)
    made = []

    def resumed(trained, size, checkpoint=str(tmp_path)):
        return building.resumed_tokenizer(lambda: made.append(trained) or trained, size, 99, checkpoint)

    kept = resumed(other, 6)
    # minutes of training are not spent on what is there
    assert not made
    assert kept.get_vocab() == first.get_vocab() != other.get_vocab()
    assert kept.model_max_length == 99
    assert caplog.messages == ["The tokenizer is that of the checkpoint."]
    # of fewer pieces than there may be, as those of few rows are
    assert resumed(other, 10).get_vocab() == first.get_vocab()
    assert resumed(larger, 7) is larger
    assert resumed(other, 6, str(tmp_path / "none")) is resumed(other, 6, None) is other
    assert len(made) == 4
