"""Sampler, trainer and checkpoints."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import filter_repo_objects
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments

from hf_rnn import RnnConfig, RnnForSequenceClassification, RnnForTokenClassification
from hf_rnn.arguments import RnnTrainingArguments
from hf_rnn.data.rows.collator import RnnCollator
from hf_rnn.sharing import hub
from hf_rnn.training.checkpoints import checkpoint_problem, last_complete_checkpoint, resume_point
from hf_rnn.training.samplers import LengthGroupedSampler, TokenBudgetSampler, row_lengths
from hf_rnn.training.trainer import RnnTrainer

pytestmark = pytest.mark.lowest


def rows(count: int, seed: int = 0) -> Dataset:
    """Return rows of random length whose label is the parity of their first id."""
    generator = np.random.default_rng(seed)
    ids = [generator.integers(4, 20, generator.integers(1, 12)).tolist() for _ in range(count)]
    return Dataset.from_dict({"input_ids": ids, "labels": [sequence[0] % 2 for sequence in ids]})


def make_trainer(folder, count=64, model_class=RnnForSequenceClassification, config=None, dataset=None, **options):
    """Return a trainer of a tiny model."""
    torch.manual_seed(1)
    config = {"vocab_size": 20, "embedding_size": 8, "hidden_size": 8, "num_labels": 2, "problem_type": None, **(config or {})}
    config.pop("problem_type")
    defaults = {
        "per_device_train_batch_size": 8,
        "num_train_epochs": 2,
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
    }
    defaults |= {"load_best_model_at_end": False, "eval_strategy": "no", "metric_for_best_model": None}
    arguments = RnnTrainingArguments(output_dir=str(folder), **{**defaults, **options})
    dataset = rows(count) if dataset is None else dataset
    model = model_class(RnnConfig(**config))
    return RnnTrainer(model=model, args=arguments, train_dataset=dataset, eval_dataset=rows(20, 1), data_collator=RnnCollator())


@pytest.mark.parametrize("is_ours", [True, False])
def test_weights_are_as_readable_as_their_config(is_ours, tmp_path):
    """To others on the machine, of our models and of transformers', in the folder and in its checkpoints."""
    trainer = make_trainer(tmp_path, count=8, num_train_epochs=1, save_strategy="epoch")
    if not is_ours:
        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        trainer = RnnTrainer(
            model=BertForSequenceClassification(BertConfig(vocab_size=20, **sizes)),
            args=trainer.args,
            train_dataset=rows(8),
            data_collator=RnnCollator(),
        )
    trainer.train()
    trainer.save_model()
    weights = sorted(tmp_path.rglob("*.safetensors"))
    assert len(weights) == 2
    assert {path.stat().st_mode for path in weights} == {path.with_name("config.json").stat().st_mode for path in weights}


def test_budget_sampler_keeps_its_budget_and_its_number_of_batches():
    """Every row comes once an epoch in batches within the budget, as many in every epoch, of other neighbours."""
    lengths = np.random.default_rng(0).integers(0, 60, 1003)
    sampler = TokenBudgetSampler(lengths, 256, seed=5)
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        epochs.append(batches)
        assert sorted(row for batch in batches for row in batch) == list(range(1003))
        assert max(len(batch) * lengths[batch].max() for batch in batches) <= 256
        assert len(batches) == len(sampler)
    # tokens fill most of the room
    assert lengths.sum() / (256 * len(sampler)) > 0.8
    assert {frozenset(batch) for batch in epochs[0]} != {frozenset(batch) for batch in epochs[1]}
    sampler.set_epoch(0)
    assert list(sampler) == epochs[0] == list(TokenBudgetSampler(lengths, 256, seed=5))
    with pytest.raises(ValueError, match="`max_tokens_per_batch` is 40, and a row has 59 tokens"):
        TokenBudgetSampler(lengths, 40, seed=5)


def test_budget_sampler_shares_batches_between_processes():
    """Processes have equally many batches and together every row."""
    lengths = np.random.default_rng(0).integers(1, 60, 500)
    whole = list(TokenBudgetSampler(lengths, 256, seed=5))
    shares = [list(TokenBudgetSampler(lengths, 256, seed=5, rank=rank, world_size=3)) for rank in range(3)]
    assert len({len(share) for share in shares}) == 1
    assert {row for share in shares for batch in share for row in batch} == set(range(500))
    assert sum(map(len, shares)) - len(whole) < 3


