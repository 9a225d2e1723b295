"""The page of a classifier's mistakes: the surest first, harmless whatever texts and labels hold."""

import html
import json
import re

from hf_rnn.reports import mistake_report
from hf_rnn.reports.mistake_report import write_mistake_report
from hf_rnn.tasks.report import Answered

ROWS = [
    Answered("fine", "good", "good", 0.99),
    Answered("not bad <script>alert(1)</script>", "good", "<bad>", 0.6),
    Answered("dull", "<bad>", "good", 0.9),
    Answered("dull again", "<bad>", "good", 0.95),
]


def test_page(tmp_path):
    """Mistakes alone, by falling score, and how often which label is taken for which."""
    write_mistake_report(tmp_path / "report.html", "run <1>: test", ROWS, "scores <of> labels")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "3 of 4 rows have another label" in page
    assert page.index("dull again") < page.index(">dull<") < page.index("not bad")
    assert ">fine<" not in page
    assert "<td>&lt;bad&gt;</td><td>good</td><td>2</td><td>100.0%</td>" in page
    assert [json.loads(html.unescape(each)) for each in re.findall(r'data-labels="([^"]*)"', page)][-1] == ["good", "<bad>"]
    assert "scores &lt;of&gt; labels" in page and "<title>run &lt;1&gt;: test</title>" in page
    assert "<script>alert" not in page and page.count("<script>") == 1
    assert not re.search(r"https?:|url\(|src=|href=", page)


def test_no_mistakes(tmp_path):
    """A page without a table."""
    write_mistake_report(tmp_path / "report.html", "run", ROWS[:1], "")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "0 of 1 rows have another label" in page and "surest" not in page and "<table" not in page and "<script>" not in page


def test_too_many(tmp_path, monkeypatch):
    """The surest of them are shown, and that is said."""
    monkeypatch.setattr(mistake_report, "MOST_ROWS", 2)
    write_mistake_report(tmp_path / "report.html", "run", ROWS, "")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The first 2 are shown." in page and page.count("data-labels=") == 2
