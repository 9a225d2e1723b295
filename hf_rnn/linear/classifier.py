"""Fit a linear model of n-grams beside a trained classifier: a regression, weighed against the recurrence.

The recurrence is trained first and alone. Then the linear path is fitted as scikit-learn would fit TF-IDF, and two numbers, by which
the logits of either are multiplied, are found on validation rows: of few rows a recurrence learns little and is too sure of it. Their
prior is log-normal, so that few validation rows move them little.
"""

from typing import Protocol

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from scipy.sparse import csr_matrix
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from ..models.features import piece_characters
from ..models.linear import LinearPath
from ..models.modeling_rnn import RnnForSequenceClassification
from .design import choose_features, design_matrix, read_kinds, telling_weights, weigh_columns
from .imbalance import class_shift
from .regression import ENOUGH_ROWS, FOLDS, PENALTIES, choose_penalty, class_ids, fit_regression, told_apart
from .temperature import TemperatureFit
from .weighing import FROM_LABELS, NUMBERS, Prior, blend, choose_factors, labels_of, logits_of, negative_log_likelihood, pays

logger = logging.get_logger(__name__)

# the penalty where choosing takes too long, as it always does with so many classes
USUAL_PENALTY, MANY_CLASSES = 16.0, 500
# weights that a fit without being asked for may have; features that are worth while; what an evaluation of the loss may take, of which
# a fit takes 40 to 80: products of a value of a row with a weight, and as many for each weight. A fit of so many is 37 s of a busy core
# (measured on 300 to 20,000 rows of 77 to 1,000 classes); a choice takes as many folds as three times that has room for
MOST_WEIGHTS, LEAST_FEATURES, MOST_PRODUCTS, OF_WEIGHT, CHOICE = 2**24, 2**12, 10**9, 64, 3


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
        model (`RnnForSequenceClassification`): Of classes, of several labels, or of numbers.
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
        # what logits are multiplied by to be as sure as held-out rows bear out
        self.worth = 1.0
        self.adjustment = adjustment
        self.must_pay = must_pay
        self.problem = model.config.problem_type
        self.factor, self.offset = 1.0, 0.0

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
        # what numbers are near without any text: both parts say how far they are from it
        centre = float(labels_of(train).mean()) if self.problem == NUMBERS else 0.0
        factors = self.prior.factors
        if validation is not None:
            linear = design_matrix(path, validation["input_ids"]) @ path.weight[1:].numpy() + path.bias.numpy()
            recurrent, labels = logits_of(self.model, validation["input_ids"]), labels_of(validation)
            if self.must_pay and not pays(linear, recurrent, labels, self.prior, self.problem):
                logger.warning(
                    f"A linear model of {len(path.keys):,} n-grams makes {len(labels):,} validation rows no likelier, beyond chance, and "
                    f"is left out. --linear_size asks for one all the same, such as --linear_size {len(path.keys)}."
                )
                self._leave_out(train, validation)
                return

            def loss(pair: np.ndarray) -> float:
                return negative_log_likelihood(blend(pair, linear, recurrent, centre), labels, problem=self.problem)

            factors = choose_factors(loss, self.prior)
        self.offset = centre * (1 - float(factors.sum()))
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
        """Have no linear path; scores of the recurrence alone have a temperature."""
        self.is_left_out = True
        if self.problem != NUMBERS:
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
            chosen = choose_penalty(kinds, labels, classes, folds, counts, self.problem) if folds else (USUAL_PENALTY, 1.0)
            self.penalty, self.worth = chosen
        weights = telling_weights(kinds, told_apart(labels, self.problem))
        design = weigh_columns(kinds, weights)
        path.telling[1:] = torch.tensor(weights)
        weight, bias = fit_regression(design, labels, self.penalty, classes, sample_weights=counts, problem=self.problem)
        weight, bias = self.worth * weight, self.worth * bias
        has_classes = self.problem in (None, "single_label_classification")
        if has_classes and (shift := class_shift(class_ids(labels), classes, self.adjustment)) is not None:
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
        path.bias += self.offset
        self.model.set_linear_path(path)
