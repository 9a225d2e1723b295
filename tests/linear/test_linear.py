"""Fitting the linear model: what it answers, what it is worth beside a recurrence, and that validation rows stay unseen until the end."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from hf_rnn import RnnConfig, RnnForSequenceClassification
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.linear import classifier as linear
from hf_rnn.linear import regression, weighing
from hf_rnn.linear.choice import choose_linear_fit
from hf_rnn.linear.design import design_matrix, telling_weights, weigh_columns
from hf_rnn.models.packing import pad_batches

pytestmark = pytest.mark.lowest

TEXTS = ["good film", "very good", "good good acting", "fine film", "bad film", "very bad", "bad bad acting", "poor film"] * 3
LABELS = [0, 0, 0, 0, 1, 1, 1, 1] * 3


def make_tokenizer():
    """Return a small tokenizer."""
    return train_tokenizer(TEXTS, "bpe", 60)


def make_fit(num_labels=2, problem=None):
    """Return a small classifier with what fits its linear model, and its rows."""
    tokenizer = make_tokenizer()
    sizes = {"vocab_size": len(tokenizer), "embedding_size": 4, "hidden_size": 4, "pad_token_id": 0}
    config = RnnConfig(**sizes, num_labels=num_labels, problem_type=problem)
    model = RnnForSequenceClassification(config).eval()
    model.set_piece_types(tokenizer)
    rows = Dataset.from_dict({"input_ids": tokenizer(TEXTS)["input_ids"], "labels": LABELS})
    return linear.ClassifierFit(model, tokenizer, 10_000), rows


def test_regression_is_that_of_scikit_learn():
    """Two classes, several, one that no row has, and one alone."""
    design = TfidfVectorizer().fit_transform(TEXTS)
    for labels, classes in ((LABELS, 2), (LABELS, 3), ([0, 1, 2, 3] * 6, 4)):
        weight, bias = regression.fit_regression(design, np.array(labels), 4.0, classes)
        expected = LogisticRegression(C=4.0, max_iter=1000, tol=1e-8).fit(design, labels)
        logits = design @ weight + bias
        assert logits.argmax(1).tolist() == expected.predict(design).tolist()
        present = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        assert np.allclose(present[:, : len(set(labels))], expected.predict_proba(design), atol=0.005)
    weight, bias = regression.fit_regression(design, np.ones(len(TEXTS), dtype=int), 1.0, 3)
    assert not weight.any()
    assert bias.argmax() == 1


@pytest.mark.parametrize("weighs", [False, True])
def test_regressions_of_several_labels_are_those_of_scikit_learn(weighs):
    """Each label has one of its own, with weights of its own; one that no row has is never the answer, one that all rows have always is."""
    generator = np.random.default_rng(0)
    design = TfidfVectorizer().fit_transform(TEXTS)
    labels = np.hstack([generator.integers(0, 2, (len(TEXTS), 3)), np.zeros((len(TEXTS), 1)), np.ones((len(TEXTS), 1))]).astype(float)
    weights = generator.uniform(0.2, 2, labels.shape) if weighs else None
    weight, bias = regression.fit_regression(design, labels, 4.0, 5, sample_weights=weights, problem="multi_label_classification")
    logits = design @ weight + bias
    for place in range(3):
        own = None if weights is None else weights[:, place]
        expected = LogisticRegression(C=4.0, max_iter=1000, tol=1e-8).fit(design, labels[:, place], own)
        assert np.allclose(1 / (1 + np.exp(-logits[:, place])), expected.predict_proba(design)[:, 1], atol=0.005)
    assert (logits[:, 3] == regression.ABSENT).all() and (logits[:, 4] == -regression.ABSENT).all()
    nothing = regression.fit_regression(design, labels[:, 3:], 4.0, 2, problem="multi_label_classification")
    assert not nothing[0].any() and nothing[1].tolist() == [regression.ABSENT, -regression.ABSENT]


def test_one_label_that_a_row_may_have():
    """It has a regression too, as one of two classes has."""
    design = TfidfVectorizer().fit_transform(TEXTS)
    weight, bias = regression.fit_regression(design, np.array(LABELS, dtype=float)[:, None], 4.0, 1, problem="multi_label_classification")
    two, offset = regression.fit_regression(design, np.array(LABELS), 4.0, 2)
    np.testing.assert_allclose(design @ weight + bias, (design @ two + offset) @ [[-1], [1]], atol=0.02)


@pytest.mark.parametrize("weighs", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_numbers_have_the_ridge_regression_of_scikit_learn(weighs, scale):
    """Whatever their unit and where their zero is; equal numbers are answered as they are."""
    generator = np.random.default_rng(0)
    design = TfidfVectorizer().fit_transform(TEXTS)
    labels = scale * (design @ generator.normal(size=design.shape[1]) + generator.normal(size=len(TEXTS)) + 5)
    weights = generator.uniform(0.2, 2, len(TEXTS)) if weighs else None
    weight, bias = regression.fit_regression(design, labels, 2.0, 1, sample_weights=weights, problem="regression")
    expected = Ridge(alpha=0.5).fit(design.toarray(), labels, weights).predict(design.toarray())
    np.testing.assert_allclose((design @ weight + bias)[:, 0], expected, atol=0.02 * scale)
    weight, bias = regression.fit_regression(design, np.full(len(TEXTS), 7.0), 2.0, 1, problem="regression")
    np.testing.assert_allclose(design @ weight + bias, 7.0)


def test_penalty_is_weak_where_rows_agree_and_strong_where_labels_are_noise():
    """What held-out folds say."""
    design = TfidfVectorizer().fit_transform(TEXTS)
    noise = np.random.default_rng(0).integers(0, 2, len(TEXTS))
    assert regression.choose_penalty([design], np.array(LABELS), 2)[0] == 256.0
    assert regression.choose_penalty([design], noise, 2)[0] == 4.0
    several, noises = np.eye(2)[LABELS], np.random.default_rng(0).integers(0, 2, (len(TEXTS), 2))
    assert regression.choose_penalty([design], several, 2, problem="multi_label_classification")[0] == 256.0
    assert regression.choose_penalty([design], noises.astype(float), 2, problem="multi_label_classification")[0] == 4.0
    assert regression.choose_penalty([design], np.array(LABELS, dtype=float), 1, problem="regression")[0] == 8.0
    assert regression.choose_penalty([design], noise.astype(float), 1, problem="regression")[0] == 0.5


@pytest.mark.parametrize("problem", [None, "multi_label_classification"])
def test_what_held_out_rows_say_logits_are_worth(problem):
    """Less where labels are partly noise, on the scale that the best penalty has; as they are where there is nothing to go by."""
    generator = np.random.default_rng(0)
    kinds = [csr_matrix(abs(generator.normal(size=(300, 40))) * (generator.random((300, 40)) < 0.2))]
    clear = (kinds[0] @ generator.normal(size=40) > 0).astype(int)
    noisy = np.where(generator.random(300) < 0.4, 1 - clear, clear)
    (weak, clear_worth), (strong, noisy_worth) = (
        regression.choose_penalty(kinds, np.eye(2)[labels] if problem else labels, 2, problem=problem) for labels in (clear, noisy)
    )
    assert weak > strong and clear_worth > 1.5 * noisy_worth
    labels = np.eye(2) if problem else np.array([0, 1])
    assert regression.choose_penalty([kinds[0][:2]], labels, 2, problem=problem) == (4.0, pytest.approx(1.0, abs=0.01))


def test_rows_of_what_a_fold_has_not_seen():
    """They have a class, or a label, that no row of the fit had, or lack one that all had."""
    never, always = regression.ABSENT, -regression.ABSENT
    assert regression._are_known(np.array([0, 1, 2]), np.array([0.5, never, 1.0]), None).tolist() == [True, False, True]
    assert regression._are_known(np.array([[0.5, 0.5], [1, 0]]), np.array([0.5, never]), None).tolist() == [False, True]
    several, bias = np.array([[1.0, 0, 1], [0, 1, 1], [1, 0, 0]]), np.array([0.5, never, always])
    assert regression._are_known(several, bias, "multi_label_classification").tolist() == [True, False, False]
    assert regression._are_known(np.array([2.0, 3.0]), np.array([never]), "regression").all()


def plain_weights(counts, labels):
    """Return the weights of the features of one kind, whose counts in rows are given."""
    weights = []
    for feature in range(counts.shape[1]):
        ratios = []
        for label in sorted(set(labels)):
            shares = []
            for chosen in (labels == label, labels != label):
                rows_with = [1 + sum(counts[row, each] > 0 for row in np.flatnonzero(chosen)) for each in range(counts.shape[1])]
                shares.append(rows_with[feature] / sum(rows_with))
            ratios.append(abs(np.log(shares[0] / shares[1])))
        weights.append(max(ratios) ** 0.5)
    return np.array(weights)


def test_features_weigh_what_they_tell():
    """Log-count ratios as a plain loop has them, of each kind by itself; the path reads other rows as it was fitted."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 12)
    parts = [draw.integers(0, 3, (12, size)) * (np.arange(12) > 0)[:, None] for size in (4, 6)]
    kinds = [csr_matrix(np.hstack([parts[0], np.zeros((12, 7))])), csr_matrix(np.hstack([np.zeros((12, 4)), parts[1], np.zeros((12, 1))]))]
    weights = telling_weights(kinds, labels)
    assert np.allclose(weights, np.hstack([plain_weights(part, labels) for part in parts] + [[0.0]]))
    assert telling_weights(kinds, np.zeros(12, dtype=int)).tolist() == [1.0] * 10 + [0.0]
    # of several labels those that no row has, or all, tell nothing
    several = np.hstack([np.eye(3)[labels], np.zeros((12, 1)), np.ones((12, 1))])
    assert np.allclose(telling_weights(kinds, several), weights)
    assert telling_weights(kinds, several[:, 3:]).tolist() == [1.0] * 10 + [0.0]
    fit, rows = make_fit()
    _, kinds = fit._features(rows)
    expected = weigh_columns(kinds, telling_weights(kinds, np.array(LABELS)))
    assert abs(design_matrix(fit._fit_path(rows), rows["input_ids"]) - expected).max() < 1e-6


