"""Fit a linear model of n-grams beside a trained classifier: logistic regression, weighed against the recurrence.

The recurrence is trained first and alone. Then the linear path is fitted as scikit-learn would fit TF-IDF, and two numbers, by which
the logits of either are multiplied, are found on validation rows: of few rows a recurrence learns little and is too sure of it. Their
prior is log-normal, so that few validation rows move them little.
"""

import warnings
from typing import Protocol

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from scipy.sparse import csr_matrix, hstack
from sklearn.model_selection import KFold
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from ..models.features import piece_characters
from ..models.linear import LinearPath
from ..models.modeling_rnn import RnnForSequenceClassification
from .convergence import Objective, minimize, squares
from .design import choose_features, design_matrix, read_kinds, telling_weights, weigh_columns
from .imbalance import class_shift
from .temperature import TemperatureFit
from .weighing import FROM_LABELS, Prior, choose_factors, cross_entropy, labels_of, logits_of, pays

logger = logging.get_logger(__name__)

# inverse strengths of the L2 penalty to choose from, the number of folds, and the rows that are enough to choose by
PENALTIES, FOLDS, ENOUGH_ROWS = (4.0, 16.0, 64.0), 5, 6000
# the penalty where choosing takes too long, as it always does with so many classes
USUAL_PENALTY, MANY_CLASSES = 16.0, 500
# weights that a fit without being asked for may have; features that are worth while; what an evaluation of the loss may take, of which
# a fit takes 40 to 80: products of a value of a row with a weight, and as many for each weight. A fit of so many is 37 s of a busy core
# (measured on 300 to 20,000 rows of 77 to 1,000 classes); a choice takes as many folds as three times that has room for
MOST_WEIGHTS, LEAST_FEATURES, MOST_PRODUCTS, OF_WEIGHT, CHOICE = 2**24, 2**12, 10**9, 64, 3
# logit of a class that no row has
ABSENT = -30.0


