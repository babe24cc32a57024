"""Root without its power over files that it has no rights to."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3, with 64 capabilities in two blocks
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2  # numbers of the capabilities


class Header(ctypes.Structure):
    """To which thread a call applies; 0 is the calling one."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Block(ctypes.Structure):
    """32 capabilities."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def as_a_user() -> Iterator[None]:
    """In this thread and those that it starts (not in programs), files without rights cannot be read or written."""
    if os.geteuid():
        yield
        return
    libc, header, blocks = ctypes.CDLL(None, use_errno=True), Header(VERSION, 0), (Block * 2)()

    def call(function: str) -> None:
        if getattr(libc, function)(ctypes.byref(header), blocks):
            raise OSError(ctypes.get_errno(), function)

    call("capget")
    before = blocks[0].effective
    blocks[0].effective &= ~(1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH)
    call("capset")
    try:
        yield
    finally:
        blocks[0].effective = before
        call("capset")
