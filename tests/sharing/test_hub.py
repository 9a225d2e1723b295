"""Pushing: everything in one commit, verified first, loaded again by name in every way, and safe when it fails half-way."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from hub_server import TOKEN, run, running_hub
from runs import reviews
from safetensors.torch import load_file, save_file

from hf_rnn.commands import cli
from hf_rnn.sharing import hub

IDS = [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]


@pytest.fixture(scope="module")
def server():
    """Run a Hub."""
    with running_hub() as running:
        yield running


@pytest.fixture(autouse=True)
def healthy(server):
    """Let no test inherit another's failure."""
    server.fail = None


@pytest.fixture
def model(classifier, tmp_path):
    """Return a copy of the folder of a trained classifier."""
    return shutil.copytree(classifier[0], tmp_path / "model", ignore=shutil.ignore_patterns("checkpoint-*"))


def push(server, folder, name, home, *more):
    """Run `hf-rnn push`."""
    arguments = ["push", "--model_path", str(folder), "--repo_id", name, *more]
    return run(server, f"import sys; from hf_rnn.commands import cli; sys.exit(cli.main({arguments!r}))", home)


LOAD = """
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained("{name}", trust_remote_code={remote}).eval()
tokenizer = AutoTokenizer.from_pretrained("{name}")
print("module:", type(model).__module__.split(".")[0])
print("logits:", model(torch.tensor({ids})).logits.tolist())
"""


def logits(server, name, home, with_package, more=""):
    """Load a model by its name and return its logits as printed."""
    import_package = "import hf_rnn\n" if with_package else ""
    code = import_package + LOAD.format(name=name, ids=IDS, remote=not with_package) + more
    status, printed = run(server, code, home, with_package)
    assert status == 0, printed[-3000:]
    module = "hf_rnn" if with_package else "transformers_modules"
    assert f"module: {module}" in printed
    return next(line for line in printed.splitlines() if line.startswith("logits:"))


@pytest.mark.thorough
def test_push_and_load_and_push_again(server, model, tmp_path):
    """Pushed by the command, loaded by name with and without the package, pushed again from either, and loaded again."""
    status, printed = push(server, model, "tester/reviews", tmp_path)
    assert status == 0, printed
    repository = server.repositories["tester/reviews"]
    assert repository.private
    assert len(repository.revisions) == 2
    uploaded = set(repository.revisions[-1])
    named = {"README.md", "config.json", "model.safetensors", "tokenizer.json", "curves.png", "confusion_matrix.png", "handler.py"}
    assert named <= uploaded
    assert set(hub.CODE) <= uploaded
    assert not {"training_args.bin", "predictions.jsonl", "trainer_state.json"} & uploaded
    first = logits(server, "tester/reviews", tmp_path, True)
    again = 'model.push_to_hub("tester/{0}")\n'
    for index, with_package in enumerate((True, False)):
        home = tmp_path / f"again{index}"
        home.mkdir()
        assert logits(server, "tester/reviews", home, with_package, again.format(f"again{index}")) == first
        repository = server.repositories[f"tester/again{index}"]
        # one commit, with all that belongs to the model
        assert len(repository.revisions) == 2
        assert uploaded - {"all_results.json", "train_results.json", "handler.py"} <= set(repository.revisions[-1])
        assert f'model="tester/again{index}"' in repository.revisions[-1]["README.md"].decode()
        for way, with_package_now in enumerate((True, False)):
            (home / str(way)).mkdir()
            assert logits(server, f"tester/again{index}", home / str(way), with_package_now) == first


@pytest.mark.thorough
def test_a_stranger_follows_the_card(server, model, tmp_path):
    """Both examples of the card work as they stand there, in a process that has seen nothing of this, and give the same answer."""
    assert push(server, model, "tester/stranger", tmp_path)[0] == 0
    card = server.repositories["tester/stranger"].revisions[-1]["README.md"].decode()
    examples = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(examples) == 2
    answers = []
    for index, example in enumerate(examples):
        home = tmp_path / str(index)
        home.mkdir()
        assert len(example.splitlines()) == 3
        status, printed = run(server, example, home, with_package="import hf_rnn" in example)
        assert status == 0, printed
        answers.append(re.search(r"\[\{.*'score'.*\}\]", printed)[0])
    assert answers[0] == answers[1]


