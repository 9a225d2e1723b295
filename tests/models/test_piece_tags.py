"""Pieces of raw text group into the spans of their units, as the stock pipeline groups them."""

import itertools
import re

import pytest
import torch
from tiny import RAW_LABELS, make
from transformers import TokenClassificationPipeline

from hf_rnn import RnnConfig, RnnForTokenClassification
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.models.piece_tags import PieceTags, WordTags
from hf_rnn.models.pieces import CONTINUATION, SPACE, SPECIAL, WORD_START

# pieces of a text: two spaces, a unit of two, a space, a unit, a unit of three, two spaces, a unit, a space
PIECES = [
    SPACE,
    SPACE,
    WORD_START,
    CONTINUATION,
    SPACE,
    WORD_START,
    WORD_START,
    CONTINUATION,
    CONTINUATION,
    SPACE,
    SPACE,
    WORD_START,
    SPACE,
]
UNITS = [(2, 4), (5, 6), (6, 9), (11, 12)]


def group(tags):
    """Group the tags of pieces, one character each, as the pipeline does with `aggregation_strategy="simple"`."""
    pipe = object.__new__(TokenClassificationPipeline)
    pipe.tokenizer = type("Tokenizer", (), {"convert_tokens_to_string": staticmethod("".join)})
    pieces = [{"entity": tag, "score": 1.0, "word": "", "start": index, "end": index + 1} for index, tag in enumerate(tags)]
    return [(e["start"], e["end"], e["entity_group"]) for e in pipe.group_entities(pieces) if e["entity_group"] != "O"]


def spans_by_hand(tags):
    """Return the spans that valid BIO tags of the units describe."""
    spans = []
    for (start, end), tag in zip(UNITS, tags, strict=True):
        if tag.startswith("B-"):
            spans.append((start, end, tag[2:]))
        elif tag.startswith("I-"):
            spans[-1] = (spans[-1][0], end, tag[2:])
    return spans


def is_valid(tags):
    """Return whether every I- goes on with a span of its type."""
    return all(not b.startswith("I-") or (a != "O" and a[2:] == b[2:]) for a, b in itertools.pairwise(["O", *tags]))


def test_pieces_group_into_the_spans_of_units():
    """For all 625 sequences of tags of four units: exactly those spans, no white space at an end, no neighbour glued on."""
    starts = torch.tensor([[kind == WORD_START for kind in PIECES]])
    spaces = torch.tensor([[kind == SPACE for kind in PIECES]])
    unit_of = torch.tensor([0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3])
    for tags in filter(is_valid, itertools.product(RAW_LABELS, repeat=4)):
        scores = torch.randn(1, 4, 5) - 3
        scores[0, range(4), [RAW_LABELS.index(tag) for tag in tags]] = 3.0
        spread = PieceTags(RAW_LABELS).spread(scores[:, unit_of], starts, torch.zeros_like(starts), spaces)
        assert group([RAW_LABELS[index] for index in spread[0].argmax(1)]) == spans_by_hand(tags)
        assert torch.equal(spread[0, starts[0]], scores[0])
        # every piece of a span is as likely as its unit
        likely, said = (each.softmax(-1).amax(-1)[0] for each in (scores[:, unit_of], spread))
        assert torch.allclose(said[~spaces[0]], likely[~spaces[0]], atol=1e-6)


@pytest.mark.parametrize("use_crf", [False, True])
def test_evaluation_says_of_pieces_what_training_says_of_units(use_crf):
    """First pieces keep the scores of their unit; other pieces begin no span; special tokens and training are left alone."""
    settings = {"use_crf": use_crf, "crf_constraints": "bio" if use_crf else None}
    model = make("tagger", "lstm", {"units": "raw", "word_pooling": "rnn", **settings})
    model.set_piece_types([SPECIAL] + [WORD_START] * 9 + [CONTINUATION] * 8 + [SPACE] * 2)
    ids = torch.tensor([[18, 1, 12, 13, 19, 2, 3, 14, 0]])
    raw = model(ids).logits
    model.config.units = None
    plain = model(ids).logits
    kept = [1, 5, 6, 8]
    assert torch.equal(raw[0, kept], plain[0, kept])
    best = [RAW_LABELS[index] for index in raw[0].argmax(1)]
    assert best[0] == "O" and not any(best[index].startswith("B-") for index in (2, 3, 4, 7))
    model.config.units = "raw"
    assert model.train()(ids).logits.shape == plain.shape


