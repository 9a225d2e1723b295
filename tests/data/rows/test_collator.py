"""Batches hold every row, padded on the side asked for."""

import pytest
import torch

from hf_rnn.data.rows.collator import RnnCollator


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding(side):
    """Ids, mask and tags of each row stand together; the rest is padding."""
    rows = [{"input_ids": [5, 6, 7], "labels": [1, -100, 2]}, {"input_ids": [8], "labels": [3]}, {"input_ids": [], "labels": []}]
    batch = RnnCollator(pad_token_id=9, padding_side=side)(rows)
    assert batch["input_ids"].shape == (3, 3)
    for index, row in enumerate(rows):
        mask = batch["attention_mask"][index].bool()
        assert batch["input_ids"][index][mask].tolist() == row["input_ids"]
        assert batch["labels"][index][mask].tolist() == row["labels"]
        assert (batch["input_ids"][index][~mask] == 9).all()
        assert (batch["labels"][index][~mask] == -100).all()
    expected = [1, 0, 0] if side == "right" else [0, 0, 1]
    assert batch["attention_mask"][1].tolist() == expected


def test_labels_of_rows():
    """Class ids, several labels and numbers are not padded; labels may be absent."""
    ids = [{"input_ids": [1, 2]}, {"input_ids": [3]}]
    for labels, dtype in (([0, 1], torch.int64), ([[1.0, 0.0], [0.0, 1.0]], torch.float32), ([0.5, 1.5], torch.float32)):
        batch = RnnCollator()([{**row, "labels": label} for row, label in zip(ids, labels, strict=True)])
        assert batch["labels"].tolist() == labels
        assert batch["labels"].dtype == dtype
    assert set(RnnCollator()(ids)) == {"input_ids", "attention_mask"}
