"""Weights in the form that a kernel wants them, kept between calls of inference."""

import ctypes
import os
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

# of the first weight: each form, with what it was made from
_forms: Any = WeakIdKeyDictionary()

# a tenth of the time of `torch.equal` on small weights, a third on large ones, and NaN is itself
_memcmp = (ctypes.CDLL(None) if os.name == "posix" else ctypes.cdll.msvcrt).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


def _is_unchanged(weights: list[Tensor], places: list[int], copies: list[Tensor]) -> bool:
    """Return whether weights lie where they lay and hold, to the bit, what they held."""
    return [weight.data_ptr() for weight in weights] == places and not any(
        _memcmp(place, copy.data_ptr(), copy.nbytes) for place, copy in zip(places, copies, strict=True)
    )


def prepared(weights: list[Tensor], form: Hashable, prepare: Callable[[], Any]) -> Any:
    """Return `prepare()`, or what it returned last time if the weights are the same.

    All of them are compared: `weight.data`, NumPy and other processes change values without a trace in PyTorch's versions.

    Args:
        weights (`list`): What the form is made of, contiguous on a CPU; the cache lives as long as the first of them.
        form (`Hashable`): Name of the form.
        prepare (`Callable`): Makes it; what it returns may share memory with the weights but must not hold them.
    """
    forms = _forms.setdefault(weights[0], {})
    if form not in forms or not _is_unchanged(weights, *forms[form][:2]):
        # copied first: a change in the meantime shows at the next call
        copies = [weight.detach().clone() for weight in weights]
        forms[form] = ([weight.data_ptr() for weight in weights], copies, prepare())
    return forms[form][2]


def cast(weights: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Return weights in a dtype, without gradients, made anew only if they have changed."""
    if all(weight.dtype == dtype for weight in weights):
        return [weight.detach() for weight in weights]
    return prepared(weights, ("cast", dtype), lambda: [weight.detach().to(dtype) for weight in weights])


def weight_forms(parameters: list[Tensor], dtype: torch.dtype, make: Callable[[list[Tensor], torch.dtype], Any], is_training: bool) -> Any:
    """Return the input weights of each direction in a dtype, and what `make` makes of the rest: anew while training.

    Args:
        parameters (`list`): w_ih, w_hh, b_ih, b_hh of each direction.
        dtype (`torch.dtype`): That of products.
        make (`Callable`): Takes w_hh, b_ih, b_hh of each direction and the dtype.
        is_training (`bool`): Whether the weights change from call to call.
    """
    w_ih, rest = parameters[::4], [weight for index, weight in enumerate(parameters) if index % 4]
    if is_training:
        return [weight.to(dtype) for weight in w_ih], make(rest, dtype)
    return cast(w_ih, dtype), prepared(rest, dtype, lambda: make(rest, dtype))