def test_labels_of_another_scheme_are_refused():
    """A tagger of raw text needs BIO labels; the error names the label."""
    labels = {0: "NOUN", 1: "VERB"}
    with pytest.raises(ValueError, match="'NOUN' is not of the BIO scheme"):
        RnnForTokenClassification(RnnConfig(units="raw", id2label=labels, label2id={name: index for index, name in labels.items()}))


NAMES = "Anna Bob Carla Seoul Paris Zoe 서울 부산".split()
LEARNT = [f"{a} met {b} in {c}" for a in NAMES for b in NAMES for c in NAMES]
# rare letters and unknown ones at the beginning, in the middle, at the end; a word that holds nothing else
SENTENCE = "Qanna met Ωbob and Zo\u00f8e €€ in Pari§ 헤서울 x"


@pytest.mark.parametrize("tag", ["B-X", "I-X", "O"])
@pytest.mark.parametrize("strategy", ["first", "average", "max"])
@pytest.mark.parametrize("kind", ["unigram", "bpe", "wordpiece", "word", "char"])
def test_the_pipeline_joins_words(kind, strategy, tag):
    """Every word that begins a span is one entity that covers it, whatever pieces it has; spans that go on are one, and others none."""
    tokenizer = train_tokenizer(LEARNT, kind, vocab_size=120)
    labels = dict(enumerate(RAW_LABELS))
    config = RnnConfig(
        **{"vocab_size": len(tokenizer), "embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "word_pooling": "rnn"},
        **{"id2label": labels, "label2id": {name: index for index, name in labels.items()}},
    )
    model = RnnForTokenClassification(config).eval()
    model.set_piece_types(tokenizer)
    model.classifier.bias.data[RAW_LABELS.index(tag)] = 20.0
    entities = TokenClassificationPipeline(model=model, tokenizer=tokenizer, aggregation_strategy=strategy)(SENTENCE)
    words = [match.span() for match in re.finditer(r"\S+", SENTENCE)]
    expected = {"B-X": words, "I-X": [(0, len(SENTENCE))], "O": []}[tag]
    assert [(entity["start"], entity["end"]) for entity in entities] == expected
    assert all(entity["entity_group"] == "X" and entity["score"] > 0.99 for entity in entities)


def test_only_what_is_taken_apart_changes():
    """Pieces before the break, words that begin nothing, special tokens and training are left alone; so are labels without a partner."""
    scores = torch.randn(1, 8, 5)
    scores[0, :, 1] = 5.0
    # a mark alone, its word, a word of three with an unknown piece in the middle, what is special
    ids = torch.tensor([[7, 2, 3, 8, 4, 1, 4, 0]])
    starts = torch.tensor([[True, False, False, True, False, False, False, True]])
    special = torch.tensor([[False] * 7 + [True]])
    joined = WordTags(RAW_LABELS).join(scores, ids, starts, special, 7, 1)
    assert [RAW_LABELS[index] for index in joined[0].argmax(1)] == ["B-X", "I-X", "I-X", "B-X", "B-X", "I-X", "I-X", "B-X"]
    assert torch.equal(joined[0, [0, 3, 4, 7]], scores[0, [0, 3, 4, 7]])
    assert torch.equal(joined[0, 5, [0, 2, 1, 4, 3]], scores[0, 3])
    assert not any(WordTags(["O", "B-X"]).begins)
    assert torch.equal(WordTags(RAW_LABELS).join(scores, ids, starts, special, None, None), scores)
