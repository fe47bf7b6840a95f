"""What the process keeps of memory that tensors gave back."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h, mallopt(3)."""


def keep_freed_memory(num_bytes: int = 2**30) -> None:
    """The process keeps so much of what is freed, up to 2³¹ − 1, and takes new tensors from it; where malloc is glibc's.

    By itself glibc gives a large tensor back to the kernel, often several times a step, and each page that comes again is a
    fault and filled with zeros: a quarter of the time of a step of a convolutional network. It holds for the whole process.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, num_bytes)
        mallopt(M_TRIM_THRESHOLD, num_bytes)
