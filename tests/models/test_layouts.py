"""A batch lies packed or padded: every operation on it means the same."""

import pytest
import torch

from hf_rnn.models.layouts import Packed, Padded
from hf_rnn.models.pieces import CONTINUATION, SPACE, SPECIAL, WORD_START
from hf_rnn.models.recurrence import new_recurrence

# kinds of ids 0 to 11
TYPES = torch.tensor(
    [SPECIAL, WORD_START, WORD_START, CONTINUATION, CONTINUATION, SPACE, *[WORD_START, CONTINUATION] * 3], dtype=torch.uint8
)


def draw(seed, by_words):
    """Return ids, a mask with holes, and the batch in both layouts."""
    generator = torch.Generator().manual_seed(seed)
    rows, length = (int(torch.randint(0, 7, (), generator=generator)) for _ in range(2))
    ids = torch.randint(len(TYPES), (rows, length), generator=generator)
    mask = torch.rand(rows, length, generator=generator) < 0.7
    return ids, mask, *(layout(mask, ids, TYPES if by_words else None) for layout in (Packed, Padded))


def words_of(ids, mask):
    """Return the words of each row as lists of ids, by a plain loop."""
    rows = []
    for row in [ids[index][mask[index]].tolist() for index in range(len(ids))]:
        words, last = [], None
        for piece in row:
            goes_on = TYPES[piece] in (CONTINUATION, SPACE) and words and last != SPECIAL
            words[-1].append(piece) if goes_on else words.append([piece])
            last = TYPES[piece]
        rows.append(words)
    return rows


def flat(units, layout):
    """Return units, (U, ...), of either layout row by row."""
    return units if isinstance(layout, Packed) else units[layout.units.exists]


@pytest.mark.parametrize("by_words", [True, False])
@pytest.mark.parametrize("seed", range(25))
def test_both_layouts_say_what_a_loop_says(seed, by_words):
    """Numbers, sums, first and largest pieces, hashes and neighbours of units; holes and empty rows and batches included."""
    ids, mask, *layouts = draw(seed, by_words)
    rows = words_of(ids, mask) if by_words else [[[piece] for piece in ids[row][mask[row]].tolist()] for row in range(len(ids))]
    words = [word for row in rows for word in row]
    vectors = torch.randn(len(TYPES), 3, dtype=torch.float64)
    before = [value for row in rows for value in [0, *(word[0] + 1 for word in row[:-1])][: len(row)]]
    after = [value for row in rows for value in [*(word[0] + 1 for word in row[1:]), 0][: len(row)]]
    for layout in layouts:
        pieces = layout.pieces(ids)
        assert flat(layout.sizes(), layout).tolist() == list(map(len, words))
        assert flat(layout.first(pieces), layout).tolist() == [word[0] for word in words]
        assert flat(layout.total(pieces), layout).tolist() == list(map(sum, words))
        found = (flat(each, layout) for each in (layout.total(vectors[pieces]), layout.largest(vectors[pieces])))
        for values, reduce in zip(found, (lambda v: v.sum(0), lambda v: v.amax(0)), strict=True):
            expected = [reduce(vectors[torch.tensor(word)]) for word in words]
            torch.testing.assert_close(values, torch.stack(expected) if expected else vectors[:0])
        neighbours = layout.neighbours(layout.first(pieces) + 1)
        assert [flat(each, layout).tolist() for each in neighbours] == [before, after]
    for mine, others in zip(layouts[0].words(), layouts[1].words(), strict=True):
        assert torch.equal(mine, others)
    hashes = [flat(layout.hash(layout.pieces(ids)), layout).tolist() for layout in layouts]
    assert hashes[0] == hashes[1] and len(set(hashes[0])) == len(set(map(tuple, words)))


@pytest.mark.parametrize("seed", range(10))
def test_units_go_to_their_positions_and_back(seed):
    """What is spread stands at every piece of its unit and nowhere else; what is gathered again is what was."""
    ids, mask, *layouts = draw(seed, by_words=True)
    spread = []
    for layout in layouts:
        x = layout.arrange(layout.total(torch.nn.functional.one_hot(layout.pieces(ids), len(TYPES)).double()))
        hidden = layout.spread(x)
        assert hidden[~mask].eq(0).all()
        back = layout.gather(hidden)
        assert torch.equal(back if isinstance(layout, Packed) else back[layout.units.exists], flat(x, layout))
        spread.append(hidden)
    assert torch.equal(*spread)


@pytest.mark.parametrize("training", [True, False])
def test_pieces_are_read_alike(training):
    """Last states over the pieces of words, the same in both layouts and while training."""
    ids, _, *layouts = draw(3, by_words=True)
    embed, recurrence = torch.nn.Embedding(len(TYPES), 4), new_recurrence("lstm", 4, 2, bidirectional=True).train(training)
    packed, padded = (flat(layout.read(recurrence, embed, layout.pieces(ids)), layout) for layout in layouts)
    assert len(packed) > 3
    torch.testing.assert_close(packed, padded)


@pytest.mark.parametrize("layout", [Packed, Padded])
def test_locked_dropout_drops_the_same_features_at_all_steps(layout):
    """Units of one row share a mask, rows differ, and the mean is kept."""
    laid = layout(torch.tensor([[True, True, True], [True, True, False]]))
    ones = torch.ones(2, 3, 1000)
    out = laid.spread(laid.dropout(laid.arrange(laid.pieces(ones)), 0.4))
    assert torch.equal(out[0, 0], out[0, 2]) and torch.equal(out[1, 0], out[1, 1]) and not torch.equal(out[0, 0], out[1, 0])
    kept = torch.cat([out[0], out[1, :2]])
    assert sorted(kept.unique().tolist()) == pytest.approx([0.0, 1 / 0.6]) and abs(kept.mean() - 1) < 0.1
