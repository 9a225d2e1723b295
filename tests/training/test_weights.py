"""How much rows count: by a column, by their classes, and in both parts of a model alike."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

import hf_rnn
from hf_rnn import RnnConfig, RnnForSequenceClassification, RnnForTokenClassification
from hf_rnn.linear.classifier import weights_of
from hf_rnn.linear.regression import choose_penalty, fit_regression
from hf_rnn.training.weights import add_weights, check_weights

SMALL = {"vocab_size": 60, "embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "use_cpu": True, "disable_tqdm": True}
TINY = {"vocab_size": 20, "embedding_size": 6, "hidden_size": 6, "num_hidden_layers": 1}


def task_of(labels, has_tags=False, problem="single_label_classification"):
    """Return what weights ask of a task."""
    return SimpleNamespace(labels=labels, has_tags=has_tags, can_promise=problem.startswith("single"), problem=problem)


def options_of(weights=None, column=None, smoothing=0.0, streaming=False):
    """Return what weights ask of options."""
    data = SimpleNamespace(weight_column_name=column, streaming=streaming)
    return SimpleNamespace(data=data, training=SimpleNamespace(class_weights=weights, label_smoothing_factor=smoothing))


def weighed(task, labels, options, **columns):
    """Return the weights of rows with encoded labels."""
    raw = DatasetDict(train=Dataset.from_dict({"text": ["a"] * len(labels), **columns}))
    encoded = DatasetDict(train=Dataset.from_dict({"labels": labels}))
    rows = add_weights(task, raw, encoded, options)["train"]
    return np.array(rows["sample_weights"]) if "sample_weights" in rows.column_names else None


def test_weights_of_rows():
    """Balanced classes count alike, named ones as asked, a column beside that; on average it is 1."""
    task = task_of(["a", "b", "c"])
    balanced = weighed(task, [0, 0, 0, 1], options_of("balanced"))
    assert balanced[:3].sum() == pytest.approx(balanced[3]) and balanced.mean() == pytest.approx(1)
    named = weighed(task, [0, 0, 0, 1], options_of('{"b": 3}'))
    assert named[3] == pytest.approx(3 * named[0]) and named.mean() == pytest.approx(1)
    both = weighed(task, [0, 1], options_of({"b": 3}, "much"), much=[2, 1])
    assert both.tolist() == pytest.approx([0.8, 1.2])
    assert weighed(task, [0, 1], options_of(None, "much"), much=[3, None]).tolist() == pytest.approx([1.5, 0.5])
    assert weighed(task, [0, 1], options_of("none")) is None


def test_weights_of_tags_and_of_several_labels():
    """A row of tags has the mean of its words' kinds; of several labels those that a row has are weighted."""
    tags = weighed(task_of(["O", "B-x", "I-x"], has_tags=True), [[0, -100, 1, 2], [0, 0], [-100]], options_of({"x": 4}))
    assert (tags / tags[1]).tolist() == pytest.approx([3, 1, 1])
    balanced = weighed(task_of(["O", "B-x"], has_tags=True), [[0, 0, 0], [1, 0]], options_of("balanced"))
    assert balanced[1] > balanced[0]
    several = task_of(["a", "b"], problem="multi_label_classification")
    labels = [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    weights = weighed(several, labels, options_of("balanced"))
    assert np.allclose(weights / weights[1, 0], [[3, 1], [1, 1], [1, 1], [1, 1]])
    assert weighed(several, labels, options_of({"b": 2}, "much"), much=[1, 1, 1, 5])[3, 1] == pytest.approx(
        10 * weighed(several, labels, options_of({"b": 2}, "much"), much=[1, 1, 1, 5])[0, 0]
    )


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification", "regression"])
def test_a_row_of_weight_two_is_two_rows(problem):
    """In the loss of each kind of classifier."""
    torch.manual_seed(0)
    model = RnnForSequenceClassification(RnnConfig(**TINY, num_labels=1 if problem == "regression" else 3, problem_type=problem)).eval()
    ids = torch.randint(20, (3, 5))
    labels = {"single_label_classification": torch.tensor([0, 1, 2]), "regression": torch.rand(3)}.get(problem, torch.rand(3, 3).round())
    twice = torch.tensor([0, 1, 1])
    weighted = model(ids, labels=labels, num_items_in_batch=3, sample_weights=torch.tensor([1.0, 2.0, 0.0])).loss
    assert weighted.item() == pytest.approx(model(ids[twice], labels=labels[twice], num_items_in_batch=3).loss.item(), rel=1e-5)


@pytest.mark.parametrize("use_crf", [False, True])
def test_a_tagged_row_of_weight_two_is_two_rows(use_crf):
    """With a chain and without."""
    torch.manual_seed(0)
    model = RnnForTokenClassification(RnnConfig(**TINY, num_labels=3, use_crf=use_crf)).eval()
    ids, labels, twice = torch.randint(20, (3, 5)), torch.randint(3, (3, 5)), torch.tensor([0, 1, 1])
    weighted = model(ids, labels=labels, num_items_in_batch=15, sample_weights=torch.tensor([1.0, 2.0, 0.0])).loss
    assert weighted.item() == pytest.approx(model(ids[twice], labels=labels[twice], num_items_in_batch=15).loss.item(), rel=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_regression_with_weights_is_that_of_scikit_learn(classes):
    """Weights and biases are those that the same sample weights give there."""
    generator = np.random.default_rng(0)
    design, labels = csr_matrix(generator.random((60, 5))), generator.integers(classes, size=60)
    counts = generator.random(60) * 3
    weight, bias = fit_regression(design, labels, 4.0, classes, sample_weights=counts)
    expected = LogisticRegression(C=4.0, tol=1e-8, max_iter=2000).fit(design, labels, sample_weight=counts)
    logits = design @ weight + bias
    assert np.allclose(
        logits[:, -1] - logits[:, 0],
        np.subtract(*expected.decision_function(design).T[[-1, 0]]) if classes > 2 else expected.decision_function(design),
        atol=0.02,
    )
    assert choose_penalty([design], labels, classes, 2, counts)[0] in (4.0, 16.0, 64.0, 256.0)


def test_held_out_rows_have_the_weights_of_their_classes():
    """Where they are learnt from in the end; a class that no row with a weight has counts once."""
    rows = Dataset.from_dict({"labels": [0, 0, 1, 0, 1, 2], "sample_weights": [1.0, 3.0, 5.0, None, None, None]})
    assert weights_of(rows).tolist() == [1, 3, 5, 2, 5, 1]
    assert weights_of(rows.remove_columns("sample_weights")) is None


@pytest.mark.parametrize(("given", "wanted"), [([3.0, 1.0, None], [2, 3]), ([[3.0, 2.0], [1.0, 4.0], None], [2, 2])])
def test_held_out_rows_of_several_labels(given, wanted):
    """Each label that they have, or lack, counts as much as it does in the mean of the other rows that have, or lack, it."""
    rows = Dataset.from_dict({"labels": [[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]], "sample_weights": given})
    found = weights_of(rows)
    assert found.shape == (3, 2) and found[2].tolist() == wanted
    assert found[:2].tolist() == [np.broadcast_to(each, 2).tolist() for each in given[:2]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (options_of("[1, 2]"), "must be balanced, none, or numbers from 0 to"),
        (options_of('{"a": -1}'), "must be balanced, none, or numbers from 0 to"),
        (options_of('{"x": 1}'), "must name labels of the rows, \\['a', 'b'\\], got 'x'"),
        (options_of("balanced", smoothing=0.1), "do not go with `label_smoothing_factor`"),
        (options_of(column="much", streaming=True), "do not go with `streaming`"),
    ],
)
def test_wrong_options(options, message):
    """Are refused in a line."""
    with pytest.raises(ValueError, match=message):
        check_weights(task_of(["a", "b"]), options)


def test_wrong_rows():
    """A regression has no classes; a column that is not there, below 0, or 0 everywhere, says nothing."""
    with pytest.raises(ValueError, match="a regression has none"):
        check_weights(task_of(["value"], problem="regression"), options_of("balanced"))
    task = task_of(["a", "b"])
    with pytest.raises(ValueError, match="lack the column 'much'"):
        weighed(task, [0, 1], options_of(column="much"))
    with pytest.raises(ValueError, match="at least 0, got -1"):
        weighed(task, [0, 1], options_of(column="much"), much=[1, -1])
    with pytest.raises(ValueError, match="All training rows have the weight 0"):
        weighed(task, [0, 1], options_of(column="much"), much=[0, 0])


def test_a_run_with_weights(tmp_path):
    """Rows that count for nothing teach nothing: neither part takes the words of theirs for their class."""
    rows = [
        {"text": f"{word} film {number}", "label": label, "much": much}
        for number in range(12)
        for word, label, much in (("good", "yes", 1), ("bad", "no", 1), ("bad", "yes", 0))
    ]
    options = {**SMALL, "num_train_epochs": 2, "linear_size": 100, "weight_column_name": "much", "class_weights": {"no": 2}}
    answers = hf_rnn.train(train=rows, validation=rows[:12], output_dir=str(tmp_path / "m"), **options).predictor(
        ["good film 3", "bad film 3"]
    )
    assert [answer["label"] for answer in answers] == ["yes", "no"]
