"""Pieces become words, found from ids alone; frequent words have vectors of their own."""

import pytest
import torch
from tiny import TINY, assert_close, build, rows_and_batches
from torch import nn
from transformers import AutoModelForTokenClassification

from hf_rnn import RnnConfig, RnnForTokenClassification, RnnModel
from hf_rnn.models.layouts import Packed


def lay(ids, embeddings, mask=None):
    """Return how words of ids lie, all of which exist unless a mask says otherwise."""
    return Packed(torch.ones_like(ids).bool() if mask is None else mask, ids, embeddings.piece_types)


def with_words(**fields):
    """Return a tagger with a vocabulary of the words [1], [2, 15] and [3, 16, 16], of which the last occurs too seldom."""
    model = build(RnnForTokenClassification, word_pooling="rnn", word_vocab_size=4, **fields)
    nn.init.zeros_(model.model.embeddings.whole_word_embeddings.weight[0])
    assert model.set_word_vocabulary([[1, 2, 15], [2, 15, 1, 3, 16, 16], []]) == 2
    return model


def test_words_are_found_from_ids_alone():
    """Special tokens and word starts open a unit, continuations join it, also at the start of a row and after a special token."""
    embeddings = build(RnnModel, word_pooling="mean").embeddings
    # types: special 0, starts 1 and 2, continuations 15 and 16
    ids = torch.tensor([[15, 1, 16, 16, 0, 15, 16, 2], [1, 9, 15, 2, 9, 9, 9, 9]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 0, 0, 0]], dtype=torch.bool)
    layout = lay(ids, embeddings, mask)
    assert layout.starts.long().tolist() == [[1, 1, 0, 0, 1, 1, 0, 1], [1, 0, 0, 1, 0, 0, 0, 0]]
    assert layout.unit_of.tolist() == [0, 1, 1, 1, 2, 3, 3, 4, 5, 5, 6]
    assert layout.words()[1].long().tolist() == [[0, 0, 0, 0, 1, 0, 0, 0], [0, 1, 0, 0, 1, 1, 1, 1]]


@pytest.mark.parametrize("pooling", ["first", "mean", "max"])
def test_word_vectors_by_hand(pooling):
    """A word's vector is that of its first piece, or the mean or maximum of its pieces."""
    model = build(RnnModel, word_pooling=pooling).eval()
    output = model(torch.tensor([[1, 15, 16, 2]]), output_hidden_states=True)
    pieces = model.embeddings.word_embeddings.weight[[1, 15, 16]]
    expected = {"first": pieces[0], "mean": pieces.mean(0), "max": pieces.amax(0)}[pooling]
    assert_close(output.hidden_states[0][0, :3], expected.expand(3, -1))
    assert torch.equal(output.last_hidden_state[0, 0], output.last_hidden_state[0, 2])


def test_units_that_look_alike_are_read_once(monkeypatch):
    """Each unit gets what the small LSTM makes of it alone, and of equal units it sees one; very long units are never taken for equal."""
    embeddings = build(RnnModel, word_pooling="rnn").embeddings.eval()
    ids = torch.tensor([[1, 15, 16, 2, 1, 15, 16, 3], [2, 1, 15, 16, 1, 16, 15, 9]])
    mask = torch.ones_like(ids).bool()
    mask[1, -1] = False
    read = []
    recurrence = embeddings.piece_recurrence.forward
    monkeypatch.setattr(
        embeddings.piece_recurrence, "forward", lambda x, packing: read.append(len(packing.lengths)) or recurrence(x, packing)
    )
    units = embeddings(ids, None, lay(ids, embeddings, mask))
    # [1, 15, 16], [2], [3] and [1, 16, 15]
    assert read == [4]
    words = [[1, 15, 16], [2], [1, 15, 16], [3], [2], [1, 15, 16], [1, 16, 15]]
    alone = [embeddings(torch.tensor([word]), None, lay(torch.tensor([word]), embeddings)) for word in words]
    assert_close(units, torch.cat(alone))
    # a hash forgets the order of what comes after so many pieces
    long = torch.full((2, 1030), 15)
    long[:, 0], long[0, 1026], long[1, 1027] = 1, 16, 16
    first, second = embeddings(long, None, lay(long, embeddings))
    assert not torch.equal(first, second)


def test_word_vocabulary_finds_words_by_their_pieces():
    """A known word has its own vector wherever it stands; an unknown one, also of the same pieces in another order, has none."""
    embeddings = with_words().model.embeddings
    ids = torch.tensor([[2, 15, 2, 1, 15, 3, 16, 16], [9, 9, 1, 9, 9, 9, 2, 15]])
    mask = torch.tensor([[1] * 8, [0, 0, 1, 0, 0, 0, 1, 1]], dtype=torch.bool)
    layout = lay(ids, embeddings, mask)
    hashes = embeddings._hash(layout.pieces(ids), layout)
    vectors = embeddings._add_own_vectors(torch.zeros(6, 6), hashes, ())
    # words of row 0: [2, 15], [2], [1, 15], [3, 16, 16]; of row 1: [1], [2, 15]
    known = [True, False, False, False, True, True]
    assert (vectors.abs().sum(1) > 0).tolist() == known
    assert torch.equal(vectors[0], vectors[5])
    assert not torch.equal(vectors[0], vectors[4])


