"""Characters of other scripts are drawn with fonts that have them, or said to be missing once."""

import warnings

import matplotlib
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from hf_rnn.reports import fonts
from hf_rnn.reports.plots import plot_confusion_matrix


@pytest.fixture
def told(monkeypatch):
    """Return what is logged, with nothing told before."""
    lines = []
    monkeypatch.setattr(fonts, "_told", set())
    monkeypatch.setattr(fonts.logger, "warning", lines.append)
    return lines


@pytest.fixture
def no_fonts(monkeypatch):
    """Leave those alone that come with matplotlib."""
    own = [entry for entry in font_manager.fontManager.ttflist if str(matplotlib.get_data_path()) in entry.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)


def test_missing_fonts_are_said_once(no_fonts, told, tmp_path):
    """One line with characters and remedy for several pictures, and no warning of matplotlib."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("a.png", "b.png"):
            plot_confusion_matrix([0, 1], [0, 0], ["긍정", "부정"], tmp_path / name)
            assert (tmp_path / name).stat().st_size > 1000
    assert len(told) == 1
    assert "No font here has 3 characters" in told[0] and "fonts-noto-cjk" in told[0]
    plot_confusion_matrix([0, 1], [0, 0], ["긍정", "良い"], tmp_path / "c.png")
    assert len(told) == 2 and "'い良'" in told[1]


def test_latin_needs_nothing(no_fonts, told):
    """The default font alone, and nothing changes behind the block."""
    before = list(matplotlib.rcParams["font.family"])
    with fonts.fonts_for(["negative", "très bien", "νέα", " \n"]):
        assert list(matplotlib.rcParams["font.family"]) == before
    assert told == []


def test_a_font_of_this_machine_is_found(told, tmp_path):
    """Where there is one for Korean, each character has a glyph of one of the families."""
    families, missing = fonts.find_families(set("긍정abc"))
    if missing:
        pytest.skip("no Korean font is installed here")
    with fonts.fonts_for(["긍정"]), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = Figure()
        figure.text(0.5, 0.5, "긍정 abc")
        figure.savefig(tmp_path / "a.png")
    assert len(families) == 2 and told == []
