"""Probabilities of spans equal sums over a list of all paths, whatever a row stands beside."""

import pytest
import torch
from test_crf import LABELS, paths_of, random_crf

from hf_rnn import RnnConfig, RnnForTokenClassification
from hf_rnn.models.posteriors import LEAD, going_on, span_kinds, span_scores


def spans_on(path: tuple[int, ...], goes_on: list[list[bool]]) -> list[tuple[int, int]]:
    """Return the first word and the one after the last of each span of a path; words outside spans are spans of their own."""
    starts = [place for place, tag in enumerate(path) if place == 0 or not goes_on[path[place - 1]][tag]]
    return list(zip(starts, [*starts[1:], len(path)], strict=True))


@pytest.mark.parametrize("labels", [LABELS, ["O", "B-X", "I-X", "B-Y", "I-Y"], ["N", "V", "D"]], ids=["one kind", "two kinds", "no scheme"])
def test_probabilities_equal_enumeration(labels):
    """That of a span is the share of the paths that have it, with these tags and these borders; the best path stays the best."""
    torch.manual_seed(1)
    goes_on = going_on(torch.tensor(span_kinds(labels))).tolist()
    for turn in range(40):
        crf = random_crf(len(labels), "bio" if labels is LABELS and turn % 2 else None, scale=0.7)
        emissions, lengths = torch.randn(3, 5, len(labels), dtype=torch.float64), torch.tensor([5, 3, 1])
        with torch.no_grad():
            scores = span_scores(crf, emissions, lengths, torch.tensor(goes_on))
        best = scores.argmax(2)
        assert torch.equal(best, crf.max_marginals(emissions, lengths).argmax(2))
        for row, length in enumerate(lengths.tolist()):
            paths = paths_of(crf, emissions[row, :length])
            weights = dict(zip(paths, torch.stack(list(paths.values())).softmax(0).tolist(), strict=True))
            path = tuple(best[row, :length].tolist())
            found = scores[row].softmax(1).amax(1)
            for first, end in spans_on(path, goes_on):
                share = sum(
                    weight
                    for other, weight in weights.items()
                    if other[first:end] == path[first:end] and (first, end) in spans_on(other, goes_on)
                )
                # no tag beats that of the path
                expected = max(share, 1 / (len(labels) * LEAD**2))
                assert found[first:end].tolist() == pytest.approx([expected] * (end - first), abs=1e-9)


def test_who_goes_on():
    """As spans are read from tags: inside and end after begin and inside of their own kind, in any order of labels."""
    labels = ["S-X", "I-Y", "O", "B-X", "E-X", "B-Y", "I-X", "NOUN"]
    goes_on = going_on(torch.tensor(span_kinds(labels)))
    found = {(before, after) for row, before in enumerate(labels) for column, after in enumerate(labels) if goes_on[row, column]}
    inside = {(f"{letter}-X", after) for letter in "BI" for after in ("I-X", "E-X")}
    assert found == inside | {("B-Y", "I-Y"), ("I-Y", "I-Y")}


def test_a_row_alone_and_beside_others():
    """The same to the last bits of what rows in a batch, padded or not, share; nothing behind a row counts."""
    crf, labels = random_crf(3, "bio"), going_on(torch.tensor(span_kinds(LABELS)))
    emissions, lengths = torch.randn(4, 9, 3, dtype=torch.float64), torch.tensor([9, 0, 4, 1])
    together = span_scores(crf, emissions, lengths, labels)
    assert not together[1].any() and not together[2, 4:].any()
    for row, length in enumerate(lengths.tolist()):
        alone = span_scores(crf, emissions[row : row + 1, :length], lengths[row : row + 1], labels)[0]
        assert torch.allclose(alone, together[row, :length], atol=1e-9)
    assert span_scores(crf, emissions[:0], lengths[:0], labels).shape == (0, 9, 3)


def test_forwards_and_backwards_sum_over_all_paths():
    """At every position the sum of both is the log-sum of all paths once tags are summed over."""
    crf = random_crf(3)
    emissions = torch.randn(1, 6, 3, dtype=torch.float64)
    alpha, beta = crf.forward_backward(emissions, torch.tensor([6]))
    total = torch.stack(list(paths_of(crf, emissions[0]).values())).logsumexp(0)
    assert (alpha + beta)[0].logsumexp(1).tolist() == pytest.approx([total.item()] * 6, abs=1e-9)


def test_long_rows_and_sure_ones():
    """Neither 2,000 words nor scores that leave nothing to others make a number that is none; in half precision too."""
    crf, goes_on = random_crf(3, "bio"), going_on(torch.tensor(span_kinds(LABELS)))
    for scale in (1, 200):
        scores = span_scores(crf, torch.randn(1, 2000, 3, dtype=torch.float64) * scale, torch.tensor([2000]), goes_on)
        assert scores.isfinite().all() and (scores.softmax(2).amax(2) <= 1).all()
    scores = span_scores(crf.float(), torch.randn(2, 7, 3).bfloat16(), torch.tensor([7, 3]), goes_on)
    assert scores.dtype == torch.bfloat16 and scores.isfinite().all()


def test_a_model_says_which_scores_it_has():
    """Labels are the same with both; a checkpoint of before has max-marginals, as its thresholds need."""
    sizes = {"vocab_size": 30, "embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1}
    sizes |= {"id2label": dict(enumerate(LABELS)), "use_crf": True, "crf_constraints": "bio"}
    before, now = (RnnForTokenClassification(RnnConfig(**sizes, **more)).eval() for more in ({}, {"span_scores": True}))
    now.load_state_dict(before.state_dict())
    ids = torch.randint(1, 30, (4, 12))
    with torch.no_grad():
        logits = [model(ids).logits for model in (before, now)]
    assert torch.equal(logits[0].argmax(2), logits[1].argmax(2)) and not torch.equal(*logits)
