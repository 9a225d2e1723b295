"""The command reports what is missing, and its options have the names that example scripts use."""

import builtins
import errno
import re
import sys

import pytest

from hf_rnn.arguments import DataArguments, LabelledTrainingArguments, ModelArguments
from hf_rnn.commands import cli
from hf_rnn.options import option_groups, parse_arguments

# one name for each module
NAMES = list({module: name for name, (module, _) in reversed(cli.COMMANDS.items())}.values())
KINDS = (ModelArguments, DataArguments, LabelledTrainingArguments)


def test_missing_packages_are_named(monkeypatch, capsys):
    """Without the training extra the error says what to install."""
    real = builtins.__import__

    def without_datasets(name, *arguments):
        if name == "datasets" or name.startswith("datasets."):
            raise ModuleNotFoundError("No module named 'datasets'", name="datasets")
        return real(name, *arguments)

    loaded = ("hf_rnn.data.rows.splits", "hf_rnn.commands.train_tokenizer")
    for module in [name for name in sys.modules if name.split(".")[0] == "datasets" or name in loaded]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_datasets)
    assert cli.main(["train-tokenizer"]) == 1
    assert "needs the package 'datasets'" in capsys.readouterr().err


@pytest.mark.parametrize(("place", "variable"), [("home", "HF_HOME"), ("sets", "HF_DATASETS_CACHE"), ("elsewhere", None)])
def test_a_cache_of_somebody_else(place, variable, tmp_path, monkeypatch, capsys):
    """The line says which variable names another one; what is not of a cache is told as it is."""
    monkeypatch.setattr(cli, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "sets"))

    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path / place / "some.lock"))

    monkeypatch.setattr(cli, "_run_whole", refuse)
    assert cli.main(["predict"]) == 1
    said = capsys.readouterr().err
    assert "Read-only file system" in said and said.endswith(
        f"cannot be written: set {variable} to a folder that is yours.\n" if variable else ".lock'\n"
    )


def test_defaults_suit_a_model_from_scratch(tmp_path):
    """Evaluation every epoch with --do_eval and never without; aliases and options of TrainingArguments pass through."""
    model, data, training = parse_arguments(
        ["--output_dir", str(tmp_path), "--do_train", "--max_seq_length", "9", "--learning_rate", "1e-3"], None, *KINDS
    )
    assert (data.max_length, training.learning_rate, model.cell_type) == (9, 1e-3, None)
    assert (training.eval_strategy.value, training.load_best_model_at_end) == ("no", False)
    *_, training = parse_arguments(["--output_dir", str(tmp_path), "--do_train", "--do_eval"], None, *KINDS)
    # the number of rows decides
    assert (training.eval_strategy.value, training.load_best_model_at_end, training.metric_for_best_model) == ("epoch", None, "auto")
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


def help_of(command, capsys, *asked):
    """Return what a command prints when asked for help."""
    with pytest.raises(SystemExit) as end:
        cli.main([command, *asked])
    assert not end.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("command", NAMES)
def test_help_is_short(command, capsys):
    """`--help` fits a screen: what the command does, a call that begins with its name, options; no line runs on."""
    lines = help_of(command, capsys, "--help").splitlines()
    assert len(lines) < 60
    assert max(map(len, lines)) <= 132
    assert any(line.strip().startswith(f"hf-rnn {command} ") for line in lines)
    assert 4 <= sum(line.startswith("  --") for line in lines) <= 20


def test_help_has_real_defaults(capsys):
    """Those of the config stand where an option left out is None, or that the data decide; `--help-all` has every option once."""
    everything = help_of("token-classification", capsys, "--help-all")
    shown = dict(re.findall(r"^  --(\w+)(?:\s+[^\n]*?\[([^\]\n]*)\])?", everything, re.M))
    assert (shown["cell_type"], shown["hidden_size"], shown["do_train"]) == ("lstm", "by the number of rows", "false")
    names = re.findall(r"^  --(\w+)", everything, re.M)
    assert len(names) == len(set(names)) > 150
    assert {"fsdp", "deepspeed", "teacher_name_or_path", "license"} <= set(names)
    titles = [title for title, _ in option_groups(KINDS, {})]
    assert titles[-1] == "Options of `transformers.TrainingArguments`."


def test_examples_in_help_are_calls_that_parse(capsys, tmp_path):
    """Every option that an example of a help text uses exists."""
    for command in NAMES:
        example = next(line for line in help_of(command, capsys, "--help").splitlines() if line.strip().startswith(f"hf-rnn {command} "))
        used = set(re.findall(r"--(\w+)", example))
        assert used <= set(re.findall(r"^  --(\w+)", help_of(command, capsys, "--help-all"), re.M)), command


def test_wrong_options_do_not_print_hundreds_of_lines(capsys):
    """The error is one line."""
    assert cli.main(["text-classification", "--learning_rate", "fast"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
