"""Pictures hold what they should; matplotlib's own artists are asked."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hf_rnn.reports import plots

pytestmark = pytest.mark.lowest


def test_curves(tmp_path):
    """Loss and metric, training and validation, by epoch."""
    log = [
        {"epoch": 1.0, "loss": 0.7, "accuracy": 0.6},
        {"epoch": 1.0, "eval_loss": 0.6, "eval_accuracy": 0.7},
        {"epoch": 2.0, "loss": 0.5, "accuracy": 0.8},
        {"epoch": 2.0, "eval_loss": 0.55, "eval_accuracy": 0.75},
        {"epoch": 2.0, "train_runtime": 3.0},
    ]
    figure = plots.plot_curves(log, tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"
    lines = {(axis.get_title(), line.get_label()): list(map(tuple, line.get_xydata())) for axis in figure.axes for line in axis.lines}
    assert lines[("loss", plots.TRAINING)] == [(1.0, 0.7), (2.0, 0.5)]
    assert lines[("loss", "validation split")] == [(1.0, 0.6), (2.0, 0.55)]
    assert lines[("accuracy", plots.TRAINING)] == [(1.0, 0.6), (2.0, 0.8)]
    assert lines[("accuracy", "validation split")] == [(1.0, 0.7), (2.0, 0.75)]


@pytest.mark.parametrize("size", [2, 17, 50])
def test_confusion_matrix(size, tmp_path):
    """Every label stands on both axes; labels do not overlap; counts stand in the cells of small matrices."""
    pairs = [(row, column) for row in range(size) for column in range(size) for _ in range((row * size + column) % 40)]
    counts = np.zeros((size, size), dtype=int)
    np.add.at(counts, tuple(np.array(pairs).T), 1)
    figure = plots.plot_confusion_matrix(
        *zip(*pairs, strict=True), [f"B-label_{index}" for index in range(size)], tmp_path / "m.png", "test"
    )
    FigureCanvasAgg(figure).draw()
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == [f"B-label_{index}" for index in range(size)]
    boxes = [label.get_window_extent() for label in axis.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in itertools.pairwise(boxes))
    texts = {text.get_text() for text in axis.texts}
    assert texts >= ({f"{count:,}" for count in counts.flatten() if count} if size <= 25 else {f"{counts[-1, -1]:,}"})
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("predicted", "true")
    assert axis.get_title() == f"test split, {counts.sum():,} answers"


def test_labels_are_no_formulas(tmp_path):
    """Names that matplotlib would read as mathematics, and long ones, are drawn as they stand."""
    labels = ["$x^$", r"$\frac{$", "a\nb", "long " * 40]
    figure = plots.plot_confusion_matrix([0, 1, 2, 3], [0, 1, 3, 3], labels, tmp_path / "m.png")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [*labels[:3], ("long " * 40)[:37] + "..."]


def test_many_labels_are_summed_up(tmp_path):
    """Of 10,000 labels those most confused are drawn alone, and no row is lost; what is needed does not grow with their square."""
    generator = np.random.default_rng(0)
    references, answers = generator.integers(10_000, size=(2, 5000))
    references[:200], answers[:200] = 7777, 8888
    labels = [f"L{index}" for index in range(10_000)]
    names, counts = plots.count_confusions(references, answers, labels)
    assert (len(names), names[-1], counts.sum()) == (plots.MOST_LABELS, f"{10_001 - plots.MOST_LABELS} others", 5000)
    assert counts[names.index("L7777"), names.index("L8888")] >= 200
    plots.plot_confusion_matrix(references, answers, labels, tmp_path / "m.png")


def test_empty_log_draws_no_legend(tmp_path):
    """A run without epochs gives an empty picture rather than an error."""
    figure = plots.plot_curves([], tmp_path / "c.png")
    assert all(axis.get_legend() is None for axis in figure.axes)


def test_comparison(tmp_path):
    """Models stand from top to bottom, with the ends of their intervals, sizes and speeds, whatever their names hold."""
    ends = {"value": 0.8, "low": 0.7, "high": 0.95}
    lines = {
        name: {"measure": "f1", "score": ends, "MiB": size, "texts/s alone": 10, "texts/s in batches": 1000}
        for name, size in (("a $x$ b", 2.0), ("long " * 20, 1234.5))
    }
    scores, sizes, speeds = plots.plot_comparison(lines, tmp_path / "c.png").axes
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"
    assert scores.get_ylim()[0] > scores.get_ylim()[1]
    names = [label.get_text() for label in scores.get_yticklabels()]
    assert names[0] == "a $x$ b" and len(names[1]) == plots.LONGEST_NAME
    bars = scores.collections[0].get_segments()
    assert np.allclose([segment[:, 0] for segment in bars], [[70, 95]] * 2)
    assert [text.get_text().strip() for text in sizes.texts] == ["2.0", "1,234.5"]
    assert [list(line.get_xdata()) for line in speeds.lines] == [[10, 10], [1000, 1000]]
    assert [[text.get_text() for text in axis.get_legend().get_texts()] for axis in (scores, speeds)] == [
        ["that of the first"],
        ["alone", "in batches"],
    ]


@pytest.mark.parametrize(("greater", "best"), [(True, [0.5, 0.7, 0.7]), (False, [0.5, 0.5, 0.4])])
def test_study(greater, best, tmp_path):
    """Whole, stopped and failed runs; the best so far follows the direction; what matters most stands on top."""
    runs = [(1, 0.5, False), (2, 0.7, False), (3, 0.9, True), (4, None, False), (5, 0.4, False)]
    figure = plots.plot_study(runs, {"rate": 0.8, "width": 0.2}, tmp_path / "s.png", "f1", greater)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(lines["runs"].get_xdata()) == [1, 2, 5]
    assert list(lines["stopped, behind others"].get_xdata()) == [3]
    assert list(lines["best so far"].get_ydata()) == best
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["width", "rate"]
    assert len(plots.plot_study(runs[:1], {}, tmp_path / "s.png", "f1", greater).axes) == 1


def test_reliability(tmp_path):
    """Bins stand at their scores and shares, with intervals that hold them, also where all answers are right."""
    figure = plots.plot_reliability([0.6, 0.95], [0.5, 1.0], [20, 30], tmp_path / "r.png", "validation")
    assert (tmp_path / "r.png").read_bytes()[:4] == b"\x89PNG"
    (axis,) = figure.axes
    points, *_, bars = axis.containers[0].lines
    assert [tuple(point) for point in points.get_xydata()] == [(0.6, 0.5), (0.95, 1.0)]
    for (_, share), segment in zip(points.get_xydata(), bars[0].get_segments(), strict=True):
        assert segment[0][1] - 1e-9 <= share <= segment[1][1] + 1e-9
    low = bars[0].get_segments()[0][0][1]
    assert axis.get_ylim()[0] < low and axis.get_title() == "validation split, 50 answers"
    assert "answers, 95% interval" in [text.get_text() for text in axis.get_legend().get_texts()]
    # Wilson's interval of 10 of 20
    assert abs(low - 0.2993) < 1e-3


def test_pictures_are_whole(tmp_path, monkeypatch):
    """Of any format, and under the very name that is asked for; what fails leaves the one that was there."""
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("a", b"\x89PNG")):
        plots.save_picture(Figure(figsize=(1, 1)), tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    before = (tmp_path / "a.png").read_bytes()

    def fail(self, path, **options):
        Path(path).write_bytes(b"half")
        raise OSError("full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="full"):
        plots.save_picture(Figure(), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before and len(list(tmp_path.iterdir())) == 4
