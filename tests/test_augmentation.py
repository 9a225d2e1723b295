"""Copies of sentences with other mentions: same frame, mentions of the same kind, tags that fit."""

import json
from itertools import pairwise

import pytest
from datasets import ClassLabel, Dataset, Features, IterableDataset, List, Value
from runs import sentences
from seqeval.metrics.sequence_labeling import get_entities

from hf_rnn import token_classification
from hf_rnn.augmentation import replace_mentions
from hf_rnn.readers import DataError

ROWS = [
    {"tokens": ["play", "blue", "moon", "by", "elvis"], "tags": ["O", "B-song", "I-song", "O", "B-artist"], "intent": "play"},
    {"tokens": ["add", "jazz", "hits", "now"], "tags": ["O", "B-song", "I-song", "O"], "intent": "add"},
    {"tokens": ["who", "is", "lady", "gaga"], "tags": ["O", "O", "B-artist", "I-artist"], "intent": "ask"},
    {"tokens": ["play", "moon", "river"], "tags": ["O", "B-song", "B-song"], "intent": "play"},
    {"tokens": ["stop"], "tags": ["O"], "intent": "stop"},
    {"tokens": [], "tags": [], "intent": "stop"},
]
FEATURES = Features({"tokens": List(Value("string")), "tags": List(Value("string")), "intent": Value("string")})
DATA = Dataset.from_list(ROWS, features=FEATURES)


def mentions(rows):
    """Return the set of (kind, tokens) of rows."""
    return {(kind, tuple(row["tokens"][a : b + 1])) for row in rows for kind, a, b in get_entities(row["tags"])}


def frame(row):
    """Return a sentence with the kinds of its mentions in place of them."""
    kinds = [(tag[2:] if tag.startswith("B") else None if tag.startswith("I") else token) for token, tag in zip(*pair(row), strict=True)]
    return [kind for kind in kinds if kind is not None]


def pair(row):
    """Return tokens and tags."""
    return row["tokens"], row["tags"]


def test_frames_stay_and_mentions_change():
    """Every copy has the frame and the intent of its sentence, valid tags, and no mention that the data does not have."""
    rows = replace_mentions(DATA, "tokens", "tags", None, 30, seed=1).to_list()
    assert rows[: len(ROWS)] == ROWS
    assert len(rows) == 31 * len(ROWS)
    for index, row in enumerate(rows):
        source = ROWS[index % len(ROWS)]
        assert frame(row) == frame(source)
        assert row["intent"] == source["intent"]
        assert len(row["tokens"]) == len(row["tags"])
        assert all(b[0] != "I" or a[1:] == b[1:] for a, b in pairwise(["O", *row["tags"]]))
    assert mentions(rows) == mentions(ROWS)
    # 30 draws of one half each
    firsts = [row["tokens"][1 : row["tokens"].index("by")] for row in rows[len(ROWS) :: len(ROWS)]]
    assert {tuple(first) for first in firsts} == {tokens for kind, tokens in mentions(ROWS) if kind == "song"}
    assert 10 < firsts.count(["blue", "moon"]) < 29


def test_seed_decides():
    """The same seed draws the same copies; another one others; no copies change nothing."""
    first, again, other = (replace_mentions(DATA, "tokens", "tags", None, 5, seed=seed).to_list() for seed in (1, 1, 2))
    assert first == again != other
    assert replace_mentions(DATA, "tokens", "tags", None, 0, seed=1) is DATA


def test_numbered_tags():
    """Tags that are numbers with names of their own stay numbers."""
    names = ["O", "B-song", "I-song", "B-artist", "I-artist"]
    features = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=names)), "intent": Value("string")})
    numbered = Dataset.from_list([{**row, "tags": [names.index(tag) for tag in row["tags"]]} for row in ROWS], features=features)
    rows = replace_mentions(numbered, "tokens", "tags", names, 5, seed=1)
    assert rows.features == features
    named = [{**row, "tags": [names[tag] for tag in row["tags"]]} for row in rows]
    assert named == replace_mentions(DATA, "tokens", "tags", None, 5, seed=1).to_list()


def test_streams_are_refused():
    """Mentions of a stream are not known."""
    with pytest.raises(DataError, match="`mention_replacement` needs all sentences at once"):
        replace_mentions(IterableDataset.from_generator(lambda: iter(ROWS)), "tokens", "tags", None, 1, seed=1)


def test_command(tmp_path):
    """The option multiplies the training rows, which the card says."""
    (tmp_path / "data.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS[:5] * 8))
    more = ["--train_file", str(tmp_path / "data.jsonl"), "--vocab_size", "60", "--word_vocab_size", "0", "--do_train", "--max_steps", "1"]
    token_classification.main(sentences(tmp_path / "model", *more, "--mention_replacement", "3"))
    state = json.loads((tmp_path / "model" / "trainer_state.json").read_text())
    # 160 rows in batches of 64
    assert state["epoch"] == pytest.approx(1 / 3, abs=1e-3)
    assert "3 more copies" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.parametrize(
    ("value", "message"), [("2", "`mention_replacement` needs tags of spans"), ("-1", "`mention_replacement` must not be negative, got -1")]
)
def test_wrong_values(value, message, tmp_path):
    """Parts of speech are no spans; a number of copies is not negative."""
    with pytest.raises(ValueError, match=message):
        token_classification.main(sentences(tmp_path, "--do_train", "--mention_replacement", value))
