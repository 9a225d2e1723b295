"""Every block of code of the README runs as a reader would paste it: by itself, with its imports, in a folder with the files it names."""

import csv
import re
import shlex
import shutil
from pathlib import Path

import pytest
from runs import SAMPLES

from hf_rnn.commands import cli
from hf_rnn.data.files.readers import read_rows

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)
PYTHON = [code for kind, code in BLOCKS if kind == "python"]
# the quickstart and the suite, which run in CI as they stand here
TWO_COMMANDS = ["bash scripts/quickstart.sh", "bash scripts/test.sh"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, classifier, tagger):
    """Return a folder with what the README names: reviews, a trained classifier and a tagger, and an exported classifier."""
    folder = tmp_path_factory.mktemp("readme")
    with open(folder / "reviews.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        rows = list(read_rows(str(SAMPLES / "nsmc_train.tsv")))[:400]
        writer.writerows((row["document"], int(row["label"] == "positive")) for row in rows)
    shutil.copytree(classifier[0], folder / "outputs" / "reviews")
    shutil.copytree(tagger[0], folder / "outputs" / "pos")
    arguments = ["--model_name_or_path", str(folder / "outputs" / "reviews"), "--quantize", "true"]
    assert cli.main(["export", *arguments, "--output_dir", str(folder / "outputs" / "reviews-onnx")]) == 0
    return folder


def test_every_block_is_run():
    """Blocks are Python, which `test_python` runs, or the two commands."""
    others = [line.partition("#")[0].strip() for kind, code in BLOCKS if kind != "python" for line in code.splitlines()]
    assert others == TWO_COMMANDS
    assert len(PYTHON) >= 3
    assert len(README.splitlines()) <= 110
    assert "bash scripts/quickstart.sh" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python(code, folder, monkeypatch):
    """It runs to its end."""
    monkeypatch.chdir(folder)
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})


def test_commands_exist():
    """Every command that is named is one, and every option in a line is one of its command's, or of a script's."""
    commands = [shlex.split(code) for code in re.findall(r"`hf-rnn ([^`]+)`", README)]
    assert {command[0] for command in commands} <= set(cli.COMMANDS)
    assert len(commands) > 10