def test_sampler_yields_every_row_once_in_even_batches():
    """A permutation whose batches hold similar lengths, the last one aside; epochs differ, seeds and epochs repeat."""
    lengths = np.random.default_rng(0).integers(1, 60, 1003)
    sampler = LengthGroupedSampler(lengths, 8, seed=5)
    first = list(sampler)
    assert sorted(first) == list(range(1003))
    assert len(sampler) == 1003
    batches = [lengths[first[start : start + 8]] for start in range(0, 1000, 8)]
    assert np.mean([np.ptp(batch) for batch in batches]) < 4
    assert np.std([batch.mean() for batch in batches[:20]]) > 5
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first == list(LengthGroupedSampler(lengths, 8, seed=5))
    assert list(LengthGroupedSampler(lengths, 8, seed=6)) != first
    assert list(LengthGroupedSampler(np.array([]), 8, seed=5)) == []


def test_row_lengths_of_selected_rows():
    """Lengths are those of the rows in their present order."""
    dataset = rows(30)
    chosen = dataset.select([5, 3, 20])
    assert row_lengths(chosen).tolist() == [len(dataset[index]["input_ids"]) for index in (5, 3, 20)]
    assert row_lengths(dataset).tolist() == [len(row["input_ids"]) for row in dataset]


def test_predictions_stay_in_order(tmp_path):
    """Grouping by length touches training only: predictions are those of the rows one by one."""
    trainer = make_trainer(tmp_path, per_device_eval_batch_size=7)
    output = trainer.predict(trainer.eval_dataset)
    model = trainer.model.eval()
    for logits, row in zip(output.predictions, trainer.eval_dataset, strict=True):
        assert np.allclose(logits, model(torch.tensor([row["input_ids"]])).logits[0].detach(), atol=1e-5)
    assert isinstance(trainer._get_train_sampler(), LengthGroupedSampler)
    trainer.args.train_sampling_strategy = "random"
    assert not isinstance(trainer._get_train_sampler(), LengthGroupedSampler)


def test_training_accuracy_is_logged(tmp_path):
    """The accuracy of an epoch is the share of right answers while training; a model that learns raises it."""
    trainer = make_trainer(tmp_path, count=400, num_train_epochs=6, learning_rate=2e-2)
    trainer.train()
    accuracy = [entry["accuracy"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(accuracy) == 6
    assert accuracy[-1] > 0.9 > accuracy[0] > 0.3


@pytest.mark.parametrize("use_crf", [False, True])
def test_accumulated_gradients_equal_one_large_batch(tmp_path, use_crf):
    """Four batches of 8 accumulated and one of 32 take the same step, although their numbers of labels differ."""
    dataset = rows(32)
    dataset = dataset.map(lambda row: {"labels": [index % 2 for index in row["input_ids"]]})
    steps = []
    for size, accumulation in ((32, 1), (8, 4)):
        options = {"input_dropout": 0.0, "hidden_dropout": 0.0, "classifier_dropout": 0.0, "use_crf": use_crf}
        arguments = {
            "per_device_train_batch_size": size,
            "gradient_accumulation_steps": accumulation,
            "num_train_epochs": 1,
            "optim": "sgd",
        }
        trainer = make_trainer(
            tmp_path, model_class=RnnForTokenClassification, config=options, dataset=dataset, max_grad_norm=0, **arguments
        )
        trainer.train()
        steps.append(torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()]))
    assert torch.allclose(*steps, atol=1e-7)


def test_no_weight_decay_on_embeddings_and_crf(tmp_path):
    """Matrices decay; embeddings, biases and CRF scores do not."""
    trainer = make_trainer(
        tmp_path, model_class=RnnForTokenClassification, config={"use_crf": True, "word_pooling": "rnn", "word_vocab_size": 5}
    )
    names = trainer.get_decay_parameter_names(trainer.model)
    assert "classifier.weight" in names
    assert "model.layers.0.recurrence.weight_hh_l0" in names
    assert not [name for name in names if "crf" in name or "bias" in name or name.endswith("embeddings.weight")]


def test_label_smoothing_with_a_crf_is_refused(tmp_path):
    """The Trainer's smoother would bypass the CRF."""
    with pytest.raises(ValueError, match=r"`label_smoothing_factor` smooths independent classes, but `use_crf` is on; got 0.1"):
        make_trainer(tmp_path, model_class=RnnForTokenClassification, config={"use_crf": True}, label_smoothing_factor=0.1)


def test_incomplete_checkpoints_are_named_and_passed_over(tmp_path):
    """Whatever file is missing or cut off, the checkpoint is not whole, and the newest whole one is found."""
    trainer = make_trainer(tmp_path / "run", save_total_limit=None, save_strategy="steps", save_steps=4)
    trainer.train()
    newest = tmp_path / "run" / "checkpoint-16"
    assert checkpoint_problem(newest) is None
    assert last_complete_checkpoint(str(tmp_path / "run")) == str(newest)
    # checkpoints of earlier versions have no checksums
    names = [path.name for path in newest.iterdir() if path.name != "checksums.json"]
    for name in names:
        shutil.copytree(newest, tmp_path / "broken")
        path = tmp_path / "broken" / name
        path.unlink()
        assert checkpoint_problem(tmp_path / "broken") == f"{name} is missing"
        path.write_bytes((newest / name).read_bytes()[:100])
        if name != "config.json":
            assert name in checkpoint_problem(tmp_path / "broken")
        shutil.rmtree(tmp_path / "broken")
    (newest / "trainer_state.json").unlink()
    assert last_complete_checkpoint(str(tmp_path / "run")) == str(tmp_path / "run" / "checkpoint-12")
    assert last_complete_checkpoint(str(tmp_path / "none")) is None
    assert checkpoint_problem(tmp_path / "run" / "checkpoint-8", world_size=2) == "rng_state_0.pth is missing"


