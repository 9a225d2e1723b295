"""A checkpoint that an earlier version wrote loads with the package and by the code that it carries, and gives the logits it gave then."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lowest

FOLDER = Path(__file__).parents[1] / "data" / "checkpoint_0_1"

CODE = """
import json, sys
import torch
{first}
from transformers import AutoModelForTokenClassification, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({folder!r}{options})
model = AutoModelForTokenClassification.from_pretrained({folder!r}{options}).eval()
print(type(model).__module__)
with torch.no_grad():
    print(json.dumps(model(**tokenizer({text!r}, return_tensors="pt")).logits[0].tolist()))
"""


@pytest.mark.parametrize(
    ("first", "options", "module"),
    [("import hf_rnn", "", "hf_rnn.models"), ('sys.modules["hf_rnn"] = None', ", trust_remote_code=True", "transformers_modules")],
    ids=["package", "own code"],
)
def test_same_logits(first, options, module, tmp_path):
    """One of a tagger with a CRF, words from pieces and a vocabulary of words, saved when all modules lay in one folder."""
    expected = json.loads((FOLDER / "expected.json").read_text())
    code = CODE.format(first=first, options=options, folder=str(FOLDER), text=expected["text"])
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    loaded_from, logits = done.stdout.strip().splitlines()
    assert loaded_from.startswith(module)
    for found, wanted in zip(json.loads(logits), expected["logits"], strict=True):
        assert found == pytest.approx(wanted, abs=1e-6)
