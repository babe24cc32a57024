"""Keeps freed memory in the process, for the next tensors of a training."""

import ctypes
import sys

# Of mallopt, in glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER = 2**31 - 1
PAD = 64 << 20  # bytes asked for at a time


def keep_freed_memory() -> bool:
    """Keep memory that is freed, for the next tensor, as far as the C library allows it; return whether it does.

    By default glibc returns every large tensor to the operating system, which then clears each of its pages again for
    the same tensor of the next step. Changes no result.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, such as musl
        return False
    return all(set_option(*option) for option in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, PAD)))
