"""Loading splits, choosing columns, carving validation rows."""

import json

import numpy as np
import pytest
from datasets import Dataset, IterableDataset

from hf_rnn.data.files.readers import DataError
from hf_rnn.data.files.rows import TEXT_COLUMNS
from hf_rnn.data.rows.splits import (
    LABEL_COLUMNS,
    carve_validation,
    choose_column,
    column_names,
    draw_validation,
    load_splits,
    row_labels,
)

pytestmark = pytest.mark.lowest


def write(path, rows):
    """Write rows as JSON lines and return the path."""
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_load_splits_from_files(tmp_path):
    """Files become splits; the cache notices that a file has changed; parquet and streams are read alike."""
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    path = write(tmp_path / "a.jsonl", rows)
    splits = load_splits(files={"train": path, "test": path, "validation": ""})
    assert list(splits) == ["train", "test"]
    assert splits["train"].to_list() == rows
    write(tmp_path / "a.jsonl", rows[:1])
    assert load_splits(files={"train": path})["train"].to_list() == rows[:1]
    Dataset.from_list(rows).to_parquet(tmp_path / "a.parquet")
    assert load_splits(files={"train": str(tmp_path / "a.parquet")})["train"].to_list() == rows
    stream = load_splits(files={"train": path}, streaming=True)["train"]
    assert isinstance(stream, IterableDataset)
    assert list(stream) == rows[:1]
    assert column_names(stream) == ["text", "label"]


def test_load_splits_by_name(tmp_path):
    """A folder that `datasets` knows is loaded by its name."""
    write(tmp_path / "train.jsonl", [{"text": "a", "label": 1}])
    assert load_splits(str(tmp_path))["train"].to_list() == [{"text": "a", "label": 1}]


def test_errors_of_files_come_through(tmp_path):
    """An error of a reader is not wrapped, and name and files exclude each other."""
    (tmp_path / "a.csv").write_text("text,text\na,b\n")
    with pytest.raises(DataError, match="column name 'text' stands 2 times"):
        load_splits(files={"train": str(tmp_path / "a.csv")})
    with pytest.raises(DataError, match="there is no such file"):
        load_splits(files={"train": str(tmp_path / "b.csv")})
    with pytest.raises(DataError, match="got neither"):
        load_splits(files={"train": ""})
    with pytest.raises(DataError, match="got both"):
        load_splits("imdb", files={"train": "a.csv"})


def test_choose_column():
    """A wanted column, or the first usual one, or an error that lists what there is."""
    dataset = Dataset.from_dict({"review": ["a"], "stars": [1]})
    assert choose_column(dataset, "train", None, TEXT_COLUMNS, "text_column_name") == "review"
    assert choose_column(dataset, "train", "stars", TEXT_COLUMNS, "text_column_name") == "stars"
    with pytest.raises(DataError, match=r"The train split lacks column 'body'; it has \['review', 'stars'\]. Pass --text_column_name"):
        choose_column(dataset, "train", "body", TEXT_COLUMNS, "text_column_name")
    with pytest.raises(DataError, match=r"lacks any of the usual columns \['label'"):
        choose_column(dataset, "train", None, LABEL_COLUMNS, "label_column_name")


def test_carve_validation_is_stratified_and_seeded():
    """Every label gives its share, nothing is lost or doubled, and the seed decides."""
    labels = ["a"] * 100 + ["b"] * 20
    dataset = Dataset.from_dict({"row": list(range(120))})
    train, validation = carve_validation(dataset, labels, 0.1, seed=3)
    assert sorted(train["row"][:] + validation["row"][:]) == list(range(120))
    assert (np.array(validation["row"]) < 100).sum() == 10
    assert len(validation) == 12
    assert validation["row"][:] == carve_validation(dataset, labels, 0.1, seed=3)[1]["row"][:]
    assert validation["row"][:] != carve_validation(dataset, labels, 0.1, seed=4)[1]["row"][:]
    assert len(carve_validation(dataset, None, 0.5, seed=3)[1]) == 60
    for share in (0.0, 1.0, 0.001):
        with pytest.raises(DataError, match="--validation_"):
            carve_validation(dataset, labels, share, seed=3)


@pytest.mark.parametrize("seed", range(5))
def test_draws_leave_a_row_of_every_label(seed):
    """Classes, several labels, tags: none has all its rows held out; without rare ones nothing is drawn otherwise."""
    classes = [*"ab" * 20, "rare", "other"]
    several = [[label] if label in "ab" else ["a", label] for label in classes]
    for labels in (classes, several):
        held_out = draw_validation(len(labels), labels, 0.5, seed)
        left = {name for label, out in zip(labels, held_out, strict=True) if not out for name in label_set(label)}
        assert {"rare", "other", "a", "b"} == left
        assert held_out.sum() in (20, 21)
    plain = [["a", "b"]] * 42
    assert (draw_validation(42, plain, 0.5, seed) == draw_validation(42, None, 0.5, seed)).all()


def label_set(label):
    """Return one label or several as a set."""
    return {*label} if isinstance(label, list) else {label}


def test_intents_and_tags_are_drawn_together():
    """The labels of several columns count, each under its column."""
    rows = Dataset.from_dict({"tags": [["O", "B-X"], ["O"], ["O"]], "intent": ["go", "O", "go"]})
    assert row_labels(rows, ["intent"]) == ["go", "O", "go"]
    labels = row_labels(rows, ["tags", "intent"])
    assert labels[1] == [("tags", "O"), ("intent", "O")]
    assert draw_validation(3, labels, 0.4, 0).tolist() == [False, False, True]


def test_too_few_rows_for_a_draw():
    """The true number of rows is said."""
    with pytest.raises(DataError, match="A validation share of 0.2 of 2 rows leaves a split empty"):
        draw_validation(2, ["bad", "good"], 0.2, 0)
    with pytest.raises(DataError, match="every row is the only one of a label"):
        draw_validation(2, ["bad", "good"], 0.5, 0)
