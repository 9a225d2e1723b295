"""Where models run."""

import torch


def find_device(name: str = "auto") -> torch.device:
    """Return a device by its name: for "auto" the accelerator if there is one, else the CPU.

    Raises:
        ValueError: There is no such device here.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ValueError(f"`device` must be auto, cpu or an accelerator here, got {name!r} ({reason}). Pass --device cpu.") from error
    return torch.device(name)
