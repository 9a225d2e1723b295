"""Memory for the big, short-lived tensors of the CPU kernels."""

import ctypes
import mmap
import threading
import weakref
from math import prod

import torch
from torch import Tensor


class Workspace:
    """A cache of big blocks of memory, which come back by themselves when the last tensor in them dies.

    The C library returns big blocks to the system at once, and the system hands out fresh ones page by page: at every call of a
    recurrent layer that costs about as much as its gates. Blocks here are anonymous memory, in huge pages where the system
    offers them, and stay with the process.
    """

    # smaller tensors are left to PyTorch
    smallest = 1 << 20

    def __init__(self) -> None:
        self._free: list[mmap.mmap] = []
        self._lock = threading.Lock()

    def empty(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Return an uninitialised tensor on the CPU."""
        size = prod(shape) * dtype.itemsize
        if size < self.smallest:
            return torch.empty(shape, dtype=dtype)
        block = self._find(size) or _map(size + size // 4)
        # the tensor's storage owns the lease, and its end frees the block
        lease = (ctypes.c_char * len(block)).from_buffer(block)
        weakref.finalize(lease, self._free.append, block).atexit = False
        return torch.frombuffer(lease, dtype=dtype, count=prod(shape)).view(shape)

    def _find(self, size: int) -> mmap.mmap | None:
        """Take the smallest free block that fits without waste; where all are too small, let the smallest go for a bigger one."""
        # blocks come back without the lock: appending is safe, and may happen while this thread holds it
        with self._lock:
            free = sorted(self._free, key=len)
            chosen = next((block for block in free if size <= len(block) <= 4 * size), None)
            if chosen is not None:
                self._free.remove(chosen)
            elif free and len(free[0]) < size:
                self._free.remove(free[0])
            return chosen


def _map(size: int) -> mmap.mmap:
    """Return fresh memory that a forked process does not share."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return block
