"""Pad encoded rows into a batch."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor


@dataclass
class RnnCollator:
    """Pad `input_ids`, make the `attention_mask`, and pad `labels` where they are lists along the row.

    Args:
        pad_token_id (`int`): Id that fills rows.
        padding_side (`str`): "right" or "left".
        label_pad_token_id (`int`): Label that fills rows of tags; losses ignore it.
    """

    pad_token_id: int = 0
    padding_side: str = "right"
    label_pad_token_id: int = -100

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Return `input_ids` and `attention_mask` (B, T) and `labels` (B,), (B, T) or (B, C)."""
        ids = [row["input_ids"] for row in rows]
        lengths = torch.tensor([len(sequence) for sequence in ids])
        positions = torch.arange(int(lengths.max()))
        # (B, T)
        mask = positions < lengths[:, None]
        if self.padding_side == "left":
            mask = mask.flip(1)
        batch = {"input_ids": self._fill(ids, mask, self.pad_token_id), "attention_mask": mask.long()}
        if "labels" in rows[0]:
            labels = [row["labels"] for row in rows]
            along_row = isinstance(labels[0], list) and all(
                len(label) == len(sequence) and not any(isinstance(value, float) for value in label[:1])
                for label, sequence in zip(labels, ids, strict=True)
            )
            batch["labels"] = self._fill(labels, mask, self.label_pad_token_id) if along_row else torch.tensor(labels)
        return batch

    @staticmethod
    def _fill(sequences: list[list[int]], mask: Tensor, value: int) -> Tensor:
        filled = torch.full(mask.shape, value, dtype=torch.long)
        filled[mask] = torch.tensor(list(chain.from_iterable(sequences)), dtype=torch.long)
        return filled
