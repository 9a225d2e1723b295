"""What goes up says nothing of where it was made: no path of the machine, no home, user or host."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from runs import TINY
from transformers import BertConfig, BertModel

import hf_rnn
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.sharing.hub import plan

USER, HOST = "maria-of-the-test", "host-of-the-test"
# a process on another machine, as far as Python tells
ELSEWHERE = f"""
import getpass, os, platform, socket, sys
socket.gethostname = platform.node = lambda: {HOST!r}
getpass.getuser = lambda: {USER!r}
from hf_rnn.commands import cli
sys.exit(cli.main(sys.argv[1:]))
"""
WORDS = ("good", "bad", "fine", "dull", "lovely", "awful")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return the home of a user, with data, vectors and an encoder in it."""
    home = tmp_path_factory.mktemp("users") / USER
    home.mkdir()
    rows = [{"text": f"a {word} film {number}", "label": str(index % 2)} for number in range(20) for index, word in enumerate(WORDS)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "vectors.txt").write_text("".join(f"{word} {' '.join(['0.1'] * 16)}\n" for word in WORDS))
    tokenizer = train_tokenizer([row["text"] for row in rows], "wordpiece", 200)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(home / "encoder")
    tokenizer.save_pretrained(home / "encoder")
    (home / "student.json").write_text(json.dumps({"hidden_size": 16, "num_hidden_layers": 1, "num_train_epochs": 1, "use_cpu": True}))
    return home


def run(home, *arguments):
    """Run a command as that user; return what was said."""
    environment = {**os.environ, "HOME": str(home), "USER": USER, "LOGNAME": USER, "HOSTNAME": HOST, "HF_HOME": str(home / "hf")}
    command = [sys.executable, "-c", ELSEWHERE, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=home)
    assert done.returncode == 0, done.stderr[-3000:]


def places(home):
    """Return what no file may hold."""
    folders = {home, home.parent, Path.home(), Path(hf_rnn.__file__).parents[1], Path(sys.prefix)}
    return [USER, HOST, *(str(folder) for folder in folders if len(folder.parts) > 2)]


def assert_no_place(folder, home):
    """No file that a push takes, by its name or what it holds, tells a place."""
    included, _ = plan(folder)
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(included)
    # what a run leaves for itself, by whatever name it comes
    assert not {path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".db", ".jsonl", ".html")} & set(included)
    assert not {"trainer_state.json", "options.json", "settings.md", "settings.tex"} & set(included)
    for name in included:
        content = (folder / name).read_bytes()
        found = [place for place in places(home) if place.encode() in content or place.encode("utf-16-le") in content]
        assert not found, f"{name} holds {found}"


@pytest.mark.thorough
def test_trainings(home):
    """From scratch with vectors, from a checkpoint, and in half precision."""
    data = ["--train_file", home / "rows.jsonl", "--test_file", home / "rows.jsonl", *TINY, "--num_train_epochs", "1"]
    steps = ["--do_train", "--do_eval", "--do_predict", "--report_to", "tensorboard"]
    run(home, "text-classification", *data, *steps, "--vectors_file", home / "vectors.txt", "--output_dir", home / "first")
    assert_no_place(home / "first", home)
    more = ["--model_name_or_path", home / "first", "--output_dir", home / "second"]
    run(home, "text-classification", "--train_file", home / "rows.jsonl", "--use_cpu", "true", "--num_train_epochs", "1", *steps[:2], *more)
    assert_no_place(home / "second", home)
    run(home, "convert", "--model_name_or_path", home / "second", "--output_dir", home / "half")
    assert_no_place(home / "half", home)
    # what there were to be found is found
    with open(home / "half" / "tokenizer_config.json", "a") as file:
        file.write(str(home))
    with pytest.raises(AssertionError, match="tokenizer_config.json holds"):
        assert_no_place(home / "half", home)


@pytest.mark.thorough
def test_a_student(home):
    """Of a teacher that is trained in the same call."""
    files = ["--train_file", home / "rows.jsonl", "--test_file", home / "rows.jsonl", "--unlabeled_file", home / "rows.jsonl"]
    options = ["--options_file", home / "student.json", "--augment", "30", "--output_dir", home / "student"]
    run(home, "distill", "--teacher", home / "encoder", *files, *options)
    assert_no_place(home / "student", home)
