"""Every block of code of the documentation: Python is run, page by page; commands are known, and so are their options."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from hf_rnn.commands.cli import COMMANDS
from hf_rnn.options import HelpShown

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"(?:<!-- no test: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$", re.M | re.S)


def blocks(page, language):
    """Return the blocks of a language that are not excused by a reason."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [block["code"] for block in found if block["language"] == language and not block["reason"]]


@pytest.mark.thorough
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_python_runs(page, classifier, tagger, tmp_path, monkeypatch):
    """The blocks of a page run in order, beside the models that its first steps leave behind."""
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "reviews").symlink_to(classifier[0])
    (tmp_path / "outputs" / "pos").symlink_to(tagger[0])
    (tmp_path / "reference").symlink_to(ROOT / "reference")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), names)


def options_of(command):
    """Return the names of the options of a command."""
    with pytest.raises(HelpShown) as shown:
        import_module(f"hf_rnn.commands.{COMMANDS[command][0]}").main(["--help-all"])
    return {each.name for _, group in shown.value.groups for each in group}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "bash")], ids=lambda page: page.stem)
def test_commands_are_known(page, capsys):
    """Every command of `hf-rnn` exists with every option it is given; scripts, recipes and extras are there."""
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.M)
    for line in "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines():
        program, *words = shlex.split(line)
        if program == "hf-rnn":
            used = {word.removeprefix("--") for word in words if word.startswith("--")}
            assert used <= options_of(words[0]), line
        assert program in ("hf-rnn", "pip", "python", "bash", "make"), line
        assert all((ROOT / word).exists() for word in words if word.startswith(("scripts/", "hf_rnn/"))), line
        assert all(set(found.split(",")) <= set(extras) for found in re.findall(r"\.\[(.+?)\]", line)), line


def test_every_block_is_seen():
    """No fence escapes the pattern, and those that are not run say why."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert len(list(BLOCK.finditer(text))) * 2 == len(re.findall(r"^```", text, re.M)), page


def test_pictures_are_those_of_the_script(tmp_path, monkeypatch):
    """`scripts/draw_docs.py` draws every picture of the pages, and each is used."""
    drawn = set(re.findall(r"^def draw_(\w+)", (ROOT / "scripts" / "draw_docs.py").read_text(), re.M))
    used = {name for page in PAGES for name in re.findall(r"\(images/(\w+)\.svg\)", page.read_text(encoding="utf-8"))}
    assert drawn == used == {path.stem for path in (ROOT / "docs" / "images").glob("*.svg")}
