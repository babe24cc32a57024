"""Tar archives whose headers are written byte by byte: they claim too much, or describe too much."""

import gzip
import struct
import tarfile
import tracemalloc
import zlib

import pytest
from helpers.raw_sets import tar

from convzoo.data.formats import members
from convzoo.data.formats.members import Limits, contents, listings
from convzoo.errors import ConvzooError

LIMITS = Limits(files=10, bytes=100_000, pixels=1)


def read(file, limits=LIMITS):
    """Names and contents of everything in an archive."""
    (listing,) = listings([file], limits)
    return [(content.name, content.read()) for content in contents(listing, range(len(listing.names)))]


def header(kind, size, name=b"x", more=b""):
    """A tar header with the given size field."""
    block = bytearray(struct.pack("100s24x12s12x8s1s100x8s217x1s29x", name, size, b" " * 8, kind, b"ustar  ", more))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("name", "kind"), [("../x", b"0"), ("/x", b"0"), ("x", tarfile.SYMTYPE), ("x", tarfile.CHRTYPE), ("x", b"V")]
)
def test_a_python_without_tarfiles_data_filter_refuses_the_same(tmp_path, monkeypatch, name, kind):
    monkeypatch.setattr(members, "DATA_FILTER", None)
    (tmp_path / "a").write_bytes(header(kind, b"00000000000\0", name.encode()) + bytes(1024))
    with pytest.raises(ConvzooError, match=f"a: '{name}': .*, expected a"):
        read(tmp_path / "a")
    assert read(tar(tmp_path / "b", [("x", b"whole")])) == [("x", b"whole")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(b"x", b"17777777777\0"), "headers take too much room"),
        (header(b"L", b"17777777777\0"), "headers take too much room"),
        (header(b"L", b"\xff" * 10 + b"\xfe\x00"), "headers take too much room"),  # minus 512: all that there is
        (header(b"0", b"\xff" * 12), "damaged|neither a file"),  # minus one
        (header(b"0", b"\xff" * 10 + b"\xfe\x00"), "damaged|neither a file"),  # minus 512: the same header for ever
        (header(b"0", b"00000000x00\0"), "damaged"),
        (header(b"0", b"00000010000\0"), "damaged"),  # and nothing behind it
        (header(b"g", b"00000000000\0") * 3000, "damaged"),
    ],
)
def test_a_tar_header_cannot_ask_for_more_than_there_is(tmp_path, content, message):
    for name, packed in (("plain", content + bytes(1024)), ("packed", gzip.compress(content + bytes(1024)))):
        (tmp_path / name).write_bytes(packed)
        with pytest.raises(ConvzooError, match=message):
            read(tmp_path / name)


def extended(kind, payload):
    """A header with a payload that describes the member behind it, or all of them."""
    return header(kind, b"%011o\0" % len(payload)) + payload + bytes(-len(payload) % 512)


EMPTY = header(b"0", b"00000000000\0")
RECORD = b"60013 %05d=" + b"x" * 60_000 + b"\n"
SPARSE = header(b"S", b"00000000000\0", more=b"1")  # a map follows
MAP = (b"00000000001\0" * 42 + b"1").ljust(512, b"\0")  # and goes on in the next block


@pytest.mark.parametrize(
    "headers",
    [
        [extended(b"x", bytes(30 << 20))],
        [extended(b"L", bytes(30 << 20))],
        [extended(b"x", RECORD % number) for number in range(300)],
        [extended(b"L", b"x" * 60_000)] * 300,
        [extended(b"g", RECORD % number) + EMPTY for number in range(300)],
        [SPARSE, MAP * 30_000],
    ],
    ids=["PAX", "long name", "many PAX", "many long names", "many global PAX", "sparse map"],
)
def test_extended_headers_take_little_memory_before_they_are_refused(tmp_path, headers):
    with gzip.open(tmp_path / "a", "wb", compresslevel=1) as out:
        out.writelines([*headers, EMPTY, bytes(1024)])
    tracemalloc.start()
    try:
        with pytest.raises(ConvzooError, match="headers take too much room"):
            read(tmp_path / "a", limits=Limits(files=100_000, bytes=10**9, pixels=1))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_headers_that_take_far_more_room_than_the_files_they_describe_are_refused(tmp_path):
    named = [extended(b"x", RECORD % 0 + b"10 path=%d\n" % number) + EMPTY for number in range(9)]
    for count in (3, 9):
        (tmp_path / str(count)).write_bytes(b"".join(named[:count]) + bytes(1024))
    assert [name for name, _ in read(tmp_path / "3")] == ["0", "1", "2"]
    with pytest.raises(ConvzooError, match="headers take too much room"):
        read(tmp_path / "9")


def test_a_listing_of_many_files_keeps_little_of_each(tmp_path):
    count = 3000
    (tmp_path / "a").write_bytes(
        b"".join(header(b"0", b"00000000000\0", b"%d" % number) for number in range(count)) + bytes(1024)
    )
    tracemalloc.start()
    try:
        (listing,) = listings([tmp_path / "a"], LIMITS._replace(files=count))
        assert tracemalloc.get_traced_memory()[0] < 300 * count
        assert tracemalloc.get_traced_memory()[1] < (1 << 20) + 500 * count
    finally:
        tracemalloc.stop()
    assert listing.names == [str(number) for number in range(count)]


def test_a_gzip_stream_without_end_is_refused(tmp_path):
    packer = zlib.compressobj(wbits=31)
    zeros = bytes(1 << 20)
    with (tmp_path / "a").open("wb") as out:
        out.write(packer.compress(header(b"0", b"00000000000\0") + bytes(1024)))
        for _ in range(20):
            out.write(packer.compress(zeros))
        out.write(packer.flush())
    with pytest.raises(ConvzooError, match="a: has data after its end"):
        read(tmp_path / "a")
