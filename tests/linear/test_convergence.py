"""What is fitted ends where it is least, says so where a limit ended it, and the linear part alone is that of scikit-learn."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import LabelBinarizer, Normalizer

from hf_rnn import RnnConfig, RnnForSequenceClassification
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.linear import classifier as linear
from hf_rnn.linear import convergence

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"


def quadratic(curvatures, best):
    """Return a loss with its gradient: a bowl, steep in some directions."""

    def objective(point):
        return float((curvatures * (point - best).square()).double().sum() / 2), curvatures * (point - best)

    return objective


def test_a_fit_ends_within_the_gap(caplog):
    """A bowl that is a thousand times as steep in one direction as in another; no line is written."""
    curvatures, best = torch.logspace(0, 3, 20), torch.linspace(-1, 1, 20)
    objective = quadratic(curvatures, best)
    for examples in (1, 1000):
        point = convergence.minimize(objective, torch.zeros(20), 1.0, examples, "The bowl")
        assert objective(point)[0] <= convergence.GAP * examples
    assert not caplog.records


def test_a_limit_is_told(caplog):
    """Too few iterations, a loss that only grows, and a search by values that is cut off."""
    objective = quadratic(torch.logspace(0, 3, 20), torch.linspace(-1, 1, 20))
    convergence.minimize(objective, torch.zeros(20), 1.0, 1, "The bowl", iterations=2)
    assert "The bowl ended by the limit of 2 iterations" in caplog.text
    caplog.clear()
    convergence.minimize(lambda point: (float(point.norm()), -torch.ones(2)), torch.zeros(2), 1.0, 1, "The hill")
    assert "The hill ended by the precision of its loss" in caplog.text
    caplog.clear()
    bowl = lambda pair: float(np.square(pair - 3).sum())  # noqa: E731
    assert convergence.search(bowl, np.ones(2), "The bowl") == pytest.approx(3, abs=0.01)
    assert not caplog.records
    convergence.search(bowl, np.ones(2), "The bowl", iterations=2)
    assert "The bowl ended by the limit of 2 iterations" in caplog.text


def test_a_long_fit_says_that_it_goes_on(caplog, monkeypatch):
    """A line an interval, with what is left to do."""
    monkeypatch.setattr(convergence, "QUIET", 0.0)
    convergence.minimize(quadratic(torch.logspace(0, 3, 20), torch.linspace(-1, 1, 20)), torch.zeros(20), 1.0, 1, "The bowl")
    assert "The bowl: 1 iterations in 0 s" in caplog.text


def test_a_fit_ends_where_it_no_longer_falls():
    """Far below what is proven, with a second derivative that is said to be a millionth of what it is."""
    curvatures, best = torch.logspace(0, 3, 20), torch.linspace(-1, 1, 20)
    objective, calls = quadratic(curvatures, best), []

    def counted(point):
        calls.append(point)
        return objective(point)

    point = convergence.minimize(counted, torch.zeros(20), 1e-9, 1, "The bowl", enough=1e-6)
    assert objective(point)[0] < convergence.GAP
    assert len(calls) < 200
    enough = 1e-6
    assert convergence.has_converged(1.0, 1e-7, enough) and convergence.has_converged(1e-6, 1.0, enough)
    assert not convergence.has_converged(1.0, 1.0, enough)


def read(name, split):
    """Return texts and labels of a set: of the package's samples, or of the shared data."""
    if name == "nsmc":
        lines = (ROOT / "hf_rnn" / "samples" / f"nsmc_{split}.tsv").read_text(encoding="utf-8").splitlines()
        cells = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
        return [cell["document"] for cell in cells], [cell["label"] for cell in cells]
    path = SHARED / name / f"{split}.{'jsonl' if name == 'snips' else 'csv'}"
    if not path.is_file():
        pytest.skip(f"no {path}")
    if name == "snips":
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [" ".join(row["tokens"]) for row in rows], [row["intent"] for row in rows]
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


class Telling(TransformerMixin, BaseEstimator):
    """Multiply features by the root of the largest of their log-count ratios."""

    def fit(self, design, labels):
        """Find the weights."""
        table = LabelBinarizer().fit_transform(labels)
        table = np.hstack([1 - table, table]) if table.shape[1] == 1 else table
        inside = table.T @ (design > 0) + 1
        outside = (1 - table).T @ (design > 0) + 1
        ratios = np.log(inside / inside.sum(1, keepdims=True)) - np.log(outside / outside.sum(1, keepdims=True))
        self.weights = np.sqrt(np.abs(ratios).max(0))
        return self

    def transform(self, design):
        """Multiply."""
        return design.multiply(self.weights[None]).tocsr()


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["nsmc", "cr", "mpqa", "snips"])
def test_the_linear_part_alone_is_that_of_scikit_learn(name):
    """On the same features, weighted alike: its accuracy is that of a pipeline that is fitted to the end, to 0.3 points."""
    (texts, names), (others, wanted) = read(name, "train"), read(name, "test")
    classes = sorted(set(names))
    labels, references = ([classes.index(label) for label in part] for part in (names, wanted))
    # every character of the training rows has an entry
    tokenizer = train_tokenizer(texts, "bpe", 500 + 2 * len(set("".join(texts))))
    config = RnnConfig(vocab_size=len(tokenizer), embedding_size=4, hidden_size=4, num_labels=len(classes), pad_token_id=0)
    fit = linear.ClassifierFit(RnnForSequenceClassification(config), tokenizer, 2**20)
    fit.penalty = 4.0
    path = fit._fit_path(Dataset.from_dict({"input_ids": tokenizer(texts)["input_ids"], "labels": labels}))
    design = linear.design_matrix(path, tokenizer(others)["input_ids"])
    ours = np.mean((design @ path.weight[1:].numpy() + path.bias.numpy()).argmax(1) == references)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+")
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True)
    both = FeatureUnion(
        [(name, make_pipeline(kind, Telling(), Normalizer())) for name, kind in (("words", words), ("characters", characters))]
    )
    regression = LogisticRegression(C=4.0, max_iter=10_000, tol=1e-6).fit(both.fit_transform(texts, labels), labels)
    theirs = regression.score(both.transform(others), references)
    assert round(abs(ours - theirs), 4) <= 0.003
