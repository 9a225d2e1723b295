"""Fit the temperature of a trained classifier that has no linear part, whose factors would say as much."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from scipy.optimize import minimize_scalar
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import logging

from .weighing import labels_of, logits_of, negative_log_likelihood

logger = logging.get_logger(__name__)

# validation rows below which one number is better left alone, the largest logarithm of a temperature, and its deviation beforehand
FEWEST_ROWS, LARGEST, WIDTH = 50, 3.0, 0.35


def search_temperature(loss: Callable[[float], float], precision: float = 1e-5) -> tuple[float, float]:
    """Return the temperature with the least loss, given a log-normal prior around 1, and that loss, the prior's share included.

    The prior keeps few rows from spoiling scores that are as they should be; many rows overrule it.

    Args:
        loss (`Callable`): Negative log-likelihood of rows that a model was not trained on, by what its scores are multiplied by.
        precision (`float`): Of the logarithm.
    """

    def posterior(logarithm: float) -> float:
        return loss(float(np.exp(-logarithm))) + 0.5 * (logarithm / WIDTH) ** 2

    found = minimize_scalar(posterior, bounds=(-LARGEST, LARGEST), method="bounded", options={"xatol": precision})
    return float(np.exp(found.x)), float(found.fun)


def fit_temperature(logits: np.ndarray, labels: np.ndarray, problem: str | None = None, sample_weights: np.ndarray | None = None) -> float:
    """Return what logits are to be divided by for the likeliest labels (Guo et al. 2017); see `search_temperature`.

    Args:
        logits (`np.ndarray`): Of rows that the model was not trained on, (N, C).
        labels (`np.ndarray`): Class ids (N,), shares of the classes (N, C), or 0 and 1 of several labels (N, C).
        problem (`str`, *optional*): The `problem_type` of the model; None is one class a row.
        sample_weights (`np.ndarray`, *optional*): How much each row counts, (N,), or each of its several labels, (N, C).
    """
    return search_temperature(lambda worth: negative_log_likelihood(worth * logits, labels, sample_weights, problem))[0]


class TemperatureFit:
    """Divide weights and biases of the output layer by a temperature, so that whatever runs the model has the same scores.

    Args:
        model (`PreTrainedModel`): A trained classifier of one label or of several.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    @torch.no_grad()
    def fit(self, train: Dataset, validation: Any) -> None:
        """Fit the temperature on validation rows, if they are enough."""
        if not isinstance(validation, Dataset) or len(validation) < FEWEST_ROWS:
            return
        logits, num_labels = logits_of(self.model, validation["input_ids"]), self.model.config.num_labels
        temperature = fit_temperature(logits.astype(float), labels_of(validation), self.model.config.problem_type)
        layers = [layer for layer in self.model.modules() if isinstance(layer, nn.Linear) and layer.out_features == num_labels]
        for parameter in layers[-1].parameters():
            parameter /= temperature
        logger.warning(f"Scores have a temperature of {temperature:.2f}, fitted on {len(validation)} validation rows.")

    def refit(self, *parts: Dataset) -> None:
        """Leave it: rows that the model has learnt say nothing of its scores."""
