"""A trainer that learns from a teacher's answers beside the labels (Hinton et al. 2015)."""

from typing import Any

from torch import Tensor, nn

from ..arguments import DistillationArguments
from ..training.trainer import RnnTrainer


class DistillationTrainer(RnnTrainer):
    """`RnnTrainer` whose rows may have `teacher_logits`, which are learnt too.

    Args:
        distillation (`DistillationArguments`, *optional*): How much they count, and how they are softened.
    """

    def __init__(self, *args: Any, distillation: DistillationArguments | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.distillation = distillation or DistillationArguments()

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **kwargs: Any) -> Any:
        """Return the loss, while training mixed with the divergence from the teacher."""
        teacher = inputs.pop("teacher_logits", None)
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        if teacher is not None and model.training:
            loss = self._mix(loss, outputs["logits"], teacher)
        return (loss, outputs) if return_outputs else loss

    def _mix(self, loss: Tensor, logits: Tensor, teacher: Tensor) -> Tensor:
        """Mix a loss with the divergence from the teacher, whose logits are NaN where it has no answer."""
        counted = teacher.isfinite().all(-1)
        problem, temperature = getattr(self.model.config, "problem_type", None), self.distillation.distillation_temperature
        total = distillation_loss(logits, teacher, counted, temperature, problem == "multi_label_classification")
        mean = total / counted.sum().clamp(min=1) / self.args.gradient_accumulation_steps
        alpha = self.distillation.distillation_alpha
        return (1 - alpha) * loss + alpha * mean

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if "teacher_logits" not in self._signature_columns:
            self._signature_columns.append("teacher_logits")


def distillation_loss(logits: Tensor, teacher: Tensor, counted: Tensor, temperature: float, has_several: bool = False) -> Tensor:
    """Return the summed cross entropy of logits (..., C) against a teacher's softened probabilities where `counted` (...).

    Scaled by temperature squared, so that gradients keep their size (Hinton et al. 2015). Where a row has several labels at once each
    label has a probability of its own, and its cross entropies are averaged as those of given labels are.
    """
    softened = logits[counted].float() / temperature
    if has_several:
        targets = (teacher[counted].float() / temperature).sigmoid()
        return temperature**2 * nn.functional.binary_cross_entropy_with_logits(softened, targets, reduction="none").mean(-1).sum()
    targets = (teacher[counted].float() / temperature).softmax(-1)
    return -(temperature**2) * (targets * softened.log_softmax(-1)).sum()
