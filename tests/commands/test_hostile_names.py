"""Texts, labels and names of files say what they say: they steer no terminal, break no table and no card, and end no training."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from huggingface_hub import ModelCard
from runs import TINY

import hf_rnn
from hf_rnn.commands import cli
from hf_rnn.data.visible import visible, visible_json
from hf_rnn.models.pretrained import name_in_card
from hf_rnn.reports.tables import to_markdown

CLEAR = "\x1b[2J\x9b31m\u202eevil|\x07"
STEERING = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def model(classifier, tmp_path):
    """Return a copy of a classifier one of whose labels clears a terminal."""
    folder = shutil.copytree(classifier[0], tmp_path / "model", ignore=shutil.ignore_patterns("checkpoint-*"))
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": f"{CLEAR}0", "1": f"{CLEAR}1"}
    config["label2id"] = {f"{CLEAR}0": 0, f"{CLEAR}1": 1}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_visible():
    """What steers is spelt out; letters of all scripts, emojis of several parts and accents stay."""
    assert visible("a\x1b[31m\n\t\x9b\u202e\ud800b") == r"a\x1b[31m\n\t\x9b\u202e\ud800b"
    plain = "영화 é \u0301 👩\u200d👩\u200d👧 می\u200cخواهم हिन्दी \\ '\""
    assert visible(plain) == visible_json(plain) == plain
    line = json.dumps({"text": CLEAR}, ensure_ascii=False)
    assert json.loads(visible_json(line)) == {"text": CLEAR} and not STEERING.search(visible_json(line))


@pytest.mark.parametrize("command", ["explain", "predict", "compare", "wrong"])
def test_a_terminal_is_not_steered(command, model, tmp_path, capfd):
    """By neither texts nor labels nor names of models; what is told means the same."""
    text = f"영화 {CLEAR} 좋다"
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text, "label": f"{CLEAR}{row % 2}"}) + "\n" for row in range(10)))
    (tmp_path / "b\x1b|").symlink_to(model)
    arguments = {
        "explain": ["explain", "--model_name_or_path", str(model), "--texts", text],
        "predict": ["predict", "--model_name_or_path", str(model), "--text", text],
        "compare": ["compare", str(model), str(tmp_path / "b\x1b|"), "--test_file", str(rows), "--output_dir", str(tmp_path / "out")],
        "wrong": ["predict", "--model_name_or_path", str(model), "--input_file", f"{CLEAR}.csv"],
    }[command]
    assert cli.main([*arguments, *(["--resamples", "100"] if command == "compare" else [])]) == (command == "wrong")
    out, err = capfd.readouterr()
    assert "evil" in out + err or command == "compare"
    assert not STEERING.search(out + err)
    if command == "predict":
        assert json.loads(out)["text"] == text and json.loads(out)["label"].startswith(CLEAR)
    if command == "compare":
        table = [line for line in out.splitlines() if line.startswith("|")]
        assert len(table) == 4 and len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_tables():
    """A bar in a cell makes no column, and columns stay even."""
    table = to_markdown(["a|b", "c"], [["x\n|", "1"], ["y", "22"]])
    assert table.splitlines() == [r"| a\|b  |   c |", "| ----- | --: |", r"| x\n\| |   1 |", "| y     |  22 |"]


def test_names_in_a_card(tmp_path):
    """Names of folders and files that hold quotes, bars or no UTF-8 give a whole card, whose code loads what it names."""
    name = 'a"b\\c'
    data = os.fsdecode(b"r\xe9views.jsonl")
    rows = "".join(json.dumps({"text": f"a {row}", "label": str(row % 2)}) + "\n" for row in range(40))
    with open(tmp_path / data, "w") as file:
        file.write(rows)
    options = ["--train_file", str(tmp_path / data), *TINY, "--num_train_epochs", "1", "--do_train", "--linear_size", "0"]
    assert cli.main(["text-classification", *options, "--output_dir", str(tmp_path / name)]) == 0
    card = tmp_path / name / "README.md"
    found = re.findall(r'model=("(?:[^"\\\n]|\\.)*")', card.read_text(encoding="utf-8"))
    assert [json.loads(each) for each in found] == [name, name]
    told = ModelCard.load(card)
    assert told.data.pipeline_tag == "text-classification" and r"r\udce9views.jsonl" in told.text
    name_in_card(card, "me/model")
    assert card.read_text(encoding="utf-8").count('model="me/model"') == 2


def test_a_folder_that_is_no_utf8(tmp_path, capsys):
    """It is refused before anything is read or trained: libraries that write there fail after the first epoch."""
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/out\xff")
    for command in ("text-classification", "tune", "language-model"):
        named = "train_files" if command == "language-model" else "train_file"
        assert cli.main([command, f"--{named}", "gone.csv", "--do_train", "--output_dir", folder]) == 1
        told = capsys.readouterr().err
        assert "is no UTF-8, which names of files must be. Pass another --output_dir." in told and told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_model(classifier, tmp_path, capsys):
    """The libraries would unpickle it."""
    path = tmp_path / "config.json"
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch harm'\ntR.")
    with pytest.raises(ValueError, match="is a file, not the folder of a model. Pass the folder, or a name on the Hub."):
        hf_rnn.load(str(path))
    data = tmp_path / "a.csv"
    data.write_text("text,label\na,x\nb,y\n")
    for option in ("--model_name_or_path", "--embeddings_from", "--teacher_name_or_path"):
        options = ["--train_file", str(data), "--do_train", "--output_dir", str(tmp_path / "out"), *TINY]
        assert cli.main(["text-classification", *options, option, str(path)]) == 1
        assert "is a file, not the folder of a model" in capsys.readouterr().err


@pytest.mark.thorough
@pytest.mark.parametrize("arguments", [["predict", "--help"], ["predict", "--input_file", "-"]])
def test_a_reader_that_ends_first(arguments, classifier):
    """`| head` gets what it asked for, and the rest is one line."""
    code = "import sys; from hf_rnn.commands import cli; sys.exit(cli.main(sys.argv[1:]))"
    more = [] if "--help" in arguments else ["--model_name_or_path", str(classifier[0])]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    process.stdin.write("영화\n" * 20)
    process.stdin.close()
    process.stdin = process.stdout = None
    said = process.stderr.read()
    assert said == "error: what read the output ended before it. Write to a file to have all of it.\n"
    assert process.wait() == 141


def test_a_terminal_without_letters(classifier):
    """What it has no letters for is spelt out, as JSON does it."""
    code = "import sys; from hf_rnn.commands import cli; sys.exit(cli.main(sys.argv[1:]))"
    arguments = ["predict", "--model_name_or_path", str(classifier[0]), "--text", "영화 😀"]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "영화 😀"


@pytest.mark.parametrize("value", [1e38, -1e16, float("nan"), 1e15])
def test_targets_of_a_regression(value, tmp_path, capsys):
    """One whose square is beyond fp32 is named; the largest that is taken leaves no infinity behind."""
    data = tmp_path / "a.jsonl"
    data.write_text("".join(json.dumps({"text": f"a {row}", "label": row / 7 if row else value}) + "\n" for row in range(40)))
    options = ["--train_file", str(data), *TINY, "--num_train_epochs", "1", "--do_train", "--do_eval", "--problem_type", "regression"]
    options += ["--validation_file", str(data), "--output_dir", str(tmp_path / "out")]
    status = cli.main(["text-classification", *options])
    err = capsys.readouterr().err
    if value == 1e15:
        assert status == 0
        assert "Infinity" not in (tmp_path / "out" / "all_results.json").read_text() + (tmp_path / "out" / "trainer_state.json").read_text()
    else:
        assert status == 1
        assert ("the label is missing (got None)" if value != value else "a number must be within 1e+15 to be squared in fp32, got ") in err
        assert "line 1 (train row 0), column 'label'" in err
