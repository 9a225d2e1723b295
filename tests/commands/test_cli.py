"""The command reports what is missing, and its options have the names that example scripts use."""

import builtins
import sys

import pytest

from hf_rnn.commands import cli
from hf_rnn.options import parse_arguments
from hf_rnn.training.arguments import DataArguments, ModelArguments, RnnTrainingArguments

KINDS = (ModelArguments, DataArguments, RnnTrainingArguments)


def test_missing_packages_are_named(monkeypatch, capsys):
    """Without the training extra the error says what to install."""
    real = builtins.__import__

    def without_datasets(name, *arguments):
        if name == "datasets" or name.startswith("datasets."):
            raise ModuleNotFoundError("No module named 'datasets'", name="datasets")
        return real(name, *arguments)

    loaded = ("hf_rnn.data.splits", "hf_rnn.commands.train_tokenizer")
    for module in [name for name in sys.modules if name.split(".")[0] == "datasets" or name in loaded]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_datasets)
    assert cli.main(["train-tokenizer"]) == 1
    assert "needs the package 'datasets'" in capsys.readouterr().err


def test_defaults_suit_a_model_from_scratch(tmp_path):
    """Evaluation every epoch with --do_eval and never without; aliases and options of TrainingArguments pass through."""
    model, data, training = parse_arguments(
        ["--output_dir", str(tmp_path), "--do_train", "--max_seq_length", "9", "--learning_rate", "1e-3"], None, *KINDS
    )
    assert (data.max_length, training.learning_rate, model.cell_type) == (9, 1e-3, None)
    assert (training.eval_strategy.value, training.load_best_model_at_end) == ("no", False)
    *_, training = parse_arguments(["--output_dir", str(tmp_path), "--do_train", "--do_eval"], None, *KINDS)
    assert (training.eval_strategy.value, training.load_best_model_at_end, training.metric_for_best_model) == ("epoch", True, "auto")
    *_, training = parse_arguments(["--output_dir", str(tmp_path), "--do_eval", "--save_strategy", "no"], None, *KINDS)
    assert not training.load_best_model_at_end


def test_bf16_without_an_accelerator_runs_on_the_cpu(tmp_path):
    """The base class would refuse."""
    *_, training = parse_arguments(["--output_dir", str(tmp_path), "--bf16"], None, *KINDS)
    assert training.bf16
    assert training.device.type == "cpu" or not training.use_cpu


def test_files_of_options_are_checked(tmp_path):
    """A list in place of options is refused, nulls are left out, lists and dictionaries pass."""
    (tmp_path / "bad.yaml").write_text("- a\n- b\n")
    with pytest.raises(ValueError, match="expected options as `name: value`, got list"):
        parse_arguments([str(tmp_path / "bad.yaml")], None, *KINDS)
    (tmp_path / "good.json").write_text('{"seed": 7, "cell_type": null, "lr_scheduler_kwargs": {"num_cycles": 2}, "report_to": ["none"]}')
    model, _, training = parse_arguments([str(tmp_path / "good.json"), "--output_dir", str(tmp_path)], None, *KINDS)
    assert (training.seed, model.cell_type, training.lr_scheduler_kwargs) == (7, None, {"num_cycles": 2})
