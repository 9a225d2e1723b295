"""What is exported and published tells nothing of the machine that wrote it: no path, no source line, no user, no host."""

import os
import platform
import socket
from pathlib import Path

import pytest

import hf_rnn
from hf_rnn.commands import cli
from hf_rnn.demo.page import PACKAGES, package_archive

# names that no vocabulary and no weight holds by chance
USER, HOST = "a-user-of-this-machine", "a-host-of-this-network"


@pytest.fixture
def named(tmp_path, monkeypatch):
    """Give user and host names that would be seen, once temporary folders are made, whose path has that of the user."""
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, USER)
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    monkeypatch.setattr(platform, "node", lambda: HOST)


def traces(folder, checkpoint):
    """Return which files of a folder hold a path of this machine, the name of its user or host, or, in graphs, that of a source file."""
    telltales = [str(Path.home()), os.getcwd(), str(Path(hf_rnn.__file__).parent), str(checkpoint), str(folder), USER, HOST]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".onnx" for path in files)
    found = [(path.name, word) for path in files for word in telltales if len(word) > 1 and word.encode() in path.read_bytes()]
    return found + [(path.name, ".py") for path in files if path.suffix == ".onnx" and b".py" in path.read_bytes()]


@pytest.mark.parametrize("model", ["classifier", "span_tagger"])
@pytest.mark.thorough
def test_exported_folder(model, named, tmp_path, request):
    """Graphs in fp32 and int8, config and tokenizer."""
    checkpoint = request.getfixturevalue(model)[0]
    arguments = ["--model_name_or_path", str(checkpoint), "--output_dir", str(tmp_path / "onnx"), "--quantize", "true"]
    assert cli.main(["export", *arguments]) == 0
    assert traces(tmp_path / "onnx", checkpoint) == []


@pytest.mark.thorough
def test_page(named, classifier, tmp_path):
    """All files of the page."""
    try:
        _ = [package_archive(package) for package in PACKAGES]
    except ValueError as error:
        pytest.skip(str(error))
    assert cli.main(["demo", "--model_name_or_path", str(classifier[0]), "--output_dir", str(tmp_path / "page")]) == 0
    assert traces(tmp_path / "page", classifier[0]) == []
