"""Pretrained vectors reach the rows of their words, and a bad line is named by its number."""

import gzip

import pytest
import torch
from torch import nn

from hf_rnn.data.files.readers import DataError
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.data.tokenizers.vectors import load_vectors

TEXTS = ["the dog barks", "the cat sleeps"] * 5


@pytest.mark.parametrize("kind", ["word", "bpe", "wordpiece"])
@pytest.mark.parametrize(("header", "packed"), [("", False), ("3 2\n", True)])
def test_vectors_are_loaded(tmp_path, kind, header, packed):
    """GloVe (no header) and word2vec (header), plain and gzip; other rows stay, coverage is counted."""
    tokenizer = train_tokenizer(TEXTS, kind, 100)
    path = tmp_path / ("v.txt.gz" if packed else "v.txt")
    content = f"{header}dog 1.5 -2\nnowhere 3 3\n. . . 4 4\ndog 9 9\n"
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    embedding = nn.Embedding(len(tokenizer), 2)
    before = embedding.weight.detach().clone()
    coverage = load_vectors(str(path), tokenizer, embedding)
    index = tokenizer("dog").input_ids[0]
    assert embedding.weight[index].tolist() == [1.5, -2]
    before[index] = torch.tensor([1.5, -2])
    assert torch.equal(embedding.weight, before)
    assert coverage.found == 1
    assert coverage.total >= 5
    assert str(coverage).startswith(f"1 of {coverage.total} entries (")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 1 2\nb 1\n", "line 2: 1 values, but the embedding has 2. Pass --embedding_size 1"),
        ("a 1 2\nb 1 2 3\n", "line 2: 3 values, but the embedding has 2"),
        ("a 1 2\nb 1 x\n", r"line 2: 'x' is not a number \(word 'b'\)"),
        ("10 300\na 1 2\n", "line 1: vectors of 300 values, but the embedding has 2. Pass --embedding_size 300"),
    ],
)
def test_bad_lines_are_named(tmp_path, content, message):
    """Dimension and numbers are checked line by line."""
    (tmp_path / "v.txt").write_text(content)
    tokenizer = train_tokenizer(TEXTS, "word", 100)
    with pytest.raises(DataError, match=message):
        load_vectors(str(tmp_path / "v.txt"), tokenizer, nn.Embedding(len(tokenizer), 2))
