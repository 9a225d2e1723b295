"""Pad encoded rows into a batch."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

# column of the shares that labels have in a row
SHARES = "label_shares"


@dataclass
class RnnCollator:
    """Pad `input_ids`, make the `attention_mask`, and pad `labels` where they are lists along the row, and a teacher's logits.

    Args:
        pad_token_id (`int`): Id that fills rows.
        padding_side (`str`): "right" or "left".
        label_pad_token_id (`int`): Label that fills rows of tags; losses ignore it.
        has_tags (`bool`, *optional*): Whether a list of labels holds one for each piece, rather than 0 or 1 for each label of the row; by
            default where they are whole numbers, as many as pieces in each row of a batch.
    """

    pad_token_id: int = 0
    padding_side: str = "right"
    label_pad_token_id: int = -100
    has_tags: bool | None = None

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Return `input_ids` and `attention_mask` (B, T), and what there is beside them.

        That is `labels` (B,), (B, T) or (B, C), `label_shares` (B, C), `sample_weights` (B,) or (B, C), and `teacher_logits` (B, C) or
        (B, T, C).
        """
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
            along_row = self._seem_tags(labels, ids) if self.has_tags is None else self.has_tags
            batch["labels"] = self._fill(labels, mask, self.label_pad_token_id) if along_row else torch.tensor(labels)
        if "intents" in rows[0]:
            batch["intents"] = torch.tensor([row["intents"] for row in rows])
        if SHARES in rows[0]:
            batch[SHARES] = torch.tensor([row[SHARES] for row in rows])
        if "sample_weights" in rows[0]:
            batch["sample_weights"] = torch.tensor([row["sample_weights"] for row in rows])
        if "teacher_logits" in rows[0]:
            logits = [torch.tensor(row["teacher_logits"]) for row in rows]
            batch["teacher_logits"] = torch.stack(logits) if logits[0].dim() == 1 else self._fill_rows(logits, mask)
        return batch

    @staticmethod
    def _seem_tags(labels: list[Any], ids: list[list[int]]) -> bool:
        return isinstance(labels[0], list) and all(
            len(label) == len(sequence) and not any(isinstance(value, float) for value in label[:1])
            for label, sequence in zip(labels, ids, strict=True)
        )

    @staticmethod
    def _fill(sequences: list[list[int]], mask: Tensor, value: int) -> Tensor:
        filled = torch.full(mask.shape, value, dtype=torch.long)
        filled[mask] = torch.tensor(list(chain.from_iterable(sequences)), dtype=torch.long)
        return filled

    @staticmethod
    def _fill_rows(rows: list[Tensor], mask: Tensor) -> Tensor:
        filled = torch.full((*mask.shape, rows[0].shape[1]), torch.nan)
        filled[mask] = torch.cat(rows)
        return filled
