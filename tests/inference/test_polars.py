"""A Polars expression answers what a predictor answers, where Polars is installed."""

import re
from pathlib import Path

import pytest

import hf_rnn

pytest.importorskip("polars", reason="Polars is no part of the test extra: pip install polars")
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


def test_the_example_of_the_page(classifier, tmp_path, monkeypatch):
    """Rows keep their order and their text, and get the labels that they get without Polars."""
    (code,) = re.findall(r"```python\n([^`]*import polars[^`]*)```", PAGE.read_text(encoding="utf-8"))
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "reviews").symlink_to(classifier[0])
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    texts = names["rows"]["text"].to_list()
    assert names["answered"]["text"].to_list() == texts
    assert names["answered"]["label"].to_list() == [row["label"] for row in hf_rnn.load(str(classifier[0])).predict(texts)]
