"""How unlike the training rows a text is: a few numbers, and one score of them."""

from typing import Any

import torch
from torch import Tensor, nn


def outside_numbers(logits: Tensor, surprise: Tensor | None) -> Tensor:
    """Return what a text that belongs to none of the classes has much of, (B, 2) or (B, 4).

    The negative logarithm of the best probability (Hendrycks and Gimpel 2017), the energy, which is the negative logarithm of the summed
    exponentials of logits (Liu et al. 2020), and how rare its words and its n-grams of characters are, if that is known.

    Args:
        logits (`Tensor`): (B, C).
        surprise (`Tensor`, *optional*): See `LinearPath.read`, (B, 2).
    """
    energy = -logits.float().logsumexp(1)
    # (B, 2)
    confidence = torch.stack([-energy - logits.float().amax(1), energy], dim=1)
    return confidence if surprise is None else torch.cat([confidence, surprise], dim=1)


def outside_terms(numbers: Tensor, fitted: dict[str, Any]) -> Tensor:
    """Return about the squares of how many standard deviations numbers (B, N) are above those of rows that belong to a class, (B, N)."""
    scaled = (numbers - numbers.new_tensor(fitted["centre"])) / numbers.new_tensor(fitted["scale"])
    # near 0 for what is below
    return nn.functional.softplus(scaled).square()


def outside_score(numbers: Tensor, fitted: dict[str, Any]) -> Tensor:
    """Return how unlike the training rows rows are, (B, 1), in [0, 1): from 0.5 on they belong to none of the classes.

    Args:
        numbers (`Tensor`): See `outside_numbers`.
        fitted (`dict`): The `outside` of a config.
    """
    total = (outside_terms(numbers, fitted) * numbers.new_tensor(fitted["weights"])).sum(1, keepdim=True)
    return total / (total + fitted["border"])
