"""Pieces of raw text group into the spans of their units, as the stock pipeline groups them."""

import itertools

import pytest
import torch
from tiny import RAW_LABELS, make
from transformers import TokenClassificationPipeline

from hf_rnn import RnnConfig, RnnForTokenClassification
from hf_rnn.models.piece_tags import PieceTags
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
