"""Losses of the heads: summed, and divided by a number of items, so that accumulated gradients equal those of one large batch."""

from torch import Tensor, nn

from .configuration_rnn import RnnConfig


def sequence_loss(
    logits: Tensor, labels: Tensor, config: RnnConfig, num_items: Tensor | int | None, weights: Tensor | None = None
) -> Tensor:
    """Return the loss of logits (B, C) by `config.problem_type`, which is set from the labels on first use, as in transformers.

    Weights say how much each row (B,), or each of several labels of a row (B, C), counts in the sum. Of single labels floats (B, C) are
    shares of the classes.
    """
    if config.problem_type is None:
        is_integer = not labels.is_floating_point()
        single = "single_label_classification" if is_integer else "multi_label_classification"
        config.problem_type = "regression" if logits.shape[1] == 1 else single
    if config.problem_type == "single_label_classification":
        return cross_entropy(logits, labels if labels.is_floating_point() else labels.view(-1), num_items, weights)
    target = labels.to(logits.dtype).view_as(logits)
    if config.problem_type == "regression":
        total = _weigh(nn.functional.mse_loss(logits, target, reduction="none"), weights).sum()
        return total / (max(labels.numel(), 1) if num_items is None else num_items)
    # rows without labels, which a teacher alone answers, have -100
    counted = target != -100
    losses = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return _weigh(losses, weights).masked_fill(~counted, 0.0).sum() / (counted.sum().clamp(min=1) if num_items is None else num_items)


def _weigh(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Return losses (B, C) times the weights of rows, (B,), or of each label, (B, C)."""
    if weights is None:
        return losses
    return losses * (weights.unsqueeze(1) if weights.dim() == 1 else weights).to(losses.dtype)


def cross_entropy(logits: Tensor, labels: Tensor, num_items: Tensor | int | None, weights: Tensor | None = None) -> Tensor:
    """Return the cross entropy of (M, C), summed, with weights (M,), and divided by `num_items` or the labels that there are.

    Labels are ids (M,), -100 where there is none, or shares of the classes (M, C), all 0 where there are none.
    """
    logits = logits.float() if logits.dtype.itemsize < 4 else logits
    is_soft = labels.is_floating_point()
    labels = labels.to(logits.dtype) if is_soft else labels
    if weights is None:
        total = nn.functional.cross_entropy(logits, labels, reduction="sum")
    else:
        total = (nn.functional.cross_entropy(logits, labels, reduction="none") * weights.to(logits.dtype)).sum()
    if num_items is None:
        num_items = (labels.any(1) if is_soft else labels != -100).sum().clamp(min=1)
    return total / num_items
