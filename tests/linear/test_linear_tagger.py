"""Fitting the linear tagger: the moves of its chain, its answers, and what it is worth beside a recurrence."""

import pytest
import torch
from datasets import Dataset

from hf_rnn import RnnConfig, RnnForTokenClassification
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.linear import tagger as linear_tagger
from hf_rnn.models.crf import LinearChainCRF
from hf_rnn.models.packing import pad_batches

pytestmark = pytest.mark.lowest

SENTENCES = [["a", "dog", "runs"], ["the", "cat", "sits"], ["a", "bird", "sings"], ["dogs", "run"], ["the", "birds", "sing"]] * 3
TAGS = [[0, 1, 2], [0, 1, 2], [0, 1, 2], [1, 2], [0, 1, 2]] * 3


def make_fit(use_crf):
    """Return a small tagger with what fits its linear part, and its rows."""
    tokenizer = train_tokenizer([" ".join(words) for words in SENTENCES], "bpe", 40)
    config = RnnConfig(vocab_size=len(tokenizer), embedding_size=4, hidden_size=4, num_labels=3, pad_token_id=0, use_crf=use_crf)
    model = RnnForTokenClassification(config).eval()
    model.set_piece_types(tokenizer)
    ids = tokenizer(SENTENCES, is_split_into_words=True)
    labels = []
    for row, tags in enumerate(TAGS):
        words = ids.word_ids(row)
        firsts = [word is not None and word not in words[:place] for place, word in enumerate(words)]
        labels.append([tags[word] if first else -100 for word, first in zip(words, firsts, strict=True)])
    rows = Dataset.from_dict({"input_ids": ids["input_ids"], "labels": labels})
    return linear_tagger.TaggerFit(model, tokenizer, 1000), rows


@pytest.mark.parametrize("use_crf", [False, True])
def test_fit_and_refit(use_crf):
    """With or without validation rows it answers as the rows do; factors and penalty stay when it is fitted again."""
    for validation in (False, True):
        fit, rows = make_fit(use_crf)
        before = fit.model.classifier.weight.clone()
        fit.fit(rows, rows if validation else None)
        assert torch.allclose(fit.model.classifier.weight, float(fit.factors[1]) * before)
        kept = (fit.factors.tolist(), fit.penalty)
        for _ in range(2):
            for (ids, mask), labels in zip(pad_batches(rows["input_ids"], 1), rows["labels"], strict=True):
                answers = fit.model(ids, mask).logits.argmax(-1)[0]
                assert [a for a, label in zip(answers.tolist(), labels, strict=True) if label != -100] == [t for t in labels if t != -100]
            fit.refit(rows.select(range(10)), rows.select(range(10, 15)))
        assert (fit.factors.tolist(), fit.penalty) == kept
        assert fit.model.config.linear_size == len(fit.model.linear.keys)


def test_what_the_recurrence_says_is_what_the_model_says_without_a_linear_part():
    """Also where it looks ahead."""
    for fields in ({}, {"bidirectional": False, "lookahead": 2}):
        fit, rows = make_fit(False)
        fit.model = RnnForTokenClassification(RnnConfig(**{**fit.model.config.to_dict(), **fields})).eval()
        fit.model.set_piece_types(fit.model.model.embeddings.piece_types.tolist())
        for ids, mask in pad_batches(rows["input_ids"], 4):
            assert torch.equal(fit._emit(ids, mask), fit.model.train(False)(ids, mask).logits)


def test_the_fit_is_a_minimum():
    """Without rows no weight is left; with rows the gradient of loss and penalty vanishes where the fit ends."""
    fit, rows = make_fit(True)
    crf = LinearChainCRF(3)
    path, _ = fit._fit(rows, 0.1, 1.0)
    batches = list(fit._batches(rows, lambda ids, mask: path.look_up(fit._keys(path, ids, mask))))
    weight = linear_tagger.fit_field(batches, len(path.keys), crf, 3, 0.1).requires_grad_()
    total = sum(batch.loss(linear_tagger.sum_weights(batch.values, weight), crf) for batch in batches)
    total = total + 0.1 * sum(parameter.square().sum() for parameter in (weight, *crf.parameters()))
    grads = torch.autograd.grad(total, [weight, *crf.parameters()])
    assert max(grad.abs().max().item() for grad in grads) < 0.02
    assert linear_tagger.fit_field([], 5, None, 3, 0.1).abs().max() == 0
    # from the second tag to the third, never the other way
    assert crf.transitions[1, 2] > crf.transitions[2, 1]


@pytest.mark.parametrize("use_crf", [False, True])
def test_what_scores_are_worth(use_crf):
    """A tagger that was fitted to the rows is worth more on them than on rows with other tags; all that it has is times that."""
    fit, rows = make_fit(use_crf)
    path, crf = fit._fit(rows, 0.01, 1.0)
    wrong = [[(label + 1) % 3 if label != -100 and row % 3 == 0 else label for label in each] for row, each in enumerate(rows["labels"])]
    other = Dataset.from_dict({"input_ids": rows["input_ids"], "labels": wrong})
    (loss, right), (_, less) = (fit._judge(path, crf, validation) for validation in (rows, other))
    assert right > 1 > less
    scaled, chain = fit._fit(rows, 0.01, right)
    assert torch.allclose(scaled.weight, right * path.weight)
    batches = list(fit._batches(rows, lambda ids, mask: path.look_up(fit._keys(path, ids, mask))))
    found = sum(float(batch.loss(linear_tagger.sum_weights(batch.values, scaled.weight), chain)) for batch in batches)
    assert found == pytest.approx(loss, abs=1e-2)
    if use_crf:
        assert torch.allclose(chain.transitions, right * crf.transitions)


@pytest.mark.parametrize(("many", "penalty"), [(16, 0.001), (15, 0.1)])
def test_penalty_is_chosen_where_rows_are_few(many, penalty, monkeypatch):
    """Rows that agree want the weakest; of many rows the strongest is taken without trying."""
    monkeypatch.setattr(linear_tagger, "MANY_ROWS", many)
    fit, rows = make_fit(use_crf=False)
    assert len(rows) == 15
    fit.fit(rows, rows)
    assert fit.penalty == penalty
