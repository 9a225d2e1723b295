"""Shares of labels are learnt as shares: by the recurrence, by the linear part, and from whatever a file spells them as."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset, DatasetDict
from scipy.sparse import random as random_matrix
from tiny import assert_close, build

import hf_rnn
from hf_rnn import RnnForSequenceClassification
from hf_rnn.commands import text_classification
from hf_rnn.data.files.errors import DataError
from hf_rnn.data.rows.collator import SHARES
from hf_rnn.data.rows.labelled import labelled_texts
from hf_rnn.data.rows.shares import encode_shares, read_shares
from hf_rnn.linear.regression import fit_regression
from hf_rnn.linear.weighing import labels_of, negative_log_likelihood

SHARE = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])
SMALL = [
    "--hidden_size",
    "16",
    "--embedding_size",
    "8",
    "--num_hidden_layers",
    "1",
    "--vocab_size",
    "60",
]


def test_the_loss_is_that_of_each_class_by_its_share():
    """With and without weights of rows, with its gradient; shares of one class are that class; a row without a class counts nothing."""
    model = build(RnnForSequenceClassification, problem_type="single_label_classification").eval()
    ids, weights = torch.randint(1, 20, (3, 4)), torch.tensor([1.0, 3.0, 0.5])
    for given in (None, weights):
        loss = model(ids, labels=SHARE, sample_weights=given).loss
        each = torch.ones(3) if given is None else given
        apart = sum(model(ids, labels=torch.full((3,), label), sample_weights=SHARE[:, label].double() * each).loss for label in range(3))
        assert_close(loss, apart)
        assert_close(*(torch.autograd.grad(value, model.classifier.weight)[0] for value in (loss, apart)))
    assert_close(model(ids, labels=torch.eye(3)[[2, 0, 1]]).loss, model(ids, labels=torch.tensor([2, 0, 1])).loss)
    with_none = torch.cat([SHARE[:2], torch.zeros(1, 3)])
    assert_close(model(ids, labels=with_none).loss, model(ids[:2], labels=SHARE[:2]).loss)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_regression_of_shares_is_one_of_weighted_rows(classes):
    """A row of shares is as many rows as it has classes, each weighted by its share."""
    generator = np.random.default_rng(0)
    design = random_matrix(40, 12, 0.4, format="csr", random_state=0)
    shares = generator.dirichlet(np.ones(classes) / 2, 40)
    rows, labels = np.divmod(np.arange(40 * classes), classes)
    soft = fit_regression(design, shares, 3.0, classes)
    hard = fit_regression(design[rows], labels, 3.0, classes, sample_weights=shares.ravel())
    logits = [design @ weight + bias for weight, bias in (soft, hard)]
    probabilities = [torch.tensor(each).softmax(1).numpy() for each in logits]
    np.testing.assert_allclose(*probabilities, atol=2e-3)
    assert negative_log_likelihood(logits[0], shares) == pytest.approx(negative_log_likelihood(logits[0][rows], labels, shares.ravel()))


def votes(rows=300):
    """Return texts of which some words leave annotators of two minds; a third label never has the most votes."""
    kinds = [("good", {"pos": 5}), ("bad", {"neg": 5}), ("odd", {"pos": 3, "neg": 2}), ("dull", {"neg": 3, "meh": 2})]
    return [{"text": f"a {word} film {number % 7}", "label": cell} for number in range(rows // 4) for word, cell in kinds]


def write(path, rows):
    """Write rows as JSON lines, or as a table whose cells are JSON."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pd.DataFrame([{**row, "label": json.dumps(row["label"])} for row in rows]).to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_scores_are_the_shares(tmp_path, suffix):
    """A model of votes is as sure as people were, which one of the likeliest labels is not; both parts are so fitted."""
    file = write(tmp_path / f"votes{suffix}", votes())
    more = ["--train_file", file, "--validation_file", file, "--num_train_epochs", "8", "--learning_rate", "0.02", *SMALL]
    text_classification.main([*more, "--do_train", "--do_eval", "--output_dir", str(tmp_path / "run")])
    predictor = hf_rnn.load(str(tmp_path / "run"))
    assert predictor.decoder.labels == ["meh", "neg", "pos"] and predictor.model.config.linear_size > 0
    logits = predictor.decoder.logits(["a good film 3", "a odd film 3", "a dull film 3"])
    found = torch.stack(list(logits)).softmax(-1)
    expected = torch.tensor([[0, 0, 1], [0, 0.4, 0.6], [0.4, 0.6, 0]])
    assert (found - expected).abs().max() < 0.1