def test_what_a_killed_run_was_at_is_ended(tmp_path):
    """A last checkpoint without checksums gets them, older ones that were removed in part go, whole ones stay, of old versions too."""
    trainer = make_trainer(tmp_path / "run", save_total_limit=None, save_strategy="steps", save_steps=3, resume_from_checkpoint="last")
    trainer.train()
    first, second, third, fourth, newest = (tmp_path / "run" / f"checkpoint-{step}" for step in (3, 6, 9, 12, 15))
    shutil.rmtree(tmp_path / "run" / "checkpoint-16")
    sums = (newest / "checksums.json").read_bytes()
    for path in (newest / "checksums.json", first / "optimizer.pt", second / "checksums.json", third / "vocab.json"):
        path.unlink(missing_ok=True)
    for name in ("options.json", "checksums.json"):
        (fourth / name).unlink()
    assert resume_point(trainer.args) == str(newest)
    assert (newest / "checksums.json").read_bytes() == sums
    assert sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*")) == ["checkpoint-12", "checkpoint-15", "checkpoint-9"]


@pytest.mark.parametrize("stop", [4, 6])
def test_resumed_training_is_bit_identical(tmp_path, stop):
    """From a checkpoint in the middle of an epoch the final weights are those of the run that was never stopped."""
    options = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": None, "num_train_epochs": 2, "count": 40}
    whole = make_trainer(tmp_path / "whole", **options)
    whole.train()
    expected = [parameter.clone() for parameter in whole.model.parameters()]
    resumed = make_trainer(tmp_path / "whole", **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{stop}"))
    assert all(torch.equal(a, b) for a, b in zip(resumed.model.parameters(), expected, strict=True))
    assert json.loads((Path(tmp_path) / "whole" / f"checkpoint-{stop}" / "trainer_state.json").read_text())["global_step"] == stop


def test_what_goes_up_while_it_trains(tmp_path, monkeypatch, caplog):
    """Weights, config and code of each checkpoint, and nothing that names a place or holds a text; a network that is gone ends nothing."""
    pushed = []

    class Api:
        def __init__(self, token):
            assert token == "secret"

        def upload_folder(self, repo_id, folder_path, allow_patterns, commit_message, revision):
            if pushed:
                raise OfflineModeIsEnabled("gone")
            names = filter_repo_objects([path.name for path in Path(folder_path).iterdir()], allow_patterns=allow_patterns)
            pushed.append((repo_id, commit_message, {name: (Path(folder_path) / name).read_bytes() for name in names}))

    monkeypatch.setattr(hub, "HfApi", Api)
    trainer = make_trainer(tmp_path / "a-user", num_train_epochs=1, save_strategy="steps", save_steps=4, hub_strategy="every_save")
    trainer.args.push_to_hub, trainer.args.hub_token, trainer.hub_model_id = True, "secret", "me/model"
    trainer.train()
    ((name, message, files),) = pushed
    assert (name, message) == ("me/model", "Training in progress, step 4")
    assert {"config.json", "model.safetensors", "modeling_rnn.py"} <= set(files)
    assert not {"training_args.bin", "trainer_state.json", "optimizer.pt", "options.json", "checksums.json"} & set(files)
    assert not any(b"a-user" in content for content in files.values())
    # what there were to be found is found
    assert b"a-user" in (tmp_path / "a-user" / "checkpoint-4" / "training_args.bin").read_bytes()
    assert "Step 8 was not pushed: The Hub cannot be reached" in caplog.text


@pytest.mark.parametrize("strategy", ["checkpoint", "all_checkpoints"])
def test_checkpoints_to_resume_from_stay(strategy, tmp_path):
    """They are refused before a repository is made."""
    with pytest.raises(ValueError, match=rf"`hub_strategy` must be one of .*every_save.*, got '{strategy}'"):
        make_trainer(tmp_path, hub_strategy=strategy)
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, push_to_hub=True, hub_strategy=strategy, hub_model_id="me/model")
    with pytest.raises(ValueError, match=f"got '{strategy}', which would push what checkpoints are resumed from"):
        RnnTrainer(RnnForSequenceClassification(RnnConfig(vocab_size=20, hidden_size=8)), arguments)
