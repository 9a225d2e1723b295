"""The models that the repository carries: their size, and what they score on the samples of the package, which are new to them."""

import re
from pathlib import Path

import pytest
from runs import SAMPLES

import hf_rnn
from hf_rnn.data.files.readers import read_rows

REFERENCE = Path(__file__).parents[1] / "reference"


@pytest.mark.parametrize("name", ["nsmc", "ewt"])
def test_they_are_small(name):
    """About 3 MiB, and a card that says how it was made and under which licence."""
    assert (REFERENCE / name / "model.safetensors").stat().st_size <= 3.05 * 2**20
    card = (REFERENCE / name / "README.md").read_text(encoding="utf-8")
    assert all((REFERENCE / name / picture).exists() for picture in re.findall(r"!\[[^]]*\]\(([^)]*)\)", card))
    assert "## How it was made" in card and f'model="reference/{name}"' in card and "license:" in card


def test_english_tags():
    """Words and parts of speech of 300 sentences, whose tokens are joined by spaces: nearly every token has the right tag."""
    rows = list(read_rows(str(SAMPLES / "ewt_test.conllu")))
    answers = hf_rnn.load(str(REFERENCE / "ewt")).predict([row["form"] for row in rows])
    pairs = [
        (tag, f"B-{right}")
        for answer, row in zip(answers, rows, strict=True)
        for tag, right in zip(answer["tags"], row["upos"], strict=True)
    ]
    assert sum(tag == right for tag, right in pairs) / len(pairs) >= 0.94


def test_english_text():
    """Raw text: words are parted from punctuation and from each other, and Seoul is a name."""
    spans = hf_rnn.load(str(REFERENCE / "ewt")).predict("Can't you book a flight to Seoul?")[0]["spans"]
    found = [(span["word"], span["entity_group"]) for span in spans]
    assert found[:3] == [("Ca", "AUX"), ("n't", "PART"), ("you", "PRON")] and ("Seoul", "PROPN") in found and found[-1] == ("?", "PUNCT")
