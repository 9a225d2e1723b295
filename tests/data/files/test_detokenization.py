"""Tokens are found in the text that they were cut from."""

import pytest

from hf_rnn.data.files.detokenization import find_tokens, join_tokens, place_words
from hf_rnn.data.files.readers import read_rows


def line(number, form, misc="_"):
    """Return the columns of a word or multi-word token."""
    return [number, form, *["_"] * 7, misc]


@pytest.mark.parametrize(
    ("tokens", "text", "offsets"),
    [
        (["a", "b"], "a b", [[0, 1], [2, 3]]),
        (["a", "b"], " a\u3000b\n", [[1, 2], [3, 4]]),
        (["10 000", "a"], "10 000a", [[0, 6], [6, 7]]),
        (["a", "b"], "a c", None),
        (["a"], "a b", None),
        ([], " ", []),
    ],
)
def test_find_tokens(tokens, text, offsets):
    """White space may stand between tokens and nothing else; a text that holds more or less is another one."""
    assert find_tokens(tokens, text) == offsets


def test_join_tokens():
    """Tokens are at their offsets, in the text that goes with them or joined by spaces."""
    for text in (None, "It's on.", "another text"):
        joined, offsets = join_tokens(["It", "'s", "on", "."], text)
        assert [joined[start:end] for start, end in offsets] == ["It", "'s", "on", "."]
        assert joined == ("It's on." if text == "It's on." else "It 's on .")


def test_words_of_a_multiword_token():
    """They get their parts of it if they make it up, else each the whole."""
    lines = [line("1-2", "don't"), line("1", "do"), line("2", "n't"), line("3-4", "du"), line("3", "de"), line("4", "le"), line("5", "x")]
    text, offsets = place_words("don't du x", lines)
    assert [text[start:end] for start, end in offsets] == ["do", "n't", "du", "du", "x"]


def test_sentences_without_their_text():
    """They are put together by `SpaceAfter=No`, also that of a multi-word token; so is one whose text says something else."""
    lines = [line("1-2", "don't", "SpaceAfter=No"), line("1", "do"), line("2", "n't"), line("3", "!", "SpaceAfter=No|X=1"), line("4", "?")]
    assert place_words(None, lines)[0] == place_words("nothing of it", lines)[0] == "don't!?"


def test_sample_treebank_tells_where_its_words_are(large_data):
    """Each word of three real treebanks is found at its offsets, in order."""
    for path in ("ud_english_ewt/dev.conllu", "ud_japanese_gsd/train.conllu", "ud_korean_gsd/dev.conllu"):
        for row in read_rows(str(large_data / path)):
            words = [row["raw_text"][start:end] for start, end in row["offsets"]]
            assert words == row["form"] and row["offsets"] == sorted(row["offsets"])
