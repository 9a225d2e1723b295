"""Names and order of labels."""

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict, List

from hf_rnn.data.files.readers import DataError
from hf_rnn.data.rows.labels import collect_labels, feature_names, named_cell, one_label, order_labels


def test_labels_have_a_stable_order():
    """Numbers by value, "O" before the rest."""
    assert order_labels({"10", "9", "-1"}) == ["-1", "9", "10"]
    assert order_labels({"I-X", "O", "B-X"}) == ["O", "B-X", "I-X"]


def test_ties_have_an_order_too():
    """Labels of equal value, in any script, have the order of their characters; what only looks like a number is a name."""
    names = ["001", "01", "1", "3", "٣", "O", "--5", "-", "9" * 5000]
    assert order_labels(names) == order_labels(reversed(names)) == ["001", "01", "1", "3", "٣", "O", "-", "--5", "9" * 5000]


def collect(splits, allow_new=False, column="label"):
    """Collect labels of a dictionary of columns of labels."""
    splits = DatasetDict({split: Dataset.from_dict({column: labels}) for split, labels in splits.items()})
    return collect_labels(splits, column, {split: feature_names(splits[split], column) for split in splits}, allow_new)


def test_collect_labels():
    """Strings, integers, booleans, whole floats and lists become names; new labels of other splits are refused or taken along."""
    assert collect({"train": ["b", "a", "b"]}) == ["a", "b"]
    assert collect({"train": [10, 9, 10]}) == ["9", "10"]
    assert collect({"train": [1.0, 0.0]}) == ["0", "1"]
    assert collect({"train": [True, False]}) == ["0", "1"]
    assert collect({"train": [["b"], ["a", "b"], []]}) == ["a", "b"]
    with pytest.raises(
        DataError, match=r"test row 1, column 'label': label 'c' does not occur in the train split, whose labels are \['a', 'b'\]"
    ):
        collect({"train": ["a", "b"], "test": ["a", "c"]})
    assert collect({"train": ["a", "b"], "test": ["a", "c"]}, allow_new=True) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0.5", "'0.5' is a fraction"),
        (0.5, "0.5 is a fraction"),
        (None, "missing"),
        ("", "missing"),
        (float("nan"), "a label must be text or a whole number, got nan"),
        ([["a"]], r"a label must be text or a whole number, got \['a'\]"),
        ({"a": 1}, "a label must be text or a whole number, got {'a': 1}"),
    ],
)
def test_bad_labels_are_located(value, message):
    """Split, row, column, value and remedy."""
    names, rows = {"train": None}, IterableDataset.from_generator(lambda: ({"label": cell} for cell in ("a", value)))
    with pytest.raises(DataError, match=rf"train row 1, column 'label'.*{message}"):
        collect_labels(IterableDatasetDict(train=rows), "label", names, False)


@pytest.mark.parametrize("cell", [[], ["a", "b"]])
def test_one_label(cell):
    """Where a text has one label, none or several are an error rather than nothing or the first."""
    assert one_label([7], "label", "train", 3) == 7
    with pytest.raises(
        DataError, match=rf"train row 3, column 'label': a text needs one label, got {len(cell)}. Pass --problem_type multi"
    ):
        one_label(cell, "label", "train", 3)


def test_missing_classes_of_the_hub():
    """-1 is no class, and never the last one."""
    assert named_cell([1, -1], ["a", "b"]) == ["b", None]
    assert named_cell(-1, ["a", "b"]) is None
    assert named_cell(-1, None) == -1


def test_declared_classes_keep_their_order():
    """Class names that a data set declares are taken as they are, for single labels and lists."""
    features = Features({"label": ClassLabel(names=["z", "a"]), "tags": List(ClassLabel(names=["V", "N"]))})
    dataset = DatasetDict({"train": Dataset.from_dict({"label": [1], "tags": [[0, 1]]}, features=features)})
    for column, names in (("label", ["z", "a"]), ("tags", ["V", "N"])):
        assert feature_names(dataset["train"], column) == names
        assert collect_labels(dataset, column, {"train": names}, False) == names
