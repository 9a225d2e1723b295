"""What the cells of a column of labels mean: names, lists, places of 0 and 1; labels that lack or are spelled in several ways."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict, List

from hf_rnn.data.files.errors import DataError, Place
from hf_rnn.data.files.locations import Places
from hf_rnn.data.files.reading import ReadingOptions
from hf_rnn.data.rows import label_columns
from hf_rnn.data.rows.label_columns import JOINED, MULTI, read_labels, say_labels, spelled_list
from hf_rnn.data.rows.labels import collect_labels, describe_alike, describe_counts, describe_lack, feature_names, label_values, named_cell

SINGLE = "single_label_classification"


@pytest.fixture
def told(monkeypatch):
    """Return the lines that are said."""
    lines = []
    for name in ("warning", "warning_once"):
        monkeypatch.setattr(label_columns.logger, name, lines.append)
    return lines


def names_of(cells, problem=MULTI, column="labels", known=None, test=None, **options):
    """Return the names of all labels and those of each training row, as training sees them."""
    splits = {"train": cells} if test is None else {"train": cells, "test": test}
    data = DatasetDict({split: Dataset.from_dict({column: each}) for split, each in splits.items()})
    read = read_labels(data, column, problem, ReadingOptions(**options), known)
    declared = {split: feature_names(rows, column) for split, rows in read.items()}
    rows = [label_values(named_cell(cell, declared["train"]), column, "train", 0) for cell in read["train"][column]]
    return collect_labels(read, column, declared, False), rows


A, B, C = "labels_0", "labels_1", "labels_2"


@pytest.mark.parametrize("kind", [int, float, bool, np.float32])
def test_places_of_labels(told, kind):
    """Lists of 0 and 1 of one length are places of labels, named or not; a label that no row has is one too."""
    cells = [[kind(value) for value in row] for row in ([0, 1, 0], [1, 1, 0], [0, 0, 0])]
    assert names_of(cells) == ([A, B, C], [[B], [A, B], []])
    assert f"['{A}', '{B}', '{C}']. --label_names names them" in told[0]
    assert names_of(cells, label_names=("z", "y", "x")) == (["z", "y", "x"], [["y"], ["z", "y"], []])
    assert names_of(cells, known=["z", "y", "x"])[0] == ["z", "y", "x"]
    with pytest.raises(DataError, match="lists of 3 numbers, but --label_names has 2"):
        names_of(cells, label_names=("z", "y"))


def test_numbers_of_labels():
    """Lists of other lengths hold numbers of labels; names stand for them, in lists and alone."""
    assert names_of([[0, 2], [1], [0]]) == (["0", "1", "2"], [["0", "2"], ["1"], ["0"]])
    assert names_of([[0, 2], [1], []], label_names=("a", "b", "c")) == (["a", "b", "c"], [["a", "c"], ["b"], []])
    for cells in ([0, 1, 0], ["0", "1", "0"], [0.0, 1.0, 0.0], [False, True, False], ["a", "b", "a"]):
        assert names_of(cells, SINGLE, label_names=("a", "b")) == (["a", "b"], [["a"], ["b"], ["a"]])
    with pytest.raises(DataError, match="holds 2, which is none of the 2 --label_names"):
        names_of([0, 1, 2], SINGLE, label_names=("a", "b"))


@pytest.mark.parametrize("column", ["label", "labels", "x"])
@pytest.mark.parametrize("cells", [[0, 1, 0], [0.0, 1.0, 0.0], [False, True, False], ["0", "1 ", " 0"]])
def test_any_type_and_name(cells, column):
    """The same classes, whatever a column is called and of whatever type."""
    assert names_of(cells, SINGLE, column) == (["0", "1"], [["0"], ["1"], ["0"]])


LISTS = [["food", "price"], ["food"], []]


@pytest.mark.parametrize(
    "write",
    [
        lambda row: repr(row),
        lambda row: repr(tuple(row)),
        lambda row: str(row).replace("'", '"'),
        lambda row: str(row).replace(",", "") if row else "[]",
        lambda row: f"[{', '.join(row)}]",
        lambda row: f" {row!r} ",
    ],
)
def test_spelled_lists(write):
    """Python, JSON, numpy and bare words in brackets."""
    assert names_of([write(row) for row in LISTS]) == (["food", "price"], LISTS)


def test_spelled_places_and_separators():
    """Cells may spell 0 and 1; a separator that is told parts labels, and one that is not is asked for."""
    assert names_of(["[0, 1, 0]", "[1 1 0]", "[0. 0. 0.]"]) == ([A, B, C], [[B], [A, B], []])
    assert names_of(["food , price", "food", "price,"], label_separator=",") == (
        ["food", "price"],
        [["food", "price"], ["food"], ["price"]],
    )
    with pytest.raises(DataError, match=r"train row 1.*'food;price' looks like several labels separated by ';'. Pass --label_separator"):
        names_of(["food", "food;price"])
    with pytest.raises(DataError, match=r"train row 1, .*'food' spells no list, as \"\['food'\]\" does"):
        names_of(["['food']", "food"])
    assert names_of(["Health, Wellness", "Sport"])[0] == ["Health, Wellness", "Sport"]
    assert names_of(["food,price", "food"], SINGLE)[0] == ["food", "food,price"]
    assert spelled_list("{'a': 1}") is None and spelled_list("a [b]") is None


def test_columns_of_yes_and_no():
    """Each is a label, in order, by its name or another; what is neither is named."""
    table = {"food": [1, 0], "price": ["no", "yes"], "service": [True, False], "labels": ["old", "old"]}
    splits = DatasetDict(train=Dataset.from_dict(table), test=Dataset.from_dict({"text": ["a"]}))
    reading = ReadingOptions(label_columns=("food", "price", "service"))
    read = read_labels(splits, None, MULTI, reading)
    assert read["train"].column_names == [JOINED] and read["test"].column_names == ["text"]
    assert feature_names(read["train"], JOINED) == ["food", "price", "service"]
    assert read["train"][JOINED][:] == [[0, 2], [1]]
    renamed = read_labels(splits, None, MULTI, ReadingOptions(label_columns=("food",), label_names=("f",)))
    assert feature_names(renamed["train"], JOINED) == ["f"]
    bad = DatasetDict(train=Dataset.from_dict({"food": [0, 3]}))
    with pytest.raises(DataError, match="train row 1, column 'food': expected yes or no.*got 3"):
        read_labels(bad, None, MULTI, ReadingOptions(label_columns=("food",)))
    with pytest.raises(DataError, match="lacks column 'price'.*--label_columns"):
        read_labels(bad, None, MULTI, ReadingOptions(label_columns=("price",)))


def test_missing_labels(told, tmp_path):
    """All rows without one are named, by line in a file; or left out, and later errors still name the right line."""
    (tmp_path / "a.txt").write_text("\n".join("abcdefg"))
    labels = ["x", None, "y", "", " ", "x", "y"]
    splits = DatasetDict(train=Dataset.from_dict({"label": labels}), test=Dataset.from_dict({"label": [None, ""]}))
    places = Places({"train": str(tmp_path / "a.txt")})
    with pytest.raises(DataError) as caught, places.named():
        read_labels(splits, "label", SINGLE, ReadingOptions(), places=places)
    where = "a.txt, line 2 (train row 1), column 'label', and 2 more rows (line 4; line 5): the label is missing (got None)"
    assert where in str(caught.value)
    read = read_labels(splits, "label", SINGLE, ReadingOptions(missing_labels="drop"), places=places)
    assert read["train"]["label"][:] == ["x", "y", "x", "y"]
    assert read["test"].column_names == [] or "label" not in read["test"].column_names
    assert "3 of 7 train rows have no label" in told[0] and "No test row has a label" in told[1]
    places.carve(np.array([False, True, False, True]))
    with pytest.raises(DataError, match=r"a.txt, line 7 \(validation row 1\): bad"), places.named():
        raise DataError("bad", Place("validation", 1))
    declared = Dataset.from_dict({"label": [0, -1]}, features=Features({"label": ClassLabel(names=["a", "b"])}))
    with pytest.raises(DataError, match="train row 1.*missing"):
        read_labels(DatasetDict(train=declared), "label", SINGLE, ReadingOptions())
    with pytest.raises(ValueError, match="`missing_labels` must be one of"):
        ReadingOptions(missing_labels="ignore")


def test_declared_classes_stay():
    """Names that a data set declares are not touched."""
    features = Features({"labels": List(ClassLabel(names=["z", "a", "q"]))})
    splits = DatasetDict(train=Dataset.from_dict({"labels": [[0, 1], [1]]}, features=features))
    assert read_labels(splits, "labels", MULTI, ReadingOptions())["train"].features == features


def test_streams():
    """Rows that are read as they are needed have the same labels."""
    stream = IterableDataset.from_generator(lambda: iter([{"labels": [0, 1]}, {"labels": [1, 1]}]))
    read = read_labels(IterableDatasetDict(train=stream), "labels", MULTI, ReadingOptions(label_names=("a", "b")))
    assert [row["labels"] for row in read["train"]] == [["b"], ["a", "b"]]


def test_what_is_said_of_labels(told):
    """Counts; spellings that differ in nothing else; what validation lacks."""
    train = Dataset.from_dict({"label": ["Bad", "bad", "bad", "café", "cafe\u0301", "1", "1.0", "not good", "not_good", "rare"]})
    validation = Dataset.from_dict({"label": ["bad", "Bad", "café", "cafe\u0301", "1", "1.0", "not good", "not_good"]})
    say_labels(DatasetDict(train=train, validation=validation), "label")
    assert told[0].startswith("Labels of the training rows: Bad 1, bad 2, café 1")
    for pair in ("'Bad' (1 rows) and 'bad' (2 rows)", "'1' (1 rows) and '1.0' (1 rows)", "'not good' (1 rows) and 'not_good' (1 rows)"):
        assert pair in told[1]
    assert told[2] == "No validation row is of ['rare']: its score says nothing of it."
    assert describe_alike({"a": 1, "b": 2}) is None and describe_lack(["a", "O"], ["a"]) is None
    many = describe_counts({str(index): index for index in range(30)})
    assert many.startswith("Labels of the training rows: 29 29, 28 28") and many.endswith("and 10 labels of at most 9.")


def test_columns_that_look_like_others(told):
    """Labels that tables have for nothing, and labels that hardly any two rows share, are said to look like a mistake."""
    say_labels(DatasetDict(train=Dataset.from_dict({"label": ["a", "b", "NaN", "null"]})), "label")
    assert told[1].startswith("Labels ['NaN', 'null'] look like what is missing, but are labels like others: leave such cells empty")
    told.clear()
    say_labels(DatasetDict(train=Dataset.from_dict({"name": [f"text {index}" for index in range(20)]})), "name")
    assert told[1] == "Column 'name' holds 20 labels in 20 rows. Is it the --label_column_name?"
    told.clear()
    say_labels(DatasetDict(train=Dataset.from_dict({"label": ["a", "b"] * 20})), "label")
    assert len(told) == 1


def test_a_label_that_is_spelled_otherwise_in_another_split():
    """The error says which known label it looks like."""
    with pytest.raises(DataError, match="label 'Good' does not occur .*it is spelled like 'good'"):
        names_of(["good", "bad"], SINGLE, test=["Good"])
    assert names_of(["good ", "bad"], SINGLE, test=["good"])[0] == ["bad", "good"]
