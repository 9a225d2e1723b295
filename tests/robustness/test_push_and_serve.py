"""Pushes and servers that are killed: the Hub has all of a push or nothing, folders keep what they held."""

import os
import re
import shutil
import signal
import threading
import time

import pytest
from breaking import call, held
from checkpoints import random_checkpoint
from hub_server import TOKEN, running_hub
from huggingface_hub import constants

from hf_rnn.commands import cli
from hf_rnn.sharing import hub

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
CARD = '---\nlibrary_name: hf_rnn\n---\n\npipeline("text-classification", model="model")\n'


class Requests(list):
    """Requests that a Hub has had; at the n-th of them a process is sent a signal."""

    def __init__(self, at, number, log):
        super().__init__()
        self.at, self.number, self.log = at, number, log

    def append(self, request):
        """Take a request."""
        super().append(request)
        if len(self) == self.at:
            os.kill(int(self.log.read_text()), self.number)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Make a model with a card; return its folder."""
    folder = tmp_path_factory.mktemp("pushed") / "model"
    random_checkpoint(folder, problem_type="single_label_classification", labels=["a", "b"])
    (folder / "README.md").write_text(CARD)
    return folder


@pytest.fixture
def model(original, tmp_path):
    """Return a copy of it."""
    return shutil.copytree(original, tmp_path / "model")


def push(server, folder, pid):
    """Push a folder in a fork, which writes down its number; the check of the folder, before which nothing is sent, is left out."""

    def setup():
        constants.ENDPOINT, constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_XET = server.url, False, True
        os.environ["HF_TOKEN"] = TOKEN
        hub.verify = lambda *_: None
        pid.write_text(str(os.getpid()))

    arguments = ["push", "--model_path", str(folder), "--repo_id", "tester/model"]
    (pid.parent / "place").mkdir(exist_ok=True)
    return call(arguments, pid.parent / "place", setup=setup)


@pytest.mark.thorough
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_push_is_whole_or_nothing(number, model, tmp_path):
    """Whatever request it is killed at; the next one finds nothing in its way."""
    pid = tmp_path / "pid"
    with running_hub() as server:
        done = push(server, model, pid)
        assert done.status == 0, done.said
        count, whole = len(server.requests), server.repositories["tester/model"].revisions[-1]
        (model / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:-1] + b"1")
        new = {**whole, "model.safetensors": (model / "model.safetensors").read_bytes()}
        assert count > 5 and new != whole
        before, broken = held(model), 0
        for at in range(1, count + 1):
            repository = server.repositories["tester/model"]
            del repository.revisions[2:]
            server.blobs.clear()
            server.requests = Requests(at, number, pid)
            done = push(server, model, pid)
            broken += done.status != 0
            assert done.status in (0, -number, 130) and "Traceback" not in done.said, (at, done.said)
            time.sleep(0.05)
            assert repository.revisions[-1] in (whole, new), at
            assert held(model) == before
            server.requests = []
            assert push(server, model, pid).status == 0
            assert repository.revisions[-1] == new
        assert broken >= count // 2


@pytest.mark.parametrize("name", ["handler.py", "README.md"])
def test_what_a_push_writes_is_whole(name, model, monkeypatch):
    """What is killed while it writes into the folder leaves the old file, or none."""
    hub.write_handler(model)
    (model / "handler.py").write_text((model / "handler.py").read_text()[:-9])
    before = (model / name).read_bytes()

    def killed(self, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    monkeypatch.setattr("pathlib.Path.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        hub.write_handler(model) if name == "handler.py" else hub.name_in_card(model / name, "me/model")
    assert (model / name).read_bytes() == before


def end_when_it_listens(log, pid, number):
    """Send a server a signal once it says that it listens."""
    for _ in range(6000):
        if log.exists() and "Listening on" in log.read_text():
            break
        time.sleep(0.01)
    os.kill(int(pid.read_text()), number)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_server_leaves_nothing(number, model, tmp_path):
    """While it loads and while it listens; its address is free again."""
    for package in ("starlette", "uvicorn", "httptools"):
        pytest.importorskip(package, reason="the extra `serve` is not installed")
    before, place, pid = held(model), tmp_path / "place", tmp_path / "pid"
    place.mkdir()
    soon = threading.Timer(0.02, lambda: os.kill(os.getpid(), number))
    done = call(["serve", str(model), "--port", "0"], place, setup=soon.start)
    assert done.status in (130, -number) and "Traceback" not in done.said, done.said
    port = 0
    for _ in range(2):
        # the line of the server before
        (tmp_path / "place.log").unlink()
        ender = threading.Thread(target=end_when_it_listens, args=(tmp_path / "place.log", pid, number))
        ender.start()
        done = call(["serve", str(model), "--port", str(port)], place, setup=lambda: pid.write_text(str(os.getpid())))
        ender.join()
        assert done.status in (0, 130, -number) and "Traceback" not in done.said, done.said
        port = int(re.search(r"Listening on http://127.0.0.1:(\d+)", done.said)[1])
    assert held(model) == before and not list(place.iterdir())


def test_names_of_files(model, capsys):
    """Signs of patterns stand for themselves; what steers a terminal or is no UTF-8 does not go up, and is shown spelt out."""
    odd = [b"x*[a].onnx", b"\x1b[31m.onnx", b"\xff.onnx", b"a\nb.safetensors"]
    for name in odd:
        (model / os.fsdecode(name)).write_bytes(b"1")
    hub.write_handler(model)
    included, left_out = hub.plan(model)
    assert "x*[a].onnx" in included and {os.fsdecode(name) for name in odd[1:]} <= set(left_out)
    with pytest.MonkeyPatch.context() as patch, running_hub() as server:
        patch.setattr(constants, "ENDPOINT", server.url)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(hub, "verify", lambda *_: None)
        patch.setenv("HF_TOKEN", TOKEN)
        assert cli.main(["push", "--model_path", str(model), "--repo_id", "tester/names"]) == 0
        sent = server.repositories["tester/names"].revisions[-1]
    told = capsys.readouterr().out
    assert set(sent) == set(included)
    assert r"\x1b[31m.onnx" in told and r"\udcff.onnx" in told and r"a\nb.safetensors" in told


def test_names_of_repositories(model, capsys):
    """One line, before the folder is touched or anything is sent."""
    before = held(model)
    for name in ("../x", "a/../b", "tester/..", "tester/--", "-x/y", "tester/모델", "t/" + "x" * 300, "t/x\n", "t/\x1b[31m", "--"):
        assert cli.main(["push", "--model_path", str(model), f"--repo_id={name}"]) == 1
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and told.rstrip("\n").isprintable(), name
        assert held(model) == before