@pytest.mark.thorough
def test_update_and_failure(server, model, tmp_path):
    """A second push replaces the first; one that fails half-way leaves the old revision, and repeated sends no weights twice."""
    assert push(server, model, "tester/update", tmp_path)[0] == 0
    repository = server.repositories["tester/update"]
    first = logits(server, "tester/update", tmp_path, True)
    weights = load_file(model / "model.safetensors")
    save_file(
        {name: value + 0.01 for name, value in weights.items() if value.is_floating_point()}
        | {name: value for name, value in weights.items() if not value.is_floating_point()},
        model / "model.safetensors",
        {"format": "pt"},
    )
    server.fail = "/commit/"
    status, printed = push(server, model, "tester/update", tmp_path)
    assert status == 1
    assert "the disk is full" in printed and "Traceback" not in printed
    server.fail = None
    assert len(repository.revisions) == 2
    (tmp_path / "old").mkdir()
    assert logits(server, "tester/update", tmp_path / "old", False) == first
    sent = len(server.uploads)
    assert push(server, model, "tester/update", tmp_path)[0] == 0
    assert len(server.uploads) == sent
    assert len(repository.revisions) == 3
    (tmp_path / "new").mkdir()
    assert logits(server, "tester/update", tmp_path / "new", False) != first


@pytest.mark.thorough
def test_other_weights_leave_the_card_behind(server, model, tmp_path):
    """A model that has learnt on is pushed with its tokenizer, and without scores and curves that are not its own."""
    code = f"""
    import hf_rnn
    from transformers import AutoModelForSequenceClassification
    model = AutoModelForSequenceClassification.from_pretrained({str(model)!r})
    model.classifier.bias.data.add_(1)
    model.push_to_hub("tester/changed")
    """
    assert run(server, code, tmp_path)[0] == 0
    files = server.repositories["tester/changed"].revisions[-1]
    assert {"tokenizer.json", "README.md", "model.safetensors"} <= set(files)
    assert "curves.png" not in files
    assert b"accuracy" not in files["README.md"]


@pytest.mark.thorough
def test_shards_of_an_earlier_revision_go(server, model, tmp_path):
    """Weights that were saved in parts do not stay beside those in one piece."""
    code = f"""
    import hf_rnn
    from transformers import AutoModelForSequenceClassification
    AutoModelForSequenceClassification.from_pretrained({str(model)!r}).save_pretrained({str(model)!r}, max_shard_size="20KB")
    """
    single = (model / "model.safetensors").read_bytes()
    assert run(server, code, tmp_path)[0] == 0
    assert (model / "model.safetensors.index.json").is_file()
    (model / "model.safetensors").unlink()
    assert push(server, model, "tester/shards", tmp_path)[0] == 0
    parts = list(model.glob("model*.safetensors*"))
    assert len(parts) > 2
    for path in parts:
        path.unlink()
    (model / "model.safetensors").write_bytes(single)
    assert push(server, model, "tester/shards", tmp_path)[0] == 0
    weights = [name for name in server.repositories["tester/shards"].revisions[-1] if "safetensors" in name]
    assert weights == ["model.safetensors"]


@pytest.mark.thorough
def test_dry_run_sends_nothing(server, model, tmp_path):
    """It lists what would go up and what would not."""
    before = len(server.requests)
    status, printed = push(server, model, "tester/dry", tmp_path, "--dry_run", "true")
    assert status == 0
    assert "model.safetensors" in printed and "Left out:" in printed and "training_args.bin" in printed
    assert server.requests[before:] == []


