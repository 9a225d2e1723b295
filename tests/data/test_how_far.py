"""Work says how far it is: a bar where someone watches, a line a minute where nobody does."""

import sys

import pytest

from hf_rnn.data import progress
from hf_rnn.data.progress import Progress, time_left


def test_lines_of_a_job(capsys, monkeypatch):
    """After a minute and no sooner, with the time by what is done; the end says itself."""
    clock = iter([0, 30, 70, 100, 300, 480])
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    with Progress("Letters", 1000) as letters:
        for amount in (100, 100, 100, 600, 100):
            letters.advance(amount)
    out, err = capsys.readouterr()
    # 70 s for 200 are 280 s for 800; 300 s for 900 are 33 s for 100
    assert out.splitlines() == ["Letters: 20%, 5 min left", "Letters: 90%, 33 s left"]
    assert err == ""


def test_a_bar_has_no_lines(capsys, monkeypatch):
    """Someone who watches sees it move."""
    clock = iter(range(0, 1000, 100))
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress("Letters", 2) as letters:
        letters.advance(1)
        letters.advance(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Letters: 100%" in err


def test_nothing_to_do(capsys):
    """Neither a bar nor a line."""
    with Progress("Letters", 0) as letters:
        letters.advance(0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "done", "total", "told"), [(60, 1, 2, "60 s left"), (100, 1, 2, "2 min left"), (3600, 1, 25, "1,440 min left")]
)
def test_time_left(seconds, done, total, told):
    """As much again for as much again."""
    assert time_left(seconds, done, total) == told