def test_word_vocabulary_is_invariant_and_saved(tmp_path):
    """Rows alone equal rows in batches, and a loaded model knows the same words."""
    model = with_words().eval()
    for rows, ids, mask, order, places in rows_and_batches():
        logits = model(ids, mask).logits
        for index, row in enumerate(order):
            assert_close(logits[index, places[index]], model(rows[row][None]).logits[0])
    model.save_pretrained(tmp_path)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path, dtype=torch.float64)
    assert torch.equal(loaded.model.embeddings.word_keys, model.model.embeddings.word_keys)
    assert_close(loaded(ids, mask).logits, logits)


def test_dropped_words_are_unknown_words():
    """With a word vocabulary, embedding dropout takes away the vector of the whole word and leaves that of its pieces."""
    model = with_words(embedding_dropout=0.999999)
    ids = torch.tensor([[1, 2, 15]])
    model.train()
    dropped = model(ids).logits
    with torch.no_grad():
        model.model.embeddings.whole_word_embeddings.weight.zero_()
    assert torch.equal(model.eval()(ids).logits, dropped)


def test_fresh_word_vectors_are_zero():
    """A new model starts as if every word were unknown."""
    model = RnnModel(RnnConfig(**TINY, word_pooling="mean", word_vocab_size=5))
    assert (model.embeddings.whole_word_embeddings.weight == 0).all()
    assert model.embeddings.word_embeddings.weight.std() > 0.01


def test_white_space_goes_with_the_unit_before_it():
    """It starts no unit, is special where none comes before it, and does not make another word of a known one."""
    model = build(RnnForTokenClassification, word_pooling="rnn", word_vocab_size=4)
    embeddings = model.model.embeddings
    model.set_piece_types([0] + [1] * 11 + [2] * 7 + [3])
    ids = torch.tensor([[19, 19, 1, 15, 19, 2, 19, 0, 19, 1, 15]])
    layout = lay(ids, embeddings)
    assert layout.starts.long().tolist() == [[1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 0]]
    assert layout.words()[1].long().tolist() == [[1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0]]
    hashes = embeddings._hash(ids[0], layout)
    assert hashes[1] == hashes[5] and hashes[1] != hashes[2]


def test_ngram_vectors_by_hand():
    """A unit gets the vectors of itself with the unit before it, with the one after it, and with both, if the corpus has them twice."""
    model = build(RnnModel, word_pooling="mean", ngram_vocab_size=30)
    embeddings = model.embeddings
    nn.init.zeros_(embeddings.ngram_embeddings.weight[0])
    model.set_word_vocabulary([[1, 2, 3], [5, 1, 2, 3], [1, 2], [2, 1]])

    def added(*rows):
        width = max(map(len, rows))
        ids = torch.tensor([[*row, *[9] * (width - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]).bool()
        with_ngrams = embeddings(ids, None, lay(ids, embeddings, mask))
        return (with_ngrams - embeddings.word_embeddings(ids)[mask]).split([len(row) for row in rows])

    whole, pair, reverse, unknown = added([5, 1, 2, 3, 7], [1, 2], [2, 1], [7, 8])
    # 2 after 1, 2 before 3, and 2 between them, but no other place is known from both sides
    assert torch.equal(unknown, torch.zeros(2, 6, dtype=torch.float64))
    assert_close(whole[1], added([4, 1, 2])[0][1])
    assert_close(added([1, 2, 3])[0][1], whole[2])
    # the start of a row is a neighbour too: 1 begins two rows
    assert not torch.equal(pair[0], added([4, 1, 2])[0][1])
    assert torch.equal(reverse[0], torch.zeros(6, dtype=torch.float64)) and (pair[1] != 0).all()


def test_words_with_vectors_that_are_known():
    """A word given by its pieces has its vector in any row; rows that are no single word have none, and of two the first counts."""
    model = build(RnnForTokenClassification, word_pooling="mean", word_vocab_size=3)
    embeddings = model.model.embeddings
    nn.init.zeros_(embeddings.whole_word_embeddings.weight[0])
    vectors = torch.arange(36, dtype=torch.float64).view(6, 6)
    # words of one piece and of two, two words, none, the first again, and one for which there is no room
    assert model.set_word_vectors([[3], [2, 15], [1, 2], [], [3], [4, 16]], vectors) == 3
    ids = torch.tensor([[1, 2, 15, 4, 16, 3]])
    own = embeddings(ids, None, lay(ids, embeddings))
    model.set_word_vectors([], vectors[:0])
    without = embeddings(ids, None, lay(ids, embeddings))
    assert_close(own - without, torch.stack([torch.zeros(6).double(), vectors[1], vectors[5], vectors[0]]))


def test_ngrams_see_no_other_row():
    """Rows alone equal rows in batches, however they are padded, with vectors of n-grams."""
    model = build(RnnForTokenClassification, word_pooling="rnn", ngram_vocab_size=40).eval()
    rows = next(rows_and_batches())[0]
    model.set_word_vocabulary([row.tolist() for row in rows], min_frequency=1)
    for rows, ids, mask, order, places in rows_and_batches():
        logits = model(ids, mask).logits
        for index, row in enumerate(order):
            assert_close(logits[index, places[index]], model(rows[row][None]).logits[0])
