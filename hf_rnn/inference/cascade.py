"""What the linear part of a classifier is sure of is answered without the recurrence."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..data.rows.collator import RnnCollator
from ..tasks.decoding import ClassDecoder, Decoder
from .bulk import BATCH_PIECES, batches


def check_cascades(decoder: Decoder) -> None:
    """Raise a ValueError if a model has no linear part that could answer alone."""
    if not isinstance(decoder, ClassDecoder) or not hasattr(decoder.model, "linear"):
        got = type(decoder.model).__name__ if isinstance(decoder, ClassDecoder) else f"one that answers with {decoder.kind}"
        raise ValueError(
            f"`cascade` needs a classifier of one label with a linear part beside its recurrence, got {got}"
            f"{' without one' if isinstance(decoder, ClassDecoder) else ''}. Leave it out, or train with --linear_size."
        )
    if decoder.has_outside:
        raise ValueError(
            "`cascade` does not go with a model that tells texts of none of its labels, which takes the whole model. Leave it out."
        )


@dataclass(frozen=True)
class Cascade:
    """When the linear part answers alone.

    Args:
        threshold (`float`): Least score of its answer.
        scale (`float`): What its logits are multiplied by to be as sure as those of the whole model.
    """

    threshold: float
    scale: float

    def logits(self, decoder: ClassDecoder, ids: list[list[int]], batch_size: int) -> tuple[Tensor, Tensor]:
        """Return scaled logits (B, C) of rows of ids, and which are sure (B,)."""
        logits = self.scale * linear_logits(decoder, ids, batch_size)
        return logits, logits.softmax(-1).amax(-1) >= self.threshold


@torch.inference_mode()
def linear_logits(decoder: ClassDecoder, ids: list[list[int]], batch_size: int) -> Tensor:
    """Return the logits of the linear part, (B, C), of rows of ids."""
    model: Any = decoder.model
    logits = torch.zeros(len(ids), len(decoder.labels))
    collate = RnnCollator(decoder.tokenizer.pad_token_id or 0)
    for rows in batches(list(map(len, ids)), batch_size, BATCH_PIECES):
        batch = collate([{"input_ids": ids[row]} for row in rows])
        found = model.linear(batch["input_ids"].to(model.device), batch["attention_mask"].bool().to(model.device))
        logits[rows] = found.float().cpu()
    return logits
