"""The notebooks: their sources run from the first cell to the last, and what is shown is made of them, in both languages."""

import json
import re
import runpy
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "scripts" / "notebooks").glob("*.py"))
# run for a minute: one trains a teacher and two students, one nine small memories
LONG = {"distilling", "gates"}
RUNS = [pytest.param(source, id=source.stem, marks=[pytest.mark.slow] * (source.stem in LONG)) for source in SOURCES]


@pytest.mark.thorough
@pytest.mark.parametrize("source", RUNS)
def test_source_runs(source, tmp_path, monkeypatch):
    """Every cell of code, in order; pictures go nowhere, files into a folder of the test."""
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    names = runpy.run_path(str(source))
    if "curves" in names:
        first, last = names["curves"]["lstm"][0], names["curves"]["lstm"][-1]
        assert last[0] > first[0]
        assert last[1] > 0.65
    if "memory" in names:
        # over 200 steps, by cell and seed
        held = {key: shares[names["LENGTHS"].index(200)] for key, shares in names["memory"].items()}
        assert max(held["rnn", seed] for seed in names["SEEDS"]) + 0.2 < min(held["lstm", seed] for seed in names["SEEDS"])
    if "lines" in names:
        assert names["lines"]["student"]["accuracy"] > names["alone"] + 0.05


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_notebook_is_that_of_its_source(source, language):
    """The same cells of code, every one that prints or draws with its output, text in one language; `make notebooks` writes it."""
    cells = re.split(r"^# %%(.*)\n", source.read_text(encoding="utf-8"), flags=re.M)[1:]
    code = [text.strip() for kind, text in zip(cells[::2], cells[1::2], strict=True) if not kind.strip()]
    words = [text for kind, text in zip(cells[::2], cells[1::2], strict=True) if f'"{language}"' in kind]
    notebook = json.loads((ROOT / "docs" / "notebooks" / f"{source.stem}.{language}.ipynb").read_text(encoding="utf-8"))
    kinds = {kind: [cell for cell in notebook["cells"] if cell["cell_type"] == kind] for kind in ("code", "markdown")}
    assert ["".join(cell["source"]).strip() for cell in kinds["code"]] == code
    assert ["".join(cell["source"]).strip() for cell in kinds["markdown"]] == [
        re.sub(r"^# ?", "", text, flags=re.M).strip() for text in words
    ]
    for cell in kinds["code"]:
        assert not [output for output in cell["outputs"] if output["output_type"] == "error"]
        assert bool(cell["outputs"]) >= ("print(" in "".join(cell["source"]) or "plt.show" in "".join(cell["source"]))
        assert "site-packages" not in json.dumps(cell["outputs"])
