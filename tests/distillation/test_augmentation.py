"""Made-up rows consist of what the data has, keep spans whole, and depend on the seed alone."""

import pytest

from hf_rnn.distillation.augmentation import Rates, frequent_words, make_up_rows, split_chunks

TEXTS = ["the film was good", "a bad film", "we sat through all of it", ""]
TOKENS = [["fly", "to", "New", "York", "now"], ["call", "Mary", "Ann", "Lee"]]
TAGS = [["O", "O", "B-LOC", "I-LOC", "O"], ["O", "B-PER", "I-PER", "I-PER"]]


def test_rows_are_of_known_words():
    """So many rows, none empty, of words of the data or the mask; strings for strings."""
    made = make_up_rows(TEXTS, 300, seed=1, mask="[MASK]")
    words = {word for text in TEXTS for word in text.split()} | {"[MASK]"}
    assert len(made) == 300
    assert all(text.strip() and set(text.split()) <= words for text in made)
    assert any("[MASK]" in text for text in made)
    assert len(set(made)) > 100


def test_the_seed_decides():
    """The same rows with the same seed, others with another."""
    assert make_up_rows(TEXTS, 50, seed=3) == make_up_rows(TEXTS, 50, seed=3)
    assert make_up_rows(TEXTS, 50, seed=3) != make_up_rows(TEXTS, 50, seed=4)


def test_without_a_mask_words_are_left_out():
    """A masked word is gone; at a rate of one for nothing else, rows are those of the data."""
    plain = Rates(mask=0, replace=0, cut=0, splice=0)
    assert set(make_up_rows(TEXTS, 50, seed=1, rates=plain)) == set(TEXTS) - {""}
    made = make_up_rows(TEXTS, 200, seed=1, rates=Rates(mask=0.5, replace=0, cut=0, splice=0))
    assert min(len(text.split()) for text in made) < 3


@pytest.mark.parametrize("rates", [Rates(), Rates(mask=0, replace=1)])
def test_spans_stay_whole(rates):
    """The tokens of a span come together or, all masked, not at all; a cut never starts inside one."""
    for tokens in make_up_rows(TOKENS, 300, seed=2, mask="[MASK]", tags=TAGS, rates=rates):
        assert isinstance(tokens, list)
        text = " ".join(tokens)
        assert text.count("New") == text.count("New York") == text.count("York")
        assert text.count("Mary Ann Lee") == text.count("Mary") == text.count("Ann") == text.count("Lee")


def test_similar_words_take_the_place():
    """At a rate of one every word that has similar ones becomes one of them, with its capital, in texts and within spans."""
    rates = Rates(mask=0, replace=0, similar=1, cut=0, splice=0)
    similar = {"good": ["great", "fine"], "York": ["orleans"]}
    made = set(make_up_rows(TEXTS, 200, seed=1, rates=rates, similar=similar))
    assert made == {"the film was great", "the film was fine", *TEXTS[1:3]}
    made = make_up_rows(TOKENS, 50, seed=1, tags=TAGS, rates=rates, similar=similar)
    assert ["fly", "to", "New", "Orleans", "now"] in made and TOKENS[0] not in made
    assert frequent_words([*TOKENS, ["to", "fly", "to"]], most=3) == ["to", "fly", "New"]
    assert frequent_words(TEXTS)[:2] == ["film", "the"]


def test_chunks():
    """Words alone, spans together; tags without a scheme part nothing."""
    assert split_chunks("a b") == [("a",), ("b",)]
    assert split_chunks(TOKENS[0], TAGS[0]) == [("fly",), ("to",), ("New", "York"), ("now",)]
    assert all(len(row) for row in make_up_rows([["a", "b"]], 5, seed=1, tags=[["DET", "NOUN"]]))


def test_nothing_from_nothing():
    """Rows without a word make none."""
    assert make_up_rows(["", " "], 5, seed=1) == []
