"""The page of spans is whole, harmless whatever texts and labels hold, and shows errors first."""

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
    """Most errors first, spans framed that only one side has, no script, nothing from elsewhere."""
    path = tmp_path / "report.html"
    write_span_report(path, "dev <1>", TEXTS, GOLD, FOUND)
    page = path.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    assert set(reader.tags) <= {"meta", "title", "style", "h1", "p", "pre", "article", "mark", "small"}
    assert reader.frames == 4
    assert not re.search(r"https?:|url\(|src=|href=", page)
    assert page.index("alert") < page.index(">half<") < page.index(">all<")
    assert "2 of 3 texts differ" in page