@pytest.mark.thorough
def test_trainer_pushes(server, tmp_path):
    """`--push_to_hub` pushes once, at the end, with our card, and the token is written nowhere."""
    arguments = reviews(tmp_path / "run", "--do_train", "--do_eval", "--push_to_hub", "true", "--hub_model_id", "tester/trained")
    arguments += ["--hub_token", TOKEN, "--report_to", "tensorboard"]
    status, printed = run(
        server, f"import sys; from hf_rnn.commands import cli; sys.exit(cli.main(['text-classification', *{arguments!r}]))", tmp_path
    )
    assert status == 0, printed[-3000:]
    repository = server.repositories["tester/trained"]
    assert repository.private
    assert len(repository.revisions) == 2
    assert b"hf_rnn" in repository.revisions[-1]["README.md"] and b"model-index" in repository.revisions[-1]["README.md"]
    assert {"curves.png", "tokenizer.json", "model.safetensors"} <= set(repository.revisions[-1])
    assert TOKEN not in printed
    for path in (tmp_path / "run").rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


@pytest.mark.thorough
def test_a_wrong_token_is_said_and_not_shown(server, model, tmp_path):
    """The error names the refusal; the token appears nowhere."""
    arguments = ["push", "--model_path", str(model), "--repo_id", "tester/no"]
    code = f"import os, sys; os.environ['HF_TOKEN'] = 'hf_wrong'; from hf_rnn.commands import cli; sys.exit(cli.main({arguments!r}))"
    status, printed = run(server, code, tmp_path)
    assert status == 1
    assert "401" in printed and "hf auth login" in printed
    assert "hf_wrong" not in printed
    assert "tester/no" not in server.repositories


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "README.md").unlink(), "README.md is missing, a model card"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"\*.safetensors is missing"),
        (lambda folder: (folder / "pooling.py").unlink(), "the code pooling.py is missing"),
        (lambda folder: (folder / "README.md").write_text("---\nmodel-index: [\n---\n"), "its metadata cannot be read"),
        (lambda folder: (folder / "pooling.py").write_text("import nowhere\n"), "does not load without hf_rnn: .*nowhere"),
        (
            lambda folder: (folder / "pooling.py").write_text((folder / "pooling.py").read_text().replace("amax(1)", "amin(1)")),
            "computes something else",
        ),
        (lambda folder: change_config(folder, architectures=["BertModel"]), "names 'BertModel', which is no model of this package"),
        (lambda folder: fill(folder, float("nan")), "'classifier.weight' holds NaN or infinity"),
        (lambda folder: fill(folder, 3.4e38), "computes NaN or infinity"),
    ],
)
def test_what_does_not_work_is_not_pushed(model, change, message):
    """Each fault is named before anything is sent."""
    change(model)
    with pytest.raises(ValueError, match=message):
        hub.push(model, "tester/never", trust_remote_code=True)


def change_config(folder, **fields):
    """Change fields of a config file."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def fill(folder, value):
    """Fill the output layer with a value."""
    weights = load_file(folder / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = torch.full_like(weights[name], value)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://nowhere.invalid", "no address"])
def test_without_network(model, address, tmp_path):
    """A Hub that cannot be reached is one line, behind the list of what would have gone up."""
    arguments = ["push", "--model_path", str(model), "--repo_id", "tester/no"]
    code = f"import sys; from hf_rnn.commands import cli, push; push.hub.verify = print; sys.exit(cli.main({arguments!r}))"
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"error: The Hub cannot be reached \(.*\). Nothing was changed there; try again .*\n", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`model_path` is needed"),
        (["--model_path", "nowhere", "--repo_id", "a/b"], "'nowhere' is no folder"),
        (["--model_path", "nowhere"], "`repo_id` is needed"),
    ],
)
def test_wrong_calls(arguments, message, capsys):
    """One line says what is wrong."""
    assert cli.main(["push", *arguments]) == 1
    assert message in capsys.readouterr().err
