"""The model that the repository carries: small, whole, in single precision when loaded, and as good as its card says."""

from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from runs import SAMPLES
from safetensors.torch import load_file

from hf_rnn import load
from hf_rnn.data.files.readers import read_rows

pytestmark = pytest.mark.lowest

FOLDER = Path(__file__).parents[2] / "reference" / "nsmc"


def test_stored_in_half_and_computed_in_single_precision():
    """About 3 MiB of weights; every one is what the file holds."""
    assert (FOLDER / "model.safetensors").stat().st_size < 3.5 * 2**20
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 5 * 2**20
    stored = load_file(FOLDER / "model.safetensors")
    model = load(str(FOLDER)).model
    assert model.dtype == torch.float32
    for name, value in model.state_dict().items():
        assert stored[name].dtype == (torch.float16 if value.is_floating_point() else value.dtype)
        assert torch.equal(value, stored[name].to(value.dtype))


def test_score_on_the_sample():
    """On 1,000 reviews that it has not learnt from, within three standard errors of what the card says of 50,000."""
    card = ModelCard.load(FOLDER / "README.md")
    (told,) = [
        result.metric_value for result in card.data.eval_results if result.dataset_split == "test" and result.metric_type == "accuracy"
    ]
    rows = [row for row in read_rows(str(SAMPLES / "nsmc_test.tsv")) if row["document"]]
    answers = load(str(FOLDER)).predict(row["document"] for row in rows)
    right = sum(answer["label"] == row["label"] for answer, row in zip(answers, rows, strict=True)) / len(rows)
    assert right == pytest.approx(told, abs=3 * (told * (1 - told) / len(rows)) ** 0.5)


def test_card_says_how_it_was_made():
    """The licence of the data, the command, and no place of a machine."""
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "cc0-1.0" in text and "scripts/build_reference.py" in text
    assert not any(word in text for word in ("/tmp", "/work", "/home", "{{"))
