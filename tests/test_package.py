"""The package as a whole: what an import loads and costs, which way dependencies point, and that the samples are what they say."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hf_rnn
from hf_rnn.data.files.readers import read_rows

PACKAGE = Path(hf_rnn.__file__).parent
MODELS = PACKAGE / "models"
SHIPPED = {path.stem for path in MODELS.glob("*.py")} - {"__init__"}
# each folder imports only from those with a lower number
ORDER = {
    **{"models": 0, "data": 1, "tasks": 2, "reports": 3, "linear": 3, "inference": 4},
    **{"evaluation": 5, "sharing": 5, "onnx": 5},
    **{"demo": 6, "serving": 6, "training": 7, "distillation": 8, "tuning": 9, "commands": 10},
}

HEAVY = {"datasets", "evaluate", "sklearn", "matplotlib", "seqeval", "transformers.trainer"}


def run_code(code):
    """Run Python code in a process of its own and return what it prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_is_light():
    """`import hf_rnn` loads nothing that only training needs and that transformers' Auto classes do not load anyway."""
    before = "import sys; from transformers import AutoModel; before = set(sys.modules); import hf_rnn; "
    assert run_code(f"{before} print(sorted({HEAVY} & (set(sys.modules) - before)))") == "[]"


@pytest.mark.thorough
def test_import_is_quick():
    """`import hf_rnn` takes at most 0.3 s of a processor beyond `from transformers import PreTrainedModel`; the best of three."""
    code = "import time; from transformers import PreTrainedModel; start = time.process_time(); import hf_rnn; "
    code += "print(time.process_time() - start)"
    assert min(float(run_code(code)) for _ in range(3)) < 0.3


def test_public_names():
    """At most eighteen names, all there."""
    assert len(hf_rnn.__all__) <= 18
    assert all(hasattr(hf_rnn, name) for name in hf_rnn.__all__)


def imports(path):
    """Return the modules that a file imports; those of the package as paths from its root, such as ("models", "crf")."""
    here, found = path.relative_to(PACKAGE).parts[:-1], set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {(None, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((None, node.module))
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1]
            module = tuple(node.module.split(".")) if node.module else ()
            # `from . import x` names modules or what __init__ holds
            found |= {base + module} if module else {(*base, alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_modules_stand_alone(name):
    """What travels with a checkpoint imports siblings that travel too, torch, transformers, huggingface_hub, standard library."""
    allowed = {"torch", "transformers", "huggingface_hub"} | set(sys.stdlib_module_names)
    for folder, module, *more in imports(MODELS / f"{name}.py"):
        if folder is None:
            assert module.split(".")[0] in allowed
        else:
            assert (folder, more) == ("models", []) and module in SHIPPED


def test_modeling_imports_every_shipped_sibling():
    """Older loaders copy only what the model's own file imports."""
    assert {("models", name) for name in SHIPPED - {"modeling_rnn"}} <= imports(MODELS / "modeling_rnn.py")


def test_folders_import_in_one_direction():
    """No folder imports from one that comes later, and none but commands and training are imported by nobody below."""
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} == set(ORDER)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py", "arguments.py", "options.py", "version.py"}
    arrows = {
        (path.relative_to(PACKAGE).parts[0], target[0])
        for folder in ORDER
        for path in (PACKAGE / folder).rglob("*.py")
        for target in imports(path)
        if target[0] in ORDER
    }
    assert not [f"{here} -> {there}" for here, there in arrows if here != there and ORDER[here] <= ORDER[there]]


def test_options_are_declared_once():
    """No name is declared in two places; a command that takes one of another group picks it."""
    declared = [
        node.target.id
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "option"
    ]
    assert len(declared) > 100
    assert sorted({name for name in declared if declared.count(name) > 1}) == []


def test_tasks_know_what_they_are():
    """Beside models and tasks few files name a head, or ask whether something is a tagger."""
    asking = [
        "/".join(path.relative_to(PACKAGE).parts)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in ("models", "tasks")
        and re.search(r"For(Sequence|Token)Class|is_tagger", path.read_text())
    ]
    assert len(asking) <= 5, asking


def test_no_circles():
    """No module imports one that, directly or not, imports it."""
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        graph[parts] = {target for target in imports(path) if target[0] is not None}

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
    assert 0.45 < sum(row["label"] == "positive" for row in reviews) / 6000 < 0.55
    sentences = [row for split in ("train", "test") for row in read_rows(str(PACKAGE / "samples" / f"ewt_{split}.conllu"))]
    assert len(sentences) == 1500
    assert len({tag for row in sentences for tag in row["upos"]}) == 17
    readme = (PACKAGE / "samples" / "README.md").read_text()
    assert "CC0 1.0" in readme
    assert "CC BY-SA 4.0" in readme
