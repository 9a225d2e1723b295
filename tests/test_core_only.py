"""Models load and answer with the core dependencies alone, as the README says; the extras are hidden from a process of its own."""

import json
import re
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# modules that are hidden are found nowhere, as if they were not installed
HIDE = """
import json, runpy, sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else super().find_spec(name, path, target)

HIDDEN = set(json.loads(sys.argv[1]))
sys.meta_path = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
"""


def plain(name):
    """Return the name of a distribution as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def core_distributions():
    """Return the names of what is installed with hf-rnn when no extra is asked for, as far as it is here."""
    found, left = set(), ["hf-rnn"]
    while left:
        name = plain(left.pop())
        if name in found:
            continue
        found.add(name)
        try:
            needs = requires(name) or []
        except PackageNotFoundError:
            # for another system or Python
            continue
        left += [re.match(r"[\w.-]+", need).group() for need in needs if "extra" not in need.partition(";")[2]]
    return found


@lru_cache
def hidden_modules():
    """Return the top-level modules of everything else that is installed."""
    core = core_distributions()
    owners = packages_distributions().items()
    return sorted(module for module, names in owners if not core & set(map(plain, names)))


def run(code, hidden=None):
    """Run code in a process where the extras are hidden."""
    return subprocess.run(
        [sys.executable, "-c", HIDE + code, json.dumps(hidden or hidden_modules())],
        capture_output=True,
        text=True,
        check=False,
        cwd=TESTS.parent,
    )


def test_extras_are_hidden():
    """What only an extra brings cannot be imported there, what comes with the package can."""
    assert {"datasets", "evaluate", "sklearn", "scipy", "seqeval", "matplotlib", "accelerate", "onnx", "optuna"} <= set(hidden_modules())
    assert not {"torch", "transformers", "tokenizers", "safetensors", "numpy", "regex", "huggingface_hub"} & set(hidden_modules())
    done = run("import torch, hf_rnn\nimport datasets")
    assert done.returncode == 1 and "No module named 'datasets'" in done.stderr


def test_models_answer_without_extras():
    """Classifier, tagger of tokens and of raw text, language models: loaded, asked, and in pipelines."""
    done = run("sys.argv = ['core_only.py', 'reference/nsmc']\nrunpy.run_path('tests/core_only.py', run_name='__main__')")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "models load and answer" in done.stdout


@pytest.mark.parametrize("command", ["export", "demo", "serve"])
def test_help_needs_no_extra(command):
    """What a command of ONNX or of the server takes is told where those are not installed."""
    done = run(
        f"from hf_rnn.commands import cli; sys.exit(cli.main([{command!r}, '--help']))", ["onnx", "onnxruntime", "onnxscript", "starlette"]
    )
    assert done.returncode == 0, done.stderr
    assert f"hf-rnn {command}" in done.stdout
