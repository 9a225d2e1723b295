"""Truncation, label ids, and the alignment of tags with pieces."""

import pytest
from datasets import Dataset, DatasetDict, Features, List, Value

from hf_rnn.data.files.readers import DataError
from hf_rnn.data.rows import encoding
from hf_rnn.data.rows.encoding import drop_truncated, map_splits
from hf_rnn.data.tokenizers.training import train_tokenizer

SENTENCES = [["the", "dog", "barks"], ["\u200b", "dog", "!"], []]


@pytest.fixture(scope="module")
def tokenizer():
    """Return a tokenizer of small pieces."""
    return train_tokenizer(["the dog barks at the other dogs", "no dog barked"] * 4, "bpe", 60)


def encode_texts(tokenizer, rows, problem_type="single_label_classification", labels=("a", "b"), names=None, max_length=6):
    """Encode columns of one split."""
    options = {"text_column": "text", "label_column": "label", "problem_type": problem_type, "max_length": max_length}
    label2id = {label: index for index, label in enumerate(labels)}
    splits = DatasetDict({"train": Dataset.from_dict(rows)})
    return map_splits(splits, encoding.encode_texts, {"train": names}, tokenizer=tokenizer, label2id=label2id, **options)


def test_truncation_is_counted(tokenizer):
    """Long rows end in the special token and are counted; short ones are as the tokenizer gives them."""
    texts = ["dog", "the dog barks at the other dogs " * 5, ""]
    encoded, counts = drop_truncated(encode_texts(tokenizer, {"text": texts, "label": ["a", "b", "a"]}))
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
    with pytest.raises(DataError, match="train row 0, column 'label': 'high' is not a finite number"):
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
    encoded = map_splits(
        splits, encoding.encode_tokens, {"train": names}, num_proc, tokenizer=tokenizer, label2id={"N": 0, "V": 1}, **options
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
