"""What the process keeps of memory that tensors gave back."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h, mallopt(3)."""
KEPT_BYTES = 2**30
LARGEST_BYTES = 2**27
"""Of one tensor. Of larger ones, of which each batch has others, few fit into the place of another, and the places add up."""


def keep_freed_memory() -> None:
    """The process keeps a gigabyte of what is freed, and takes all but the largest new tensors from it; with glibc's malloc.

    By itself glibc gives a large tensor back to the kernel, often several times a step, and each page that comes again is a
    fault and filled with zeros: a quarter of the time of a step of a convolutional network. It holds for the whole process.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
