"""LSTM inference by oneDNN with weights laid out once: PyTorch's own layer lays them out anew at every call.

For a single short text that costs as much as the recurrence itself. The operators are those that `torch.compile` uses when it
freezes a model; where a build has none, `is_available` says so.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .prepared import prepared

# mode 2 of PyTorch's recurrent layers is the LSTM
_LSTM = 2
# bytes of weights beyond which a processor's own cache does not hold them twice
_LARGE = 1 << 20


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


def lstm_inference(
    weights: list[Tensor], dtype: torch.dtype, rows: int, num_steps: int
) -> Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, tuple[Tensor, ...]]]:
    """Return how to run one direction of an LSTM without gradients: by oneDNN, or step by step where that costs less.

    Args:
        weights (`list`): w_ih, w_hh, b_ih, b_hh.
        dtype (`torch.dtype`): That of the tokens, which `is_available`.
        rows, num_steps (`int`): How many rows run, and for how many steps at most.

    Returns:
        `Callable`: Takes time-major tokens (S, B, I) and h, c, (1, B, H) each; returns outputs (S, B, H) and the final h, c.
    """
    # what was laid out is compared with the weights at every call; large ones come from memory for that, as they do for a step
    few = 4 if sum(weight.nbytes for weight in weights) > _LARGE and rows <= 8 else 1
    if num_steps <= few and all(weight.dtype == dtype for weight in weights):
        return partial(_lstm_steps, weights=[weight.detach() for weight in weights])
    laid_out = lay_out(weights, dtype)

    def call(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        out, h, c = onednn_lstm(x, state[0], state[1], laid_out)
        return out, (h, c)

    return call


def _lstm_steps(x: Tensor, state: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run an LSTM over time-major tokens (S, B, I) by plain operations, which take the weights as they are."""
    w_ih, w_hh, b_ih, b_hh = weights
    h, c = (part[0].to(x.dtype) for part in state)
    size_h, outputs = w_hh.shape[1], []
    # (S, B, 4H)
    shares = torch.addmm(b_ih + b_hh, x.flatten(0, 1), w_ih.t()).view(*x.shape[:2], -1)
    for gates in shares.unbind(0):
        gates.addmm_(h, w_hh.t())
        i, f, g, o = gates.chunk(4, dim=1)
        gates[:, : 2 * size_h].sigmoid_()
        o.sigmoid_()
        # (B, H)
        c = (f * c).addcmul_(i, g.tanh_())
        h = o * c.tanh()
        outputs.append(h)
    return torch.stack(outputs), (h[None], c[None])
