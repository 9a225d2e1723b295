"""The sum of all losses of a run, and the first that is no number: kept on the device, so that no step waits for it."""

from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState


class TotalLoss(TrainerCallback, ExportableState):
    """Keep the sum of the losses of all steps, in checkpoints too, so that a resumed run reports their mean.

    Args:
        total (`float`): The sum so far.
    """

    def __init__(self, total: float = 0.0) -> None:
        self._start = total
        self._sum: Tensor | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start anew with a run that does."""
        if not state.global_step:
            self.total = 0.0

    def state(self) -> dict[str, dict[str, float]]:
        """Return what a checkpoint holds of it."""
        return {"args": {"total": self.total}, "attributes": {}}

    @property
    def total(self) -> float:
        """Return the sum, which waits for the device."""
        return self._start if self._sum is None else float(self._sum)

    @total.setter
    def total(self, value: float) -> None:
        self._start, self._sum = value, None

    @property
    def bad_step(self) -> int:
        """Return the first step with a loss that is no finite number, or 0; waits for the device."""
        return 0 if self._sum is None else int(self._bad_step)

    def add(self, step: int, loss: Tensor, *others: Tensor) -> int:
        """Add the loss of a step; others of that step are only looked at.

        Returns:
            `int`: `bad_step` as far as it is known here, which on a GPU may be some steps late: the step does not wait for it.
        """
        if self._sum is None:
            # Apple's devices have no fp64
            dtype = torch.float32 if loss.device.type == "mps" else torch.float64
            self._sum = torch.tensor(self._start, dtype=dtype, device=loss.device)
            self._bad_step = torch.zeros((), dtype=torch.long, device=loss.device)
            self._known = torch.zeros((), dtype=torch.long, pin_memory=loss.device.type == "cuda")
        self._sum = self._sum + loss.detach()
        is_bad = ~torch.stack([value.detach() for value in (loss, *others)]).isfinite().all()
        self._bad_step = torch.where(is_bad & (self._bad_step == 0), step, self._bad_step)
        self._known.copy_(self._bad_step, non_blocking=True)
        return int(self._known)
