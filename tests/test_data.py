"""Splits, columns, labels, truncation and alignment."""

import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, List, Value

from hf_rnn import data
from hf_rnn.readers import DataError
from hf_rnn.tokenization import train_tokenizer

SENTENCES = [["the", "dog", "barks"], ["\u200b", "dog", "!"], []]


@pytest.fixture(scope="module")
def tokenizer():
    """Return a tokenizer of small pieces."""
    return train_tokenizer(["the dog barks at the other dogs", "no dog barked"] * 4, "bpe", 60)


def write(path, rows):
    """Write rows as JSON lines and return the path."""
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_load_splits_from_files(tmp_path):
    """Files become splits; the cache notices that a file has changed; parquet and streams are read alike."""
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    path = write(tmp_path / "a.jsonl", rows)
    splits = data.load_splits(files={"train": path, "test": path, "validation": ""})
    assert list(splits) == ["train", "test"]
    assert splits["train"].to_list() == rows
    write(tmp_path / "a.jsonl", rows[:1])
    assert data.load_splits(files={"train": path})["train"].to_list() == rows[:1]
    Dataset.from_list(rows).to_parquet(tmp_path / "a.parquet")
    assert data.load_splits(files={"train": str(tmp_path / "a.parquet")})["train"].to_list() == rows
    stream = data.load_splits(files={"train": path}, streaming=True)["train"]
    assert isinstance(stream, IterableDataset)
    assert list(stream) == rows[:1]
    assert data.column_names(stream) == ["text", "label"]


def test_load_splits_by_name(tmp_path):
    """A folder that `datasets` knows is loaded by its name."""
    write(tmp_path / "train.jsonl", [{"text": "a", "label": 1}])
    assert data.load_splits(str(tmp_path))["train"].to_list() == [{"text": "a", "label": 1}]


def test_errors_of_files_come_through(tmp_path):
    """An error of a reader is not wrapped, and name and files exclude each other."""
    (tmp_path / "a.csv").write_text("text,text\na,b\n")
    with pytest.raises(DataError, match="column name 'text' stands 2 times"):
        data.load_splits(files={"train": str(tmp_path / "a.csv")})
    with pytest.raises(DataError, match="there is no such file"):
        data.load_splits(files={"train": str(tmp_path / "b.csv")})
    with pytest.raises(DataError, match="got neither"):
        data.load_splits(files={"train": ""})
    with pytest.raises(DataError, match="got both"):
        data.load_splits("imdb", files={"train": "a.csv"})


def test_choose_column():
    """A wanted column, or the first usual one, or an error that lists what there is."""
    dataset = Dataset.from_dict({"review": ["a"], "stars": [1]})
    assert data.choose_column(dataset, "train", None, data.TEXT_COLUMNS, "text_column_name") == "review"
    assert data.choose_column(dataset, "train", "stars", data.TEXT_COLUMNS, "text_column_name") == "stars"
    with pytest.raises(DataError, match=r"The train split lacks column 'body'; it has \['review', 'stars'\]. Pass --text_column_name"):
        data.choose_column(dataset, "train", "body", data.TEXT_COLUMNS, "text_column_name")
    with pytest.raises(DataError, match=r"lacks any of the usual columns \['label'"):
        data.choose_column(dataset, "train", None, data.LABEL_COLUMNS, "label_column_name")


def test_carve_validation_is_stratified_and_seeded():
    """Every label gives its share, nothing is lost or doubled, and the seed decides."""
    labels = ["a"] * 100 + ["b"] * 20
    dataset = Dataset.from_dict({"row": list(range(120))})
    train, validation = data.carve_validation(dataset, labels, 0.1, seed=3)
    assert sorted(train["row"][:] + validation["row"][:]) == list(range(120))
    assert (np.array(validation["row"]) < 100).sum() == 10
    assert len(validation) == 12
    assert validation["row"][:] == data.carve_validation(dataset, labels, 0.1, seed=3)[1]["row"][:]
    assert validation["row"][:] != data.carve_validation(dataset, labels, 0.1, seed=4)[1]["row"][:]
    assert len(data.carve_validation(dataset, None, 0.5, seed=3)[1]) == 60
    for share in (0.0, 1.0, 0.001):
        with pytest.raises(DataError, match="--validation_"):
            data.carve_validation(dataset, labels, share, seed=3)


