"""Pretrained vectors reach the rows of their words, and a bad line is named by its number."""

import gzip
import struct

import pytest
import torch
from torch import nn

from hf_rnn.data.files.readers import DataError
from hf_rnn.data.tokenizers import vectors
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
        (b"a 1 2 3\nb 1 2 3\nc 1 2\n", "v.txt: vectors of 3 values, but the embedding has 2. Pass --embedding_size 3"),
        (b"10 300\na 1 2\n", "line 1: vectors of 300 values, but the embedding has 2. Pass --embedding_size 300"),
        (b"1 2\nnone\n", "no line is a word and 2 numbers"),
        (b"\xba\x16\x4f\x2f\x0c\x00", "a model of fastText. Take its vectors as text"),
        (b"\x93NUMPY\x01", "an array of numpy without words"),
        (b"PK\x03\x04", "a zip archive"),
        (b"3 2\ndog " + struct.pack("<2f", 1.5, -2) + b"\ncat \x00", "after 1 of 3 vectors. Copy it again"),
    ],
)
def test_what_is_no_file_of_vectors_is_said(tmp_path, content, message):
    """Vectors of another size, and files that hold none or in another form."""
    (tmp_path / "v.txt").write_bytes(content)
    tokenizer = train_tokenizer(TEXTS, "word", 100)
    with pytest.raises(DataError, match=message):
        load_vectors(str(tmp_path / "v.txt"), tokenizer, nn.Embedding(len(tokenizer), 2))


FOUND = [
    # lines without a word, with too few or too many numbers, or with something else; a byte that is not UTF-8
    (b"dog 1.5 -2\n\r 1 2\ncat 3\ncat 1 2 3 4\nrun 1 x\nrun nan 1\n\xff\xfe 1 2\nbarks 5 6\n", 5),
    # a byte-order mark, tabs, double blanks, blanks at the end, CR LF
    (b"\xef\xbb\xbf3 2\r\ndog\t1.5\t-2\r\nbarks  5  6 \r\n", 0),
    (b"\xef\xbb\xbfdog 1.5 -2\nbarks 5 6\n", 0),
    # the binary format of word2vec, with ends of lines and without
    (b"2 2\ndog " + struct.pack("<2f", 1.5, -2) + b"\nbarks " + struct.pack("<2f", 5, 6) + b"\n", 0),
    (b"2 2\ndog " + struct.pack("<2f", 1.5, -2) + b"barks " + struct.pack("<2f", 5, 6), 0),
]


@pytest.mark.parametrize(("content", "odd"), FOUND)
def test_vectors_are_read_as_they_are_found(tmp_path, monkeypatch, content, odd):
    """What is right in a file is read, and the lines that are not are counted."""
    told = []
    monkeypatch.setattr(vectors.logger, "warning", told.append)
    (tmp_path / "v.bin").write_bytes(content)
    tokenizer = train_tokenizer(TEXTS, "word", 100)
    embedding = nn.Embedding(len(tokenizer), 2)
    assert load_vectors(str(tmp_path / "v.bin"), tokenizer, embedding).found == 2
    for word, vector in (("dog", [1.5, -2]), ("barks", [5, 6])):
        assert embedding.weight[tokenizer(word).input_ids[0]].tolist() == vector
    assert [f"{odd} of " in line for line in told] == [True] * bool(odd)