def test_rows_of_python(tmp_path):
    """Lists of rows and frames hold objects too; a test split is measured against the likeliest label."""
    result = hf_rnn.train(
        train=votes(80),
        validation=votes(40),
        test=pd.DataFrame(votes(40)),
        output_dir=str(tmp_path / "run"),
        num_train_epochs=1.0,
        **{"hidden_size": 8, "embedding_size": 8, "num_hidden_layers": 1},
    )
    assert 0 <= result.metrics["test_accuracy"] <= 1


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"pos": -1, "neg": 2}, r"row 1, column 'label': a label must have a number from 0 to 1e\+09, got -1.* of 'pos'. Correct it"),
        ({"pos": 10**400}, r"row 1, column 'label': a label must have a number from 0 to 1e\+09"),
        ({" ": 1, "pos": 2}, r"row 1, column 'label': a label must have a number .* of ''"),
        ({"pos": 0, "neg": 0}, r"row 1, column 'label': no label has a share above 0"),
        ("pos", r"row 1, column 'label': other rows have shares of labels.*got 'pos'. Write all in one form"),
    ],
)
def test_cells_that_are_no_shares(cell, message):
    """The row, the value and the remedy."""
    cells = [json.dumps({"pos": 2, "neg": 1}), cell if isinstance(cell, str) else json.dumps(cell)]
    with pytest.raises(DataError, match=message):
        read_shares(DatasetDict(train=Dataset.from_dict({"label": cells})), "label")


def test_shares_are_of_one_and_ties_are_the_first(tmp_path):
    """Votes are divided by their number; what no row names has none."""
    assert read_shares(DatasetDict(train=Dataset.from_dict({"label": ['{"a ": 2, "a": 1, "b": 2}']})), "label")["train"]["label"] == ["a"]
    rows = Dataset.from_list([{"label": {"b": 2, "a": 2}}, {"label": {"a": 1, "c": 3}}])
    read = read_shares(DatasetDict(train=rows), "label")["train"]
    assert [{each["label"]: each["share"] for each in cell} for cell in read[SHARES]] == [{"b": 0.5, "a": 0.5}, {"a": 0.25, "c": 0.75}]
    assert read["label"] == [next(iter(rows[0]["label"])), "c"]
    rows = rows.add_column("text", ["x", "y"])
    # what checks labels and the other models of a learning curve read
    assert labelled_texts(rows, "train", "text", "label", has_tags=False) == list(zip("xy", read["label"], strict=True))


def test_rows_without_shares():
    """Those that others add are of their class alone, or of none where a teacher alone answers; unknown classes are named."""
    label2id, told = {"a": 0, "b": 1}, [{"label": "a", "share": 0.25}, {"label": "b", "share": 0.75}]
    assert encode_shares([told, None, None], [1, 0, -100], label2id, "label", "train", [0, 1, 2]) == [[0.25, 0.75], [1.0, 0.0], [0.0, 0.0]]
    with pytest.raises(DataError, match=r"train row 4.*unknown label 'b'; known are \['a'\]"):
        encode_shares([told], [0], {"a": 0}, "label", "train", [4])
    rows = Dataset.from_dict({"labels": [1, 0], SHARES: [[0.25, 0.75], None]})
    assert labels_of(rows).tolist() == [[0.25, 0.75], [1.0, 0.0]]
    assert labels_of(rows.remove_columns(SHARES)).tolist() == [1, 0]


def test_smoothing_is_refused(tmp_path, capsys):
    """Labels that are soft already are not smoothed."""
    file = write(tmp_path / "votes.jsonl", votes(40))
    with pytest.raises(ValueError, match="those of the rows are soft already"):
        text_classification.main(
            ["--train_file", file, "--do_train", "--label_smoothing_factor", "0.1", "--output_dir", str(tmp_path / "run"), *SMALL]
        )