def test_labels_have_a_stable_order():
    """Numbers by value, "O" before the rest."""
    assert data.order_labels({"10", "9", "-1"}) == ["-1", "9", "10"]
    assert data.order_labels({"I-X", "O", "B-X"}) == ["O", "B-X", "I-X"]


def collect(splits, allow_new=False, column="label"):
    """Collect labels of a dictionary of columns of labels."""
    splits = DatasetDict({split: Dataset.from_dict({column: labels}) for split, labels in splits.items()})
    return data.collect_labels(splits, column, {split: data.feature_names(splits[split], column) for split in splits}, allow_new)


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
    ("value", "message"), [("0.5", "'0.5' is a fraction"), (0.5, "0.5 is a fraction"), (None, "missing"), ("", "missing")]
)
def test_bad_labels_are_located(value, message):
    """Split, row, column, value and remedy."""
    with pytest.raises(DataError, match=rf"train row 1, column 'label'.*{message}"):
        collect({"train": [type(value)(1) if value else "1", value]})


def test_declared_classes_keep_their_order():
    """Class names that a data set declares are taken as they are, for single labels and lists."""
    features = Features({"label": ClassLabel(names=["z", "a"]), "tags": List(ClassLabel(names=["V", "N"]))})
    dataset = DatasetDict({"train": Dataset.from_dict({"label": [1], "tags": [[0, 1]]}, features=features)})
    for column, names in (("label", ["z", "a"]), ("tags", ["V", "N"])):
        assert data.feature_names(dataset["train"], column) == names
        assert data.collect_labels(dataset, column, {"train": names}, False) == names


def encode_texts(tokenizer, rows, problem_type="single_label_classification", labels=("a", "b"), names=None, max_length=6):
    """Encode columns of one split."""
    options = {"text_column": "text", "label_column": "label", "problem_type": problem_type, "max_length": max_length}
    label2id = {label: index for index, label in enumerate(labels)}
    splits = DatasetDict({"train": Dataset.from_dict(rows)})
    return data.map_splits(splits, data.encode_texts, {"train": names}, tokenizer=tokenizer, label2id=label2id, **options)


def test_truncation_is_counted(tokenizer):
    """Long rows end in the special token and are counted; short ones are as the tokenizer gives them."""
    texts = ["dog", "the dog barks at the other dogs " * 5, ""]
    encoded, counts = data.drop_truncated(encode_texts(tokenizer, {"text": texts, "label": ["a", "b", "a"]}))
    ids = encoded["train"]["input_ids"][:]
    assert counts == {"train": (1, 3)}
    assert ids[0] == tokenizer("dog").input_ids
    assert len(ids[1]) == 6
    assert ids[1][-1] == tokenizer.sep_token_id
    assert ids[2] == [tokenizer.sep_token_id]
    assert encoded["train"].column_names == ["input_ids", "labels"]


def test_labels_of_each_problem_type(tokenizer):
    """Class ids, several labels as 0 and 1, and numbers; class numbers of declared names too."""
    texts = ["x", "y"]
    assert encode_texts(tokenizer, {"text": texts, "label": ["b", "a"]})["train"]["labels"][:] == [1, 0]
    assert encode_texts(tokenizer, {"text": texts, "label": [1, 0]}, names=["b", "a"])["train"]["labels"][:] == [0, 1]
    several = encode_texts(tokenizer, {"text": texts, "label": [["a", "b"], []]}, "multi_label_classification")
    assert several["train"]["labels"][:] == [[1.0, 1.0], [0.0, 0.0]]
    assert encode_texts(tokenizer, {"text": texts, "label": ["0.5", "2"]}, "regression")["train"]["labels"][:] == [0.5, 2.0]
    assert encode_texts(tokenizer, {"text": [["x", "y"]], "label": ["a"]})["train"]["input_ids"][0] == tokenizer("x y").input_ids


