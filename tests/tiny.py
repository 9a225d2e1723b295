"""Tiny models, and batches that lay the same rows out differently."""

import torch
from torch import nn

from hf_rnn import RnnConfig, RnnForSequenceClassification, RnnForTokenClassification, RnnModel
from hf_rnn.linear.design import choose_features, frequent_keys
from hf_rnn.models.features import encode_piece
from hf_rnn.models.linear import LinearEmissions, LinearPath

PIECE_TYPES = [0] + [1] * 11 + [2] * 8
TINY = {"vocab_size": 20, "embedding_size": 6, "hidden_size": 8, "num_labels": 3}
NO_DROPOUT = dict.fromkeys(("input_dropout", "hidden_dropout", "classifier_dropout"), 0.0)


def build(model_class, dtype=torch.float64, **fields):
    """Return a tiny model without dropout, with weights of size one so that no difference hides."""
    model = model_class(RnnConfig(**{**TINY, **NO_DROPOUT, **fields})).to(dtype)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    model.set_piece_types(PIECE_TYPES)
    return model


def rows_and_batches():
    """Yield id rows of several lengths and batches (ids, mask, positions of each row) that lay them out differently."""
    generator = torch.Generator().manual_seed(3)
    rows = [torch.randint(1, 20, (length,), generator=generator) for length in (5, 1, 0, 7, 3)]
    width = 9
    right = [list(range(len(row))) for row in rows]
    left = [list(range(width - len(row), width)) for row in rows]
    holes = [sorted(torch.randperm(width, generator=generator)[: len(row)].tolist()) for row in rows]
    for order, places in (([0, 1, 2, 3, 4], right), ([0, 1, 2, 3, 4], left), ([3, 0, 4, 2, 1], right), ([1, 4, 2, 0, 3], holes)):
        ids = torch.randint(0, 20, (len(rows), width), generator=generator)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        for index, row in enumerate(order):
            ids[index, places[row]] = rows[row]
            mask[index, places[row]] = 1
        yield rows, ids, mask, order, [places[row] for row in order]


def gradients(loss, model):
    """Return the gradient of every parameter as one vector."""
    grads = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return torch.cat([torch.zeros_like(p).flatten() if g is None else g.flatten() for g, p in zip(grads, model.parameters(), strict=True)])


def assert_close(a, b):
    """Agree to 1e-10, relative to the largest value."""
    assert a.shape == b.shape
    assert not a.numel() or ((a - b).abs().max() <= 1e-10 * b.abs().max().clamp(min=1)).item()


# layouts and settings that the mask-only form and its exports are tried with
MASK = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1], [1, 0, 1, 1, 0, 0, 1], [0] * 7])
RAW_LABELS = ("O", "B-X", "I-X", "B-Y", "I-Y")
MODELS = {"encoder": RnnModel, "classifier": RnnForSequenceClassification, "tagger": RnnForTokenClassification}
SETTINGS = [
    ("encoder", {}),
    ("encoder", {"bidirectional": False}),
    *[("classifier", {"pooling": pooling}) for pooling in ("last", "mean", "max", "attention")],
    *[("classifier", {"word_pooling": pooling, "word_vocab_size": 4}) for pooling in ("first", "mean", "max", "rnn")],
    ("tagger", {}),
    ("classifier", {"linear_size": 1}),
    ("tagger", {"linear_size": 1, "use_crf": True}),
    ("tagger", {"use_crf": True, "word_pooling": "rnn"}),
    ("tagger", {"use_crf": True}),
    ("tagger", {"bidirectional": False, "lookahead": 2}),
    ("tagger", {"units": "raw", "bidirectional": False, "lookahead": 1, "use_crf": True, "word_pooling": "rnn"}),
    ("classifier", {"word_pooling": "mean", "ngram_vocab_size": 6}),
    ("tagger", {"units": "raw", "word_pooling": "rnn", "word_vocab_size": 4, "ngram_vocab_size": 6}),
    ("tagger", {"units": "raw", "use_crf": True, "crf_constraints": "bio", "word_pooling": "rnn", "linear_size": 1}),
]


# what the pieces of tiny models spell: words of their own, ends of words, and some that hold two
PIECES = ["", "ab", "b", "cA", "d!", "e", "f-g", "h", "i", "jk", "l", "m", "n", "o", ".", "p", "qr", "s", "t", "u"]


def add_linear_path(model, dtype=torch.float64):
    """Put a linear model with random weights beside the recurrence, which knows the features of some rows."""
    characters = torch.tensor([encode_piece(text, kind != 2) for text, kind in zip(PIECES, PIECE_TYPES, strict=True)])
    rows = next(rows_and_batches())[0][:4]
    if isinstance(model, RnnForTokenClassification):
        path = LinearEmissions(len(PIECES), 0, model.num_labels)
        path.characters = characters
        pairs = [(row[None], torch.ones_like(row[None]).bool()) for row in rows]
        found = [path.features(ids, *model.model.words(ids, mask), model.model.blanks(ids, mask))[0] for ids, mask in pairs]
        path.set_keys(frequent_keys([keys.numpy().ravel() for keys in found], 1000)[0])
    else:
        path = LinearPath(len(PIECES), 0, model.num_labels)
        path.characters = characters
        choose_features(path, [row.tolist() for row in rows], 1000)
        nn.init.normal_(path.bias)
    model.set_linear_path(path.to(dtype))
    nn.init.normal_(path.weight[1:])


def make(kind: str, cell: str, settings: dict, dtype: torch.dtype = torch.float64):
    """Return a model in evaluation mode, of which some pieces continue words and some words have vectors of their own."""
    if settings.get("units") == "raw":
        settings = {
            **settings,
            "num_labels": 5,
            "id2label": dict(enumerate(RAW_LABELS)),
            "label2id": {label: i for i, label in enumerate(RAW_LABELS)},
        }
    model = build(MODELS[kind], dtype=dtype, cell_type=cell, **settings).eval()
    # two ids are white space of raw text
    model.set_piece_types([0, 1, 2, 1, 2, *([3, 3] if "units" in settings else [1, 2]), *([1, 2] * 7)[:13]])
    model.set_word_vocabulary([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4]], min_frequency=1)
    for name in ("whole_word_embeddings", "ngram_embeddings"):
        if hasattr(model.base_model.embeddings, name):
            torch.nn.init.normal_(getattr(model.base_model.embeddings, name).weight[1:])
    if settings.get("linear_size"):
        add_linear_path(model, dtype)
    return model