def test_fit_and_refit():
    """The path answers as the regression, its factor stays, and the recurrence counts for little without validation rows."""
    fit, rows = make_fit()
    before = fit.model.classifier.weight.clone()
    fit.fit(rows, None)
    assert torch.allclose(fit.model.classifier.weight, weighing.FROM_LABELS.recurrence * before)
    ids, mask = next(pad_batches(rows["input_ids"]))
    assert fit.model(ids, mask).logits.argmax(1).tolist() == LABELS
    first, penalty = fit.model.linear, fit.penalty
    fit.refit(rows.select(range(8)), rows.select(range(8, 16)))
    assert fit.penalty == penalty
    assert fit.model.linear is not first
    assert fit.model.config.linear_size == len(fit.model.linear.keys)


@pytest.mark.parametrize(("name", "most"), [("MOST_PRODUCTS", 100), ("MOST_WEIGHTS", 2**13 - 1)])
def test_many_classes(name, most, monkeypatch, caplog):
    """Where classes and rows are too many none is fitted, with a word, unless it is asked for; the recurrence stays as it is."""
    fit, rows = make_fit()
    monkeypatch.setattr(linear, name, most)
    before = fit.model.classifier.weight.clone()
    open_fit = linear.ClassifierFit(fit.model, make_tokenizer(), 10_000, is_asked=False)
    open_fit.fit(rows, None)
    open_fit.refit(rows, rows)
    assert not hasattr(fit.model, "linear") and torch.equal(fit.model.classifier.weight, before)
    assert caplog.text.count("24 rows of 2 classes take a linear model too long: it is left out. --linear_size") == 1
    fit.fit(rows, None)
    assert fit.model.config.linear_size
    # a choice would take too long as well
    assert fit.penalty == linear.USUAL_PENALTY or name == "MOST_WEIGHTS"