def fit_regression(
    design: csr_matrix,
    labels: np.ndarray,
    penalty: float,
    num_labels: int,
    name: str = "The linear model",
    sample_weights: np.ndarray | None = None,
    has_several: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (K, C) and biases (C,) of a logistic regression; a class that no row has is never the answer.

    Its losses are those of scikit-learn: the sum of the cross entropies, each times its weight if there are weights, and half the squares
    of the weights, over `penalty`. Of several labels each has a regression of its own. Labels and weights are those of `cross_entropies`.
    """
    weight = np.zeros((design.shape[1], num_labels), dtype=np.float32)
    bias: np.ndarray = np.full(num_labels, ABSENT, dtype=np.float32)
    if has_several:
        shares = labels.mean(0)
        bias[shares == 1] = -ABSENT
        # labels that tell rows apart
        present = np.flatnonzero((shares > 0) & (shares < 1))
        if not len(present):
            return weight, bias
        targets = labels[:, present]
        if sample_weights is not None and sample_weights.ndim == 2:
            sample_weights = sample_weights[:, present]
    elif labels.ndim == 2:
        present = np.flatnonzero(labels.any(0))
        targets = labels[:, present[1]] if len(present) == 2 else labels[:, present]
    else:
        present, targets = np.unique(labels, return_inverse=True)
    if len(present) == 1:
        bias[present] = 0.0
        return weight, bias
    # one column tells the second class from the first
    is_pair = not has_several and len(present) == 2
    classes = 1 if is_pair else len(present)
    objective = regression_loss(design, targets, penalty, classes, sample_weights, is_pair or has_several)
    found = minimize(objective, torch.zeros((design.shape[1] + 1) * classes), 1 / penalty, len(labels), name).view(-1, classes).numpy()
    if is_pair:
        found = found * np.array([-0.5, 0.5], dtype=np.float32)
    weight[:, present], bias[present] = found[:-1], found[-1]
    return weight, bias


def regression_loss(
    design: csr_matrix,
    targets: np.ndarray,
    penalty: float,
    classes: int,
    sample_weights: np.ndarray | None = None,
    is_binary: bool = False,
) -> Objective:
    """Return the loss of a logistic regression by its weights and biases, ((K + 1) C,), with its gradient.

    Targets are class ids (N,) or shares of the classes (N, C). If `is_binary` each column is a regression of its own, with targets from
    0 to 1: several labels (N, C), or the share of the second of two classes (N,).
    """
    design = hstack([design, np.ones((len(targets), 1))], format="csr", dtype=np.float32)
    rows, columns = sparse_tensor(design), sparse_tensor(design.T.tocsr())
    # (N, 1), of shares (N, C)
    wanted = torch.tensor(targets if targets.dtype.kind == "i" else targets.astype(np.float32))
    wanted = wanted if wanted.dim() == 2 else wanted[:, None]
    # (N, 1), of several labels (N, C)
    counts = None if sample_weights is None else torch.tensor(sample_weights, dtype=torch.float32).view(len(targets), -1)

    def objective(point: Tensor) -> tuple[float, Tensor]:
        table = point.view(-1, classes)
        logits = rows @ table
        if is_binary:
            losses = nn.functional.softplus(logits) - wanted * logits
            errors = logits.sigmoid() - wanted
        elif wanted.is_floating_point():
            logs = logits.log_softmax(1)
            losses = -(wanted * logs).sum(1, keepdim=True)
            errors = logs.exp_() - wanted
        else:
            logs = logits.log_softmax(1)
            losses = -logs.gather(1, wanted)
            errors = logs.exp_().scatter_add_(1, wanted, torch.full(wanted.shape, -1.0))
        if counts is not None:
            losses, errors = losses * counts, errors * counts
        loss = losses.double().sum()
        gradient = columns @ errors
        gradient[:-1].add_(table[:-1], alpha=1 / penalty)
        return float(loss + squares(table[:-1]) / (2 * penalty)), gradient.flatten()

    return objective


def sparse_tensor(matrix: csr_matrix) -> Tensor:
    """Return a sparse matrix as a tensor, whose products take half the time of scipy's."""
    with warnings.catch_warnings():
        # sparse tensors are called beta; products with dense ones are all that is asked of them
        warnings.simplefilter("ignore", UserWarning)
        parts = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
        return torch.sparse_csr_tensor(*parts, size=matrix.shape)


def choose_penalty(
    kinds: list[csr_matrix],
    labels: np.ndarray,
    num_labels: int,
    folds: int = FOLDS,
    sample_weights: np.ndarray | None = None,
    has_several: bool = False,
) -> float:
    """Return the penalty with the least cross entropy on held-out folds of enough rows, all five of them or fewer.

    Args:
        kinds (`list`): Values of features, (N, K) each; what they tell, each fold finds out by itself.
        labels (`np.ndarray`): See `cross_entropies`.
        num_labels (`int`): Number of classes.
        folds (`int`): How many of them.
        sample_weights (`np.ndarray`, *optional*): See `cross_entropies`.
        has_several (`bool`): Whether a row may have several labels.
    """
    rows = np.random.default_rng(0).permutation(len(labels))[:ENOUGH_ROWS]
    kinds, labels = [kind[rows] for kind in kinds], labels[rows]
    counts = None if sample_weights is None else sample_weights[rows]
    losses = dict.fromkeys(PENALTIES, 0.0)
    for train, held_out in list(KFold(min(FOLDS, len(rows))).split(rows))[:folds] if len(rows) > 1 else []:
        own, theirs = (None, None) if counts is None else (counts[train], counts[held_out])
        known = [kind[train] for kind in kinds]
        weights = telling_weights(known, labels[train] if has_several else class_ids(labels[train]))
        design, asked = weigh_columns(known, weights), weigh_columns([kind[held_out] for kind in kinds], weights)
        for penalty in PENALTIES:
            weight, bias = fit_regression(design, labels[train], penalty, num_labels, sample_weights=own, has_several=has_several)
            losses[penalty] += cross_entropy(asked @ weight + bias, labels[held_out], theirs, has_several)
    return min(PENALTIES, key=lambda penalty: losses[penalty])


def class_ids(labels: np.ndarray) -> np.ndarray:
    """Return class ids (N,), the likeliest ones of shares (N, C)."""
    return labels.argmax(1) if labels.ndim == 2 else labels


def weights_of(rows: Dataset) -> np.ndarray | None:
    """Return the weights of rows (N,), or of their several labels (N, C), if they have any.

    A row without one, as held-out rows are, has the mean one of its class, or of the rows that have, or lack, a label as it does.
    """
    if "sample_weights" not in rows.column_names:
        return None
    labels = np.array(rows["labels"])
    given = [np.nan if each is None else each for each in rows["sample_weights"]]
    weights = np.array([np.broadcast_to(each, labels.shape[1:]) for each in given], dtype=float)
    # of each label by itself, where there are several
    for own_weights, own_labels in zip(weights.reshape(len(rows), -1).T, labels.reshape(len(rows), -1).T, strict=True):
        for label in np.unique(own_labels[np.isnan(own_weights)]):
            own = own_labels == label
            known = own_weights[own & ~np.isnan(own_weights)]
            own_weights[own & np.isnan(own_weights)] = known.mean() if len(known) else 1.0
    return weights


class LinearFit(Protocol):
    """What is fitted once a recurrence is trained: a linear model beside it, or its temperature."""

    def fit(self, train: Dataset, validation: Dataset | None) -> None:
        """Fit it, and weigh it against the recurrence on validation rows."""

    def refit(self, *parts: Dataset) -> None:
        """Fit it again on more rows."""


class ClassifierFit:
    """Put a linear path beside the recurrence of a trained classifier.

    Args:
        model (`RnnForSequenceClassification`): Of one label a row, or of several.
        tokenizer (`PreTrainedTokenizerBase`): Says what its ids spell.
        size (`int`): Largest number of features.
        prior (`Prior`): Of the factors.
        is_asked (`bool`): Whether it is fitted however long that takes; else it is left out, with a word, where classes are too many.
        adjustment (`float`, *optional*): How far logits are adjusted for the shares of classes; see `class_shift`.
        must_pay (`bool`): Whether it is left out, with a word, unless validation rows tell that it is worth its time.
    """

    def __init__(
        self,
        model: RnnForSequenceClassification,
        tokenizer: PreTrainedTokenizerBase,
        size: int,
        prior: Prior = FROM_LABELS,
        is_asked: bool = True,
        adjustment: float | None = None,
        must_pay: bool = False,
    ) -> None:
        self.model = model
        self.characters = torch.tensor(piece_characters(tokenizer), dtype=torch.int32)
        most = MOST_WEIGHTS // model.config.num_labels
        self.size = size if is_asked else min(size, most)
        self.prior = prior
        self.is_asked = is_asked
        self.is_left_out = not is_asked and most < LEAST_FEATURES
        self.penalty: float | None = None
        self.adjustment = adjustment
        self.must_pay = must_pay
        self.has_several = model.config.problem_type == "multi_label_classification"
        self.factor = 1.0

    def fit(self, train: Dataset, validation: Dataset | None) -> None:
        """Fit the path on training rows, then weigh it against the recurrence on rows that neither has seen, if there are any."""
        if self.must_pay and validation is None:
            self._leave_out(train, validation)
            return
        path = self._fit_path(train)
        if path is None:
            logger.warning(
                f"{len(train):,} rows of {self.model.config.num_labels:,} classes take a linear model too long: it is left "
                "out. --linear_size asks for one all the same, such as --linear_size 20000."
            )
            self._leave_out(train, validation)
            return
        factors = self.prior.factors
        if validation is not None:
            linear = design_matrix(path, validation["input_ids"]) @ path.weight[1:].numpy() + path.bias.numpy()
            recurrent, labels = logits_of(self.model, validation["input_ids"]), labels_of(validation)
            if self.must_pay and not pays(linear, recurrent, labels, self.prior, self.has_several):
                logger.warning(
                    f"A linear model of {len(path.keys):,} n-grams makes {len(labels):,} validation rows no likelier, beyond chance, and "
                    f"is left out. --linear_size asks for one all the same, such as --linear_size {len(path.keys)}."
                )
                self._leave_out(train, validation)
                return

            def loss(pair: np.ndarray) -> float:
                return cross_entropy(pair[0] * linear + pair[1] * recurrent, labels, has_several=self.has_several)

            factors = choose_factors(loss, self.prior)
        self.factor = float(factors[0])
        with torch.no_grad():
            self.model.classifier.weight *= factors[1]
            self.model.classifier.bias *= factors[1]
        self._attach(path)
        sizes = f"{len(path.keys):,} n-grams (C = {self.penalty:g})"
        logger.warning(f"Beside the recurrence: a linear model of {sizes}, times {factors[0]:.2f}; the recurrence times {factors[1]:.2f}.")

    def refit(self, *parts: Dataset) -> None:
        """Fit the path again on more rows; penalty and factors stay."""
        if not self.is_left_out and (path := self._fit_path(concatenate_datasets(parts))) is not None:
            self._attach(path)

    def _leave_out(self, train: Dataset, validation: Dataset | None) -> None:
        """Have no linear path; the recurrence alone has a temperature."""
        self.is_left_out = True
        TemperatureFit(self.model).fit(train, validation)

    def _fit_path(self, rows: Dataset) -> LinearPath | None:
        """Return the path for some rows; None if that would take too long."""
        if self.is_left_out:
            return None
        classes, labels, counts = self.model.config.num_labels, labels_of(rows), weights_of(rows)
        path, kinds = self._features(rows)
        if self.penalty is None:
            values, features = sum(kind.nnz for kind in kinds), len(path.keys)
            most = int((MOST_PRODUCTS / classes - values) / OF_WEIGHT)
            if most < features and not self.is_asked:
                if most < LEAST_FEATURES:
                    return None
                self._shorten(most, features)
                path, kinds = self._features(rows)
            folds = self._folds(len(rows), values, features)
            self.penalty = choose_penalty(kinds, labels, classes, folds, counts, self.has_several) if folds else USUAL_PENALTY
        ids = labels if self.has_several else class_ids(labels)
        weights = telling_weights(kinds, ids)
        design = weigh_columns(kinds, weights)
        path.telling[1:] = torch.tensor(weights)
        weight, bias = fit_regression(design, labels, self.penalty, classes, sample_weights=counts, has_several=self.has_several)
        if not self.has_several and (shift := class_shift(ids, classes, self.adjustment)) is not None:
            bias = (bias - shift).astype(np.float32)
        path.weight[1:], path.bias[:] = torch.tensor(weight), torch.tensor(bias)
        return path

    def _features(self, rows: Dataset) -> tuple[LinearPath, list[csr_matrix]]:
        """Return a path that knows the features of rows, and the values of words and of characters."""
        path = LinearPath(len(self.characters), 0, self.model.config.num_labels)
        path.characters = self.characters
        choose_features(path, rows["input_ids"], self.size)
        return path, read_kinds(path, rows["input_ids"])

    def _shorten(self, size: int, found: int) -> None:
        """Take fewer features than were found, and say so."""
        self.size = size
        logger.warning(
            f"The linear model has {size:,} of {found:,} n-grams: with {self.model.config.num_labels:,} classes more take too long. "
            f"--linear_size asks for more, such as --linear_size {found}."
        )

    def _folds(self, rows: int, values: int, features: int) -> int:
        """Return by how many folds a penalty is chosen: one where there are many rows, and none where even that takes too long."""
        classes = self.model.config.num_labels
        if classes >= MANY_CLASSES:
            return 0
        each = classes * (values * min(1.0, ENOUGH_ROWS / rows) + OF_WEIGHT * features)
        return min(FOLDS, max(1, ENOUGH_ROWS // rows), int(CHOICE * MOST_PRODUCTS / (len(PENALTIES) * max(each, 1))))

    def _attach(self, path: LinearPath) -> None:
        path.weight *= self.factor
        path.bias *= self.factor
        self.model.set_linear_path(path)
