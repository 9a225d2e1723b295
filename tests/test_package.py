"""The package as a whole: what an import loads and costs, which way dependencies point, and that the samples are what they say."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hf_rnn
from hf_rnn.readers import read_rows

PACKAGE = Path(hf_rnn.__file__).parent
SHIPPED = {path.stem for path in PACKAGE.glob("*_rnn.py")} | {"tags"}


HEAVY = {"datasets", "evaluate", "sklearn", "matplotlib", "seqeval", "transformers.trainer"}


def run_code(code):
    """Run Python code in a process of its own and return what it prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_is_light():
    """`import hf_rnn` loads nothing that only training needs and that transformers' Auto classes do not load anyway."""
    before = "import sys; from transformers import AutoModel; before = set(sys.modules); import hf_rnn; "
    assert run_code(f"{before} print(sorted({HEAVY} & (set(sys.modules) - before)))") == "[]"


def test_import_is_quick():
    """`import hf_rnn` takes at most 0.3 s beyond `from transformers import PreTrainedModel`; the best of three."""
    code = "import time; from transformers import PreTrainedModel; start = time.perf_counter(); import hf_rnn; "
    code += "print(time.perf_counter() - start)"
    assert min(float(run_code(code)) for _ in range(3)) < 0.3


def test_public_names():
    """At most twelve names, all there."""
    assert len(hf_rnn.__all__) <= 12
    assert all(hasattr(hf_rnn, name) for name in hf_rnn.__all__)


def imports(path):
    """Return the modules that a file imports, siblings with a dot."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_modules_stand_alone(name):
    """What travels with a checkpoint imports siblings that travel too, torch, transformers, huggingface_hub, standard library."""
    allowed = {"torch", "transformers", "huggingface_hub"} | set(sys.stdlib_module_names)
    for module in imports(PACKAGE / f"{name}.py"):
        if module.startswith("."):
            assert module.count(".") == 1
            assert module[1:] in SHIPPED
        else:
            assert module.split(".")[0] in allowed


def test_modeling_imports_every_shipped_sibling():
    """Older loaders copy only what the model's own file imports."""
    assert {f".{name}" for name in SHIPPED - {"modeling_rnn"}} <= imports(PACKAGE / "modeling_rnn.py")


def test_dependencies_point_one_way():
    """No module imports one that, directly or not, imports it."""
    graph = {path.stem: {name[1:] for name in imports(path) if name.startswith(".") and name != "."} for path in PACKAGE.glob("*.py")}

    def reach(name, seen):
        for after in graph.get(name, ()):
            if after not in seen:
                seen.add(after)
                reach(after, seen)
        return seen

    assert not [name for name in graph if name in reach(name, set())]


def test_samples():
    """About 6,000 reviews and 1,500 sentences, balanced and tagged, with their licences."""
    reviews = [row for split in ("train", "test") for row in read_rows(str(PACKAGE / "samples" / f"nsmc_{split}.tsv"))]
    assert len({row["id"] for row in reviews}) == 6000
    assert 0.45 < sum(row["label"] == "1" for row in reviews) / 6000 < 0.55
    sentences = [row for split in ("train", "test") for row in read_rows(str(PACKAGE / "samples" / f"ewt_{split}.conllu"))]
    assert len(sentences) == 1500
    assert len({tag for row in sentences for tag in row["upos"]}) == 17
    readme = (PACKAGE / "samples" / "README.md").read_text()
    assert "CC0 1.0" in readme
    assert "CC BY-SA 4.0" in readme
