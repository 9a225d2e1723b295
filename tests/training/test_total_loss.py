"""The sum of losses, and the step at which one is no number."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hf_rnn.training.total_loss import TotalLoss


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_first_bad_step(bad):
    """The first bad loss is told with its step, also where it is another one of the step, and later ones change nothing."""
    total = TotalLoss(1.5)
    assert [total.add(step, torch.tensor(0.25)) for step in (1, 2)] == [0, 0]
    assert total.total == 2.0 and total.state()["args"] == {"total": 2.0}
    assert total.add(3, torch.tensor(0.25), torch.tensor(bad)) == 3
    assert total.add(4, torch.tensor(bad)) == total.bad_step == 3
    total.total = 7.0
    assert (total.total, total.bad_step) == (7.0, 0)


def test_no_step_waits_for_the_device():
    """What a step reads is the copy in the memory of the host, never the loss or a value made of it."""
    read = []

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten._local_scalar_dense.default:
                read.append(args[0])
            return func(*args, **(kwargs or {}))

    total = TotalLoss()
    with Reads():
        for step in range(1, 4):
            total.add(step, torch.tensor(0.5), torch.tensor(0.5))
    assert len(read) == 3 and all(value is total._known for value in read)
    assert total.total == 1.5