def test_bad_rows_are_located(tokenizer):
    """Unknown labels, numbers that are none, and texts that are none."""
    with pytest.raises(DataError, match=r"train row 1, column 'label': unknown label 'c'; known are \['a', 'b'\]"):
        encode_texts(tokenizer, {"text": ["x", "y"], "label": ["a", "c"]})
    with pytest.raises(DataError, match="train row 0, column 'label': 'high' is not a number"):
        encode_texts(tokenizer, {"text": ["x"], "label": ["high"]}, "regression")
    with pytest.raises(DataError, match="train row 1, column 'text': expected text, got None"):
        encode_texts(tokenizer, {"text": ["x", None], "label": ["a", "a"]})


def encode_tokens(tokenizer, sentences, tags, names=None, max_length=None, tag_column="tags", num_proc=None):
    """Encode sentences of one split."""
    rows = {"tokens": sentences, "tags": tags} if tags is not None else {"tokens": sentences}
    options = {"token_column": "tokens", "tag_column": tag_column if tags is not None else None, "max_length": max_length}
    features = Features(
        {"tokens": List(Value("string")), **({"tags": List(Value("int64" if names else "string"))} if tags is not None else {})}
    )
    splits = DatasetDict({"train": Dataset.from_dict(rows, features=features)})
    encoded = data.map_splits(
        splits, data.encode_tokens, {"train": names}, num_proc, tokenizer=tokenizer, label2id={"N": 0, "V": 1}, **options
    )
    return encoded["train"]


@pytest.mark.parametrize("num_proc", [None, 2])
def test_tags_stand_on_first_pieces(tokenizer, num_proc):
    """Each token has one label, on its first piece, also a token of which the tokenizer leaves nothing."""
    tags = [["N", "N", "V"], ["V", "N", "V"], []]
    encoded = encode_tokens(tokenizer, SENTENCES, tags, num_proc=num_proc)
    for row, sentence, expected in zip(encoded, SENTENCES, tags, strict=True):
        assert len(row["labels"]) == len(row["input_ids"])
        assert [label for label in row["labels"] if label != -100] == [{"N": 0, "V": 1}[tag] for tag in expected]
        assert row["input_ids"][-1] == tokenizer.sep_token_id
        assert row["labels"][-1] == -100
        pieces = tokenizer(sentence, is_split_into_words=True)
        if "\u200b" not in sentence:
            assert row["input_ids"] == pieces.input_ids
    assert encoded[1]["input_ids"][0] != tokenizer.sep_token_id
    assert encode_tokens(tokenizer, SENTENCES[:1], [[0, 0, 1]], names=["V", "N"])[0]["labels"] != encoded[0]["labels"]
    assert encode_tokens(tokenizer, SENTENCES, None).column_names == ["input_ids"]


def test_bad_sentences_are_located(tokenizer):
    """Unequal numbers, unknown tags, and sentences above a limit are refused, never cut."""
    with pytest.raises(DataError, match=r"train row 0: 3 tokens in column 'tokens' but 2 tags in column 'tags'"):
        encode_tokens(tokenizer, SENTENCES[:1], [["N", "N"]])
    with pytest.raises(DataError, match=r"train row 0, column 'tags': unknown label 'X'; known are \['N', 'V'\]"):
        encode_tokens(tokenizer, SENTENCES[:1], [["N", "N", "X"]])
    with pytest.raises(DataError, match=r"train row 0: the sentence has \d+ pieces, more than max_length=3"):
        encode_tokens(tokenizer, SENTENCES[:1], [["N", "N", "V"]], max_length=3)


def test_encoding_is_cached(tokenizer):
    """The same data and options find the encoded table again by its fingerprint; another limit does not."""
    rows = {"text": ["dog", "dogs"], "label": ["a", "b"]}
    first, second, other = (encode_texts(tokenizer, rows, max_length=length)["train"]._fingerprint for length in (6, 6, 7))
    assert first == second != other