def test_fewer_features_where_all_take_too_long(monkeypatch, caplog):
    """What is left out is said, and the evaluations of the fit stay within their limit, of a refit too; what is asked for is fitted."""
    fit, rows = make_fit()
    fit.fit(rows, None)
    found, (_, kinds) = fit.model.config.linear_size, fit._features(rows)
    monkeypatch.setattr(linear, "LEAST_FEATURES", 4)
    monkeypatch.setattr(linear, "MOST_PRODUCTS", 2 * (sum(kind.nnz for kind in kinds) + 10 * linear.OF_WEIGHT))
    fit.fit(rows, None)
    assert fit.model.config.linear_size == found
    small = linear.ClassifierFit(fit.model, make_tokenizer(), 10_000, is_asked=False)
    small.fit(rows, None)
    assert fit.model.config.linear_size == 10
    small.refit(rows, rows)
    assert fit.model.config.linear_size == 10
    told = f"The linear model has 10 of {found} n-grams: with 2 classes more take too long. --linear_size asks for more"
    assert caplog.text.count(told) == 1


def test_validation_rows_choose_the_factors(monkeypatch):
    """Logits that are wrong make the recurrence count for less than logits that are right."""
    shares = []
    for sign in (1, -1):
        fit, rows = make_fit()
        before = fit.model.classifier.weight.clone()
        monkeypatch.setattr("hf_rnn.linear.classifier.logits_of", lambda model, rows, sign=sign: sign * (np.eye(2)[LABELS] * 4 - 2))
        fit.fit(rows.select(range(8)), rows)
        shares.append((fit.model.classifier.weight / before).mean().item() / fit.factor)
    assert shares[0] > weighing.FROM_LABELS.recurrence > shares[1]


