"""The page of spans is whole, harmless whatever texts and labels hold, and shows errors first."""

import html
import re
from html.parser import HTMLParser

from hf_rnn.reports.span_report import write_span_report

TEXTS = ["all right", "<script>alert('x')</script> & Köln", "half right"]
GOLD = [[(0, 3, "A")], [(30, 34, "<b>")], [(0, 4, "A"), (5, 10, "B")]]
FOUND = [[(0, 3, "A")], [(0, 8, "A"), (32, 34, "<b>")], [(0, 4, "A")]]


class Reader(HTMLParser):
    """Collects the tags, the text of paragraphs and the framed spans of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.frames, self.paragraphs = [], 0, []

    def handle_starttag(self, tag, attributes):
        """Note a tag, and whether it frames a span."""
        self.tags.append(tag)
        self.frames += ("class", "wrong") in attributes
        if tag == "p":
            self.paragraphs.append("")

    def handle_data(self, data):
        """Add text to the paragraph it is in."""
        if self.paragraphs and self.tags[-1] != "small":
            self.paragraphs[-1] += data


def test_page(tmp_path):
    """Most errors first, spans framed that only one side has, no script of the data, nothing from elsewhere."""
    path = tmp_path / "report.html"
    write_span_report(path, "dev <1>", TEXTS, GOLD, FOUND)
    page = path.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    parts = "html head meta title style body h1 p pre label select option article span mark small script"
    assert set(reader.tags) == set(parts.split())
    # its own, which chooses a label
    assert reader.tags.count("script") == 1
    assert reader.frames == 4
    assert not re.search(r"https?:|url\(|src=|href=", page)
    assert page.index("alert") < page.index(">half<") < page.index(">all<")
    assert "2 of 3 texts differ" in page
    assert "The model misses 2 spans, and finds 2 that the data does not have." in page
    assert [html.unescape(each) for each in re.findall(r'data-labels="([^"]*)"', page)] == ['["<b>", "A"]', '["B"]', "[]"]


def test_long_texts_stand_side_by_side(tmp_path):
    """Where both versions of a long text differ; without a difference there is nothing to choose."""
    long = "word " * 100
    write_span_report(tmp_path / "report.html", "dev", [long, "short"], [[(0, 4, "A")], []], [[], []])
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count('<article class="long"') == 1
    write_span_report(tmp_path / "report.html", "dev", [long], [[(0, 4, "A")]], [[(0, 4, "A")]])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<select>" not in page and "<script>" not in page and '<article data-labels="[]">' in page
