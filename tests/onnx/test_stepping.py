"""One-way models in ONNX go along: chunks of any size give what the whole row gives."""

import numpy as np
import pytest
import torch
from tiny import build, make

from hf_rnn import RnnForCausalLM
from hf_rnn.onnx.stepping import Stepper, export_step

ONE_WAY = {"bidirectional": False}


@pytest.mark.parametrize(
    ("kind", "cell", "settings"),
    [
        ("tagger", "lstm", {}),
        ("tagger", "gru", {}),
        ("classifier", "lstm", {"pooling": "last"}),
        ("causal", "gru", {}),
        ("encoder", "lstm", {}),
    ],
)
def test_chunks_equal_the_whole(kind, cell, settings, tmp_path):
    """A step at a time, in chunks of mixed sizes and all at once, as PyTorch on whole rows; the file tells nothing of its origin."""
    settings = {**settings, **ONE_WAY, "num_hidden_layers": 2}
    causal = {"dtype": torch.float32, "cell_type": cell}
    model = build(RnnForCausalLM, **causal, **settings).eval() if kind == "causal" else make(kind, cell, settings, torch.float32)
    assert export_step(model, tmp_path) <= 1e-5
    assert b".py" not in (tmp_path / "model_step.onnx").read_bytes()
    ids = torch.randint(1, 20, (2, 31))
    with torch.no_grad():
        expected = model(ids, torch.ones_like(ids), return_dict=True)
    expected = expected["last_hidden_state" if kind == "encoder" else "logits"].numpy()
    stepper = Stepper(tmp_path)
    for sizes in ([1] * 31, [5, 1, 20, 5], [31]):
        state, parts, start = None, [], 0
        for size in sizes:
            part, state = stepper.step(state, ids[:, start : start + size].numpy())
            parts.append(part)
            start += size
        found = parts[-1] if kind == "classifier" else np.concatenate(parts, 1)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("tagger", {}, "bidirectional=True"),
        ("tagger", {**ONE_WAY, "use_crf": True}, "use_crf=True"),
        ("tagger", {**ONE_WAY, "word_pooling": "mean"}, "word_pooling='mean'"),
        ("tagger", {**ONE_WAY, "lookahead": 1}, "lookahead=1"),
        ("classifier", {**ONE_WAY, "pooling": "max"}, "pooling='max'"),
    ],
)
def test_others_cannot(kind, settings, reason, tmp_path):
    """What looks at what comes later is told why."""
    with pytest.raises(ValueError, match=reason):
        export_step(make(kind, "lstm", settings, torch.float32), tmp_path)
