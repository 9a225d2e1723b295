"""No command writes over what it reads, and each says so before it does anything."""

import json
import re
import shutil

import pytest

from hf_rnn.commands import cli


@pytest.fixture
def model(classifier, tmp_path):
    """Return a copy of the folder of a trained classifier."""
    return shutil.copytree(classifier[0], tmp_path / "model", ignore=shutil.ignore_patterns("checkpoint-*"))


def contents(folder):
    """Return what the files of a folder hold."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--output_dir", "{model}"], "`output_dir` .* is the folder of the model itself"),
        (["convert", "--output_dir", "{model}"], "`output_dir` .* is the folder of the model itself"),
        (["export", "--output_dir", "{model}"], "`output_dir` .* is the folder of the model itself"),
        (["explain", "--texts", "a", "--output_file", "{model}/config.json"], "`output_file` .* is a file of the model"),
        (["predict", "--text", "a", "--output_file", "{model}/README.md"], "`output_file` .* is a file of the model"),
        (
            ["text-classification", "--train_file", "{data}", "--do_train", "--output_dir", "{model}"],
            "`output_dir` .* is the folder of the model itself",
        ),
        (
            ["language-model", "--train_files", "{data}", "--do_train", "--output_dir", "{model}"],
            "`output_dir` .* is the folder of the model",
        ),
        (
            ["text-classification", "--train_file", "{data}", "--do_train", "--output_dir", "{folder}"],
            "`output_dir` .* holds the input .*predictions.jsonl",
        ),
        (
            ["distill", "--teacher", "{model}", "--train_file", "{data}", "--test_file", "{data}", "--output_dir", "{model}"],
            "`output_dir` .* is the folder of the model itself",
        ),
        (["convert", "--output_dir", "{folder}/new", "--test_file", "{folder}/none.csv"], ".*none.csv: there is no such file"),
        (
            ["export", "--quantize", "true", "--output_dir", "{folder}/new", "--test_file", "{folder}/none.csv"],
            ".*none.csv: there is no such file",
        ),
        (["demo", "--output_dir", "{data}"], "`output_dir` .* is a file"),
        (["learning-curve", "--train_file", "{data}", "--test_file", "{data}", "--output_dir", "{data}"], "`output_dir` .* is a file"),
    ],
)
def test_inputs_stay(arguments, message, model, tmp_path, capsys):
    """One line, and every file is as it was."""
    data = tmp_path / "predictions.jsonl"
    data.write_text("".join(json.dumps({"text": f"a {row}", "label": str(row % 2)}) + "\n" for row in range(20)))
    command, *arguments = (argument.format(model=model, data=data, folder=tmp_path) for argument in arguments)
    if command not in ("distill", "learning-curve"):
        arguments += ["--model_name_or_path", str(model)]
    before = contents(tmp_path)
    assert cli.main([command, *arguments]) == 1
    assert re.search(f"^error: {message}", (said := capsys.readouterr().err)), said
    assert said.count("\n") == 1
    assert contents(tmp_path) == before


@pytest.mark.parametrize("option", ["model_name_or_path", "tokenizer_name", "config_name", "embeddings_from", "vectors_file"])
@pytest.mark.parametrize("name", ["outputs/nothing", "./nothing", "/nothing/at/all"])
def test_what_is_not_there(option, name, tmp_path, capsys):
    """A name of a model or file that is not there is named at once, before a tokenizer is trained."""
    (tmp_path / "a.csv").write_text("text,label\na,x\nb,y\n")
    files = ["--train_file", str(tmp_path / "a.csv"), "--output_dir", str(tmp_path / "out")]
    assert cli.main(["text-classification", *files, "--do_train", f"--{option}", name]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and name in said and "Check the path" in said