@pytest.mark.parametrize(("validation", "is_known", "is_kept"), [(24, True, True), (24, False, False), (0, True, False)])
def test_one_that_must_pay(validation, is_known, is_kept, monkeypatch, caplog):
    """It stands beside a recurrence that knows less on validation rows, not beside one that knows more; one that is left out stays so."""
    fit, rows = make_fit()
    before = fit.model.classifier.weight.clone()
    fit.must_pay = True
    # labels of which the linear model knows all or nothing, and a recurrence that has three of four right
    labels = np.array(LABELS) if is_known else np.random.default_rng(0).permutation(LABELS)
    logits = (np.eye(2)[labels] * 2 - 1) * np.where(np.arange(24) % 4, 1, -1)[:, None]
    monkeypatch.setattr("hf_rnn.linear.classifier.logits_of", lambda model, rows: logits)
    fit.fit(rows, rows.remove_columns("labels").add_column("labels", labels) if validation else None)
    fit.refit(rows, rows)
    assert bool(fit.model.config.linear_size) == hasattr(fit.model, "linear") == is_kept
    assert torch.equal(fit.model.classifier.weight, before) != is_kept
    assert ("24 validation rows no likelier, beyond chance, and is left out" in caplog.text) == (not is_known)


def test_what_is_left_out_leaves_a_temperature(monkeypatch):
    """Scores of a recurrence alone are divided by one, whatever left the linear model out."""
    for name in ("pays", "MOST_WEIGHTS"):
        fit, rows = make_fit()
        rows = Dataset.from_dict({name: [*values, *values, *values] for name, values in rows.to_dict().items()})
        monkeypatch.setattr(linear, name, (lambda *_: False) if name == "pays" else 1)
        before = fit.model.classifier.weight.clone()
        fit = linear.ClassifierFit(fit.model, make_tokenizer(), 10_000, is_asked=False, must_pay=True)
        fit.fit(rows, rows)
        ratio = fit.model.classifier.weight / before
        assert not fit.model.config.linear_size and torch.allclose(ratio, ratio.mean()) and abs(ratio.mean() - 1) > 1e-4


@pytest.mark.parametrize("has_validation", [True, False])
def test_numbers(has_validation, monkeypatch):
    """Model and linear model each say how far from the mean a row is; together they know what neither does alone."""
    fit, rows = make_fit(1, "regression")
    numbers = 100 + 10 * np.array(LABELS) + np.arange(24) % 3
    rows = rows.remove_columns("labels").add_column("labels", numbers.astype(float))
    known = {"input_ids": rows["input_ids"], "labels": rows["labels"]}
    outputs = (100 + np.random.default_rng(0).normal(0, 5, 24))[:, None]
    monkeypatch.setattr("hf_rnn.linear.classifier.logits_of", lambda model, rows: outputs)
    before = fit.model.classifier.weight.clone()
    fit.fit(rows, Dataset.from_dict(known) if has_validation else None)
    share = (fit.model.classifier.weight / before).mean().item()
    assert share == pytest.approx(weighing.FROM_LABELS.recurrence, rel=1e-4) or (has_validation and share < 0.1)
    ids, mask = next(pad_batches(rows["input_ids"]))
    linear_part, _ = fit.model.linear.read(ids, mask.bool())
    # the recurrence adds its own distance from the mean
    mean = (linear_part.mean() + share * numbers.mean()).item()
    assert mean == pytest.approx(numbers.mean(), abs=0.5)
    fit.refit(rows, rows)
    assert fit.model.linear.read(ids, mask.bool())[0].mean().item() == pytest.approx(linear_part.mean().item(), abs=0.5)
    assert np.corrcoef(fit.model(ids, mask).logits[:, 0].detach(), numbers)[0, 1] > 0.95


def test_numbers_to_go_on_from_stay_where_they_are():
    """A model whose linear model goes answers near the mean of the numbers all the same."""
    fit, rows = make_fit(1, "regression")
    rows = rows.remove_columns("labels").add_column("labels", (1000.0 + np.array(LABELS)).tolist())
    fit.fit(rows, None)
    choose_linear_fit(fit.model, make_tokenizer(), None, 0, knows_more=False)
    ids, mask = next(pad_batches(rows["input_ids"]))
    assert not hasattr(fit.model, "linear")
    assert fit.model(ids, mask).logits.mean().item() == pytest.approx(1000, abs=150)
