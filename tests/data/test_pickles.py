"""Pickles in CIFAR's archives that want more than to be read, or are damaged."""

import os
import pickle
import struct
import tracemalloc

import pytest
from helpers.cifar_files import array, framed, pixels, python2, raw, read, ten, text

from convzoo.errors import ConvzooError


def call(module, name, arguments):
    """A pickle that calls a function."""
    return f"c{module}\n{name}\n".encode() + arguments + b"R"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy", "ndarray.tofile"),
        ("_codecs", "decode"),
        ("codecs", "encode"),
        ("copyreg", "_reconstructor"),
    ],
)
def test_a_pickle_that_asks_for_anything_else_is_refused_and_nothing_runs(tmp_path, module, name):
    witness = tmp_path / "witness"
    files = ten()
    files["cifar-10-batches-py/data_batch_2"] = framed(
        call(module, name, text(f"touch '{witness}'".encode()) + b"\x85")
    )
    with pytest.raises(ConvzooError, match=rf"data_batch_2: asks for {module}.{name}, which no batch of CIFAR needs"):
        read(raw(tmp_path / "raw", files))
    assert not witness.exists()


class Reduced:
    """Python 3's way to ask for a call."""

    def __reduce__(self):
        return os.system, ("exit 1",)


@pytest.mark.parametrize("protocol", range(5))
def test_no_protocol_is_a_way_round(tmp_path, protocol):
    files = ten() | {"cifar-10-batches-py/test_batch": pickle.dumps({"data": Reduced()}, protocol=protocol)}
    with pytest.raises(ConvzooError, match=r"test_batch: asks for (posix|nt).system"):
        read(raw(tmp_path / "raw", files))


OBJECTS = array(b"](" + b"K\x01" * 3072 + b"e", b"K\x01M\x00\x0c\x86", dtype=b"O8")


@pytest.mark.parametrize(
    "data",
    [
        OBJECTS,
        array(bytes(6144), b"K\x01M\x00\x0c\x86", dtype=b"u2"),
        array(bytes(3072), b"K\x02M\x00\x0c\x86"),  # two rows, bytes of one
        array(bytes(3072), b"J\xff\xff\xff\xffJ\x00\xf4\xff\xff\x86"),  # minus one row of minus 3072
        array(bytes(3072), b"U\x01xM\x00\x0c\x86"),
        array(bytes(3072), b"K\x01M\x00\x0cK\x01\x87"),
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nJ\xff\xff\xff\x7f\x85U\x01b\x87R",  # two gigabytes
        b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R",
        b"cnumpy\nndarray\n",
        b"cnumpy\ndtype\nU\x02u1\x85R",
        b"c_codecs\nencode\n",
    ],
)
def test_an_array_that_is_none_is_refused(tmp_path, data):
    batch = framed(b"}(U\x04data" + data + b"U\x06labels](K\x01eu")
    with pytest.raises(ConvzooError, match=r"data_batch_1: (data is not what it should be|has \w+ under data)"):
        read(raw(tmp_path / "raw", ten() | {"cifar-10-batches-py/data_batch_1": batch}))


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b"<html>",
        framed(b"K\x01"),  # a number
        framed(b"}(K\x01K\x02u"),  # a number as the key
        framed(b"}(]K\x02u"),
        framed(b"\x96" + struct.pack("<Q", 1 << 28)),  # a quarter of a gigabyte, it says
        framed(b"\x8e" + struct.pack("<Q", 1 << 60)),
        framed(b"}r\xff\xff\xff\xff"),  # C's unpickler would make room for four thousand million objects
        framed(call("_codecs", "encode", b"X\x01\x00\x00\x00xX\x05\x00\x00\x00utf16\x86")),
        framed(b"cnumpy\nndarray\n}U\x01aK\x01sb"),  # to change a class
        framed(b"c_codecs\nencode\nN}U\x08__code__K\x01s\x86b"),  # to change a function
        framed(b"U\x01x\x85Q"),
        framed(python2({"data": pixels(0)}))[:2000],
    ],
)
def test_a_pickle_that_is_no_batch_is_named_and_gets_no_memory(tmp_path, pickled):
    folder = raw(tmp_path / "raw", ten() | {"cifar-10-batches-py/data_batch_1": pickled})
    tracemalloc.start()
    try:
        with pytest.raises(ConvzooError, match=r"data_batch_1: (is no batch of CIFAR|is damaged|has nothing under)"):
            read(folder)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_text_turned_to_bytes_again_and_again_does_not_fill_the_memory(tmp_path):
    once = call("_codecs", "encode", b"h\x01X\x06\x00\x00\x00latin1\x86")
    pickled = framed(b"X" + struct.pack("<i", 100_000) + b"x" * 100_000 + b"q\x010](" + once * 40 + b"e")
    with pytest.raises(ConvzooError, match=r"data_batch_1: is no batch of CIFAR .*100000 characters"):
        read(raw(tmp_path / "raw", ten() | {"cifar-10-batches-py/data_batch_1": pickled}))
