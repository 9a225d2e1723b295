"""Half precision halves the file, keeps the answers, and says what it costs."""

import json

import pytest
import torch
from runs import SAMPLES
from safetensors.torch import load_file, save_file
from transformers import pipeline

from hf_rnn.commands import cli, convert
from hf_rnn.sharing import hub


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_convert(classifier, dtype, tmp_path):
    """The folder is half as large, works in a pipeline, stays fit to be pushed, and its accuracy is measured."""
    arguments = ["--model_name_or_path", str(classifier[0]), "--output_dir", str(tmp_path / "half"), "--dtype", dtype]
    measured = convert.main([*arguments, "--test_file", str(SAMPLES / "nsmc_test.tsv")])
    assert abs(measured["accuracy"] - measured["smaller_accuracy"]) < 0.03
    assert measured["same_answers"] > 0.9
    tensors = load_file(tmp_path / "half" / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {getattr(torch, dtype)}
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == dtype
    assert pipeline("text-classification", model=str(tmp_path / "half"))("영화")[0]["label"] in ("negative", "positive")
    settings = json.loads((tmp_path / "half" / "tokenizer.json").read_text())
    assert settings["truncation"] is settings["padding"] is None
    included, _ = hub.plan(tmp_path / "half")
    assert "curves.png" in included
    hub.verify(tmp_path / "half")


def test_what_cannot_be_converted(classifier, tmp_path, capsys):
    """Values beyond the range of a dtype, the folder itself, and nothing."""
    folder = str(classifier[0])
    assert cli.main(["convert", "--model_name_or_path", folder, "--output_dir", folder]) == 1
    assert "is the folder of the model itself" in capsys.readouterr().err
    assert cli.main(["convert"]) == 1
    assert "`model_name_or_path` is needed" in capsys.readouterr().err
    cli.main(["convert", "--model_name_or_path", folder, "--output_dir", str(tmp_path / "wide"), "--dtype", "float32"])
    tensors = load_file(tmp_path / "wide" / "model.safetensors")
    tensors["classifier.bias"][0] = 1e6
    save_file(tensors, tmp_path / "wide" / "model.safetensors", {"format": "pt"})
    capsys.readouterr()
    assert cli.main(["convert", "--model_name_or_path", str(tmp_path / "wide"), "--output_dir", str(tmp_path / "half")]) == 1
    assert "Weight 'classifier.bias' has values beyond the range of float16. Pass --dtype bfloat16." in capsys.readouterr().err
