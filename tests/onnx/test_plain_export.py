"""`torch.onnx.export(dynamo=True)` itself works on every head with the package's table, and says what to call without it."""

import onnxruntime
import pytest
import torch
from tiny import build

import hf_rnn.onnx
from hf_rnn import RnnForCausalLM, RnnForMaskedLM, RnnForSequenceClassification, RnnForTokenClassification, RnnModel
from hf_rnn.models import pretrained

HEADS = [RnnModel, RnnForSequenceClassification, RnnForTokenClassification, RnnForMaskedLM, RnnForCausalLM]
IDS, MASK = torch.tensor([[5, 6, 13, 7], [8, 15, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


@pytest.mark.parametrize("head", HEADS)
def test_plain_export(head, monkeypatch):
    """The first output of the graph is the model's; a warning names the table while the graph is recorded."""
    settings = {"use_crf": True} if head is RnnForTokenClassification else {}
    model = build(head, dtype=torch.float32, bidirectional=False, **settings).eval()
    messages = []
    monkeypatch.setattr(pretrained.logger, "warning_once", messages.append)
    # states and names of outputs are left to the exporter
    program = torch.onnx.export(
        model,
        (IDS, MASK),
        kwargs={"return_dict": False},
        custom_translation_table=hf_rnn.onnx.TRANSLATIONS,
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    feeds = {given.name: value.numpy() for given, value in zip(session.get_inputs(), (IDS, MASK), strict=True)}
    assert torch.allclose(torch.from_numpy(session.run(None, feeds)[0]), model(IDS, MASK, return_dict=False)[0], atol=1e-5)
    assert "custom_translation_table=hf_rnn.onnx.TRANSLATIONS" in messages[0]
