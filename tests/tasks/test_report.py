"""Tables of scores: a class that no row has gets none, and means leave it out."""

import numpy as np
import pytest
from seqeval.metrics import classification_report
from sklearn.metrics import f1_score

from hf_rnn.tasks.report import class_table, without_undefined
from hf_rnn.tasks.span_scores import SpanCounts

NAMES = ["0.5000 and more", "bad", "fair", "a name that is longer than others"]


def cells(line):
    """Return the last four cells of a line."""
    return line.split()[-4:]


def test_absent_classes():
    """One that is not there is n/a, answered or not; the mean is that of those that occur, which the metrics have."""
    references, answers = [0, 0, 1, 1], [0, 1, 1, 2]
    lines = class_table(references, answers, range(4), NAMES).splitlines()
    assert cells(lines[2])[:3] == ["1.0000", "0.5000", "0.6667"] and cells(lines[3])[:3] == ["0.5000", "0.5000", "0.5000"]
    assert cells(lines[4]) == cells(lines[5]) == ["n/a"] * 3 + ["0"]
    assert cells(lines[8])[2] == f"{f1_score(references, answers, average='macro', zero_division=0):.4f}"
    assert lines[7].split()[0] == "accuracy" and len({len(line) for line in lines if line}) == 1


def test_whole_tables_stay():
    """Where all classes are there the table is scikit-learn's; without any row there is nothing to leave out."""
    assert "n/a" not in class_table([0, 1], [1, 1], [0, 1], NAMES[:2])
    assert class_table(["a", "b"], ["a", "a"], ["a", "b"], ["a", "b"]).count("\n\n") == 2


def test_several_labels():
    """Columns of 0 and 1 are told alike."""
    references, answers = np.array([[1, 0, 0], [1, 1, 0]]), np.array([[1, 0, 0], [0, 1, 0]])
    lines = class_table(references, answers, range(3), NAMES[:3]).splitlines()
    assert cells(lines[4]) == ["n/a"] * 3 + ["0"]
    assert float(cells(lines[7])[2]) == pytest.approx(f1_score(references[:, :2], answers[:, :2], average="macro"), abs=1e-4)


def test_spans():
    """So are types of spans that only the model finds."""
    table = classification_report([["O", "B-PER"]], [["B-LOC", "B-PER"]], digits=4, zero_division=0)
    found = [cells(line) for line in without_undefined(table).splitlines() if "LOC" in line]
    assert found == [["n/a"] * 3 + ["0"]]
    (line,) = [line for line in SpanCounts.count([[(0, 1, "A")]], [[(0, 1, "B")]]).report().splitlines() if line.startswith("B")]
    assert cells(line) == ["n/a"] * 3 + ["0"]
