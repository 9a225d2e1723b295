"""LSTM inference by oneDNN with weights laid out once: PyTorch's own layer lays them out anew at every call.

For a single short text that costs as much as the recurrence itself. The operators are those that `torch.compile` uses when it
freezes a model; where a build has none, `is_available` says so.
"""

import torch
from torch import Tensor

from .prepared import prepared

# mode 2 of PyTorch's recurrent layers is the LSTM
_LSTM = 2


def is_available(dtype: torch.dtype) -> bool:
    """Return whether this build and processor can run an LSTM in a dtype."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_mkldnn_rnn_layer_weight"):
        return False
    if dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype == torch.float32


def lay_out(weights: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Return w_ih and w_hh in oneDNN's layout, and both biases, made anew only if the weights have changed."""
    return prepared(weights, ("onednn", dtype), lambda: _lay_out(weights, dtype))


def _lay_out(weights: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    w_ih, w_hh, b_ih, b_hh = (weight.detach().to(dtype) for weight in weights)
    laid_out = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(w_ih, w_hh, w_hh.shape[1], False, True, False, None)
    return [*laid_out, b_ih, b_hh]


def onednn_lstm(x: Tensor, h: Tensor, c: Tensor, laid_out: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Run one direction of an LSTM over dense rows, without gradients.

    Args:
        x (`Tensor`): Time-major rows, (S, B, I).
        h, c (`Tensor`): Initial states, (1, B, H).
        laid_out (`list`): What `lay_out` returned for the dtype of x.

    Returns:
        `tuple`: Outputs (S, B, H), final h and c (1, B, H), all in the dtype of x.
    """
    # the operator reads its input and states as contiguous, whatever their strides
    x, h, c = x.contiguous(), h.to(x.dtype).contiguous(), c.to(x.dtype).contiguous()
    out, h, c, _ = torch.ops.aten.mkldnn_rnn_layer.default(x, *laid_out, h, c, False, [], _LSTM, h.shape[2], 1, True, False, False, False)
    return out, h.view(c.shape), c
