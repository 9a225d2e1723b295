"""Text on pages stands out from what is behind it at least as WCAG's level AA wants, 4.5 to 1, on light and on dark screens."""

import colorsys
import re
from pathlib import Path

import pytest

import hf_rnn
from hf_rnn.inference.explaining import explanation_page
from hf_rnn.reports.pages import STYLE
from hf_rnn.reports.span_report import write_span_report

WEB = Path(hf_rnn.__file__).parent / "demo" / "web"
LABELS = [f"label {index}" for index in range(40)]


def luminance(colour):
    """Return the relative luminance of a colour (WCAG 2.2)."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """Return how much two colours differ, from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def over(colour, share, behind):
    """Return a colour that covers a share of what is behind it."""
    return [share * value + (1 - share) * back for value, back in zip(colour, behind, strict=True)]


def from_hex(text):
    """Return the colour of #abc or #aabbcc."""
    digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
    return [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]


def from_hsl(hue, saturation, lightness):
    """Return the colour of degrees and percents."""
    return colorsys.hls_to_rgb(hue % 360 / 360, lightness / 100, saturation / 100)


def schemes(style):
    """Yield the named colours of a light and of a dark screen."""
    for line in re.findall(r":root \{([^}]*)\}", style):
        yield {name: from_hex(value) for name, value in re.findall(r"--(\w+): (#\w+)", line)}


def test_the_measure():
    """Black on white is 21, the lightest grey that may stand on white #767676."""
    assert contrast([0, 0, 0], [1, 1, 1]) == pytest.approx(21)
    assert contrast(from_hex("#767676"), from_hex("#fff")) > 4.5 > contrast(from_hex("#777"), from_hex("#fff"))


def test_words_that_make_an_answer():
    """The fullest colours leave words readable."""
    words = [{"start": place, "end": place + 1, "word": "w", "effect": effect} for place, effect in enumerate((-1.0, 1.0, -0.1, 0.1))]
    shown = explanation_page([{"text": "wwww", "label": "good", "score": 0.9, "words": words}])
    colours = [list(map(float, found)) for found in re.findall(r"rgba\((\d+), (\d+), (\d+), ([\d.]+)\)", shown)]
    for names in schemes(STYLE):
        assert contrast(names["pale"], names["paper"]) >= 4.5
        for *colour, share in colours:
            assert contrast(names["ink"], over([value / 255 for value in colour], share, names["paper"])) >= 4.5


def test_spans_and_their_labels(tmp_path):
    """Labels can be read on the colour of every kind of span, and frames be seen on it and on both papers (3 to 1)."""
    spans = [(place, place + 1, label) for place, label in enumerate(LABELS)]
    write_span_report(tmp_path / "report.html", "x", ["a" * 40], [spans], [[]])
    shown = (tmp_path / "report.html").read_text(encoding="utf-8")
    colours = [from_hsl(*map(float, found)) for found in re.findall(r"hsl\(([\d.]+) (\d+)% (\d+)%\)", shown)]
    assert len(colours) >= len(LABELS)
    text = [from_hex(found) for found in re.findall(r"mark[^}]*[; {]color: (#\w+)", shown)]
    frames = [from_hex(found) for found in re.findall(r"solid (#\w+)", shown)]
    assert len(text) >= 2 and frames
    assert min(contrast(one, colour) for one in text for colour in colours) >= 4.5
    behind = [*colours, *(names["paper"] for names in schemes(STYLE))]
    assert min(contrast(frame, each) for frame in frames for each in behind) >= 3


def test_the_page_in_the_browser():
    """Text, links and the labels of spans on their tints."""
    style = (WEB / "index.html").read_text(encoding="utf-8")
    share = float(re.search(r"var\(--kind\) (\d+)%", style)[1]) / 100
    saturation, lightness = map(float, re.search(r"% 360} (\d+)% (\d+)%\)", (WEB / "app.js").read_text(encoding="utf-8")).groups())
    assert "mark small" in style and not re.search(r"mark small \{[^}]*color", style)
    for names in schemes(style):
        assert min(contrast(names[name], names["paper"]) for name in ("ink", "soft", "accent")) >= 4.5
        tints = [over(from_hsl(137.5 * index, saturation, lightness), share, names["paper"]) for index in range(40)]
        assert min(contrast(names["ink"], tint) for tint in tints) >= 4.5
