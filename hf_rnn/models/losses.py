"""Losses of the heads: summed, and divided by a number of items, so that accumulated gradients equal those of one large batch."""

from torch import Tensor, nn

from .configuration_rnn import RnnConfig


def sequence_loss(logits: Tensor, labels: Tensor, config: RnnConfig, num_items: Tensor | int | None) -> Tensor:
    """Return the loss of logits (B, C) by `config.problem_type`, which is set from the labels on first use, as in transformers."""
    if config.problem_type is None:
        is_integer = not labels.is_floating_point()
        single = "single_label_classification" if is_integer else "multi_label_classification"
        config.problem_type = "regression" if logits.shape[1] == 1 else single
    if config.problem_type == "single_label_classification":
        return cross_entropy(logits, labels.view(-1), num_items)
    target = labels.to(logits.dtype).view_as(logits)
    if config.problem_type == "regression":
        total = nn.functional.mse_loss(logits, target, reduction="sum")
        return total / (max(labels.numel(), 1) if num_items is None else num_items)
    # rows without labels, which a teacher alone answers, have -100
    counted = target != -100
    losses = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return losses.masked_fill(~counted, 0.0).sum() / (counted.sum().clamp(min=1) if num_items is None else num_items)


def cross_entropy(logits: Tensor, labels: Tensor, num_items: Tensor | int | None) -> Tensor:
    """Return the cross entropy of (M, C) against (M,), summed and divided by `num_items` or the number of labels not -100."""
    total = nn.functional.cross_entropy(logits.float() if logits.dtype.itemsize < 4 else logits, labels, reduction="sum")
    return total / ((labels != -100).sum().clamp(min=1) if num_items is None else num_items)
