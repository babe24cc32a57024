"""Reads the files in tar and zip archives in order, without unpacking to disk and without trusting their headers."""

import gzip
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from convzoo.errors import ConvzooError

GZIP, ZIPS = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
OTHERS = {  # how archives begin that are packed in another way
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x1f\x9d": "compress (.Z)",
    b"]\x00\x00": "LZMA",
}
CHUNK = 1 << 20  # bytes read at a time
HEADER = 1 << 16  # bytes that tarfile may read at once for a header; long names need a few hundred
SLACK = 1 << 13  # bytes of headers and padding that a tar archive may spend on a file
# The filter resolves names in this folder, which should not exist; nothing is unpacked there.
NOWHERE = "/nonexistent"
# Python has it since 3.11.4, but Debian 12 ships 3.11.2. The checks below refuse everything that it refuses, and more.
DATA_FILTER = getattr(tarfile, "data_filter", None)
FOLDER = -1  # instead of an offset, for a folder
DAMAGE = (
    *(EOFError, OSError, ValueError, OverflowError, RuntimeError),
    *(struct.error, zlib.error, zipfile.BadZipFile, tarfile.TarError),
)
AGAIN = "repack it, or download it again: convzoo repro -f download"
PROBLEMS = {
    "[\x00-\x1f\x7f\ud800-\udfff]": "its name is not plain UTF-8 text",
    r"\\": "its name has a backslash",
    "^/|^[A-Za-z]:/": "its path is absolute",
    r"(^|/)\.\.(/|$)": "its path leads out of the archive",
}
SUSPECT = re.compile("|".join((*PROBLEMS, r"//|(^|/)\.(/|$)|/$")))
KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
}


class ArchiveError(ConvzooError):
    """An archive that is damaged, larger than allowed, or contains something unsafe."""


class Limits(NamedTuple):
    """The most that all archives of a source may contain together."""

    files: int
    bytes: int  # unpacked
    pixels: int  # of one picture


class Listing(NamedTuple):
    """The files in an archive, in the archive's order."""

    file: Path
    is_zip: bool
    names: list[str]  # unique relative paths, with /
    places: array  # byte offset of the contents in a tar archive, number of the entry in a zip archive
    sizes: array  # bytes
    folders: list[str]  # relative paths of the folders that have an entry of their own


class Content:
    """One file in an archive, which must be read before the next one is requested.

    Reading raises ArchiveError if the archive is damaged or ends before the file does.
    """

    def __init__(self, listing: Listing, row: int, stream: BinaryIO):
        self.file, self.name, self.left, self.stream = listing.file, listing.names[row], listing.sizes[row], stream
        self.is_zip = listing.is_zip

    def read(self, size: int = -1) -> bytes:
        size = self.left if size < 0 else min(size, self.left)
        with _explained(self.file, self.name):
            data = self.stream.read(size)
            if len(data) < size:
                raise EOFError("it ends too early")
            if self.is_zip and size == self.left:
                self.stream.read(1)  # zipfile checks the checksum when it reads past the end
        self.left -= size
        return data

    def readline(self) -> bytes:
        with _explained(self.file, self.name):
            line = self.stream.readline(self.left)
        self.left -= len(line)
        return line


def archives_in(raw: Path) -> list[Path]:
    """The files that were downloaded to the folder `raw`, sorted: all but its source.json."""
    return sorted(file for file in raw.rglob("*") if file.is_file() and file != raw / "source.json")


def listings(files: Sequence[Path], limits: Limits) -> list[Listing]:
    """The files in archives that are, by their content, tar, tar.gz or zip; reads a tar.gz to its end.

    Raises ArchiveError for an archive that is damaged, for more files or bytes than `limits` in all together, and for
    a member that is a link or a device, is encrypted, occurs twice, or has a path that leads out of the archive.
    """
    archives, count, size = [], 0, 0
    for file in files:
        with _explained(file):
            listing = Listing(file, _checked_kind(file) in ZIPS, [], array("q"), array("q"), [])
            names: set[str] = set()
            for name, place, length in _zip_entries(file) if listing.is_zip else _tar_entries(file, limits):
                if place == FOLDER:
                    listing.folders.append(name)
                    if len(listing.folders) > limits.files:
                        raise ArchiveError(
                            f"{file}: holds more than the allowed {limits.files} folders; {_raise('files')}"
                        )
                    continue
                count, size = count + 1, size + length
                if count > limits.files:
                    raise ArchiveError(
                        f"{file}: {name}: is more than the allowed {limits.files} files; {_raise('files')}"
                    )
                if size > limits.bytes:
                    raise ArchiveError(
                        f"{file}: {name}: is more than the allowed {limits.bytes} bytes; {_raise('bytes')}"
                    )
                if name in names:
                    raise ArchiveError(f"{file}: {name}: is there twice, expected every name once; repack it")
                names.add(name)
                listing.names.append(name)
                listing.places.append(place)
                listing.sizes.append(length)
        archives.append(listing)
    return archives


def contents(listing: Listing, rows: Iterable[int]) -> Iterator[Content]:
    """The files in `rows` of a listing, which must ascend. Raises ArchiveError if the archive is damaged."""
    with _explained(listing.file):
        if listing.is_zip:
            with zipfile.ZipFile(listing.file) as archive:
                entries = archive.infolist()
                for row in rows:
                    with archive.open(entries[listing.places[row]]) as stream:
                        yield Content(listing, row, stream)
        else:
            with _unpacked(listing.file) as stream:
                for row in rows:
                    stream.seek(listing.places[row])
                    yield Content(listing, row, stream)


class _Header(tarfile.TarInfo):
    """A header that raises an error if it is damaged or missing; tarfile would take that for the end."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> "_Header":
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # the end-of-archive mark
            raise
        except tarfile.HeaderError as error:
            raise ValueError(f"{error} at byte {tar.offset}") from None

    def replace(self, **_: object) -> "_Header":
        """Return the member itself: the filter would copy it without its owner and mode, which nothing here reads."""
        return self


class _Headers:
    """The stream that tarfile reads headers from, with limits on their size and number.

    tarfile reads an extended header (PAX, or a GNU long name) at once, whatever size it claims to have, and any number
    of them before a member.
    """

    def __init__(self, stream: BinaryIO, most: int):
        self.stream, self.most, self.spent = stream, most, 0
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int) -> bytes:
        self.spent += size  # since the previous member
        if not 0 <= size <= HEADER or self.spent > 2 * HEADER or self.tell() > self.most:
            raise ValueError(f"its headers take too much room, at byte {self.tell()}")
        return self.stream.read(size)


def _tar_entries(file: Path, limits: Limits) -> Iterator[tuple[str, int, int]]:
    with _unpacked(file) as stream:
        most = limits.bytes + 2 * (limits.files + 1) * SLACK
        headers = _Headers(stream, most)
        archive = tarfile.TarFile(fileobj=headers, tarinfo=_Header)
        while (entry := archive.next()) is not None:
            archive.members.clear()  # tarfile would keep every header
            if len(str(archive.pax_headers)) > HEADER:  # global headers add up
                raise ValueError(f"its headers take too much room, at byte {archive.offset}")
            headers.spent = 0
            name = _checked(file, entry)
            yield (name, FOLDER, 0) if entry.isdir() else (name, entry.offset_data, entry.size)
        while stream.read(CHUNK):  # gzip's checksum is at the end
            if stream.tell() > most:
                raise ArchiveError(f"{file}: has data after its end, expected none; {AGAIN}")


def _checked(file: Path, entry: tarfile.TarInfo) -> str:
    """The normalised path of a member. Raises ArchiveError if it is not a file or folder inside the archive."""
    if not entry.isdir() and (not entry.isreg() or entry.issparse() or entry.size < 0):
        kind = KINDS.get(entry.type, "neither a file nor a folder")
        raise ArchiveError(f"{file}: {entry.name!a}: is {kind}, expected a file or a folder; repack without it")
    name = _normalised_path(file, entry.name)
    try:
        if DATA_FILTER:
            DATA_FILTER(entry, NOWHERE)
    except (tarfile.TarError, OSError) as error:
        raise ArchiveError(
            f"{file}: {entry.name!a}: cannot be unpacked safely ({error}), expected a plain relative path; repack it"
        ) from None
    return name


def _zip_entries(file: Path) -> Iterator[tuple[str, int, int]]:
    with zipfile.ZipFile(file) as archive:
        for number, entry in enumerate(archive.infolist()):
            name, kind = entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16)
            member = f"{file}: {name!a}"
            if entry.flag_bits & 1:
                raise ArchiveError(f"{member}: is encrypted, expected an unencrypted file; repack it without a password")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                what = "a symbolic link" if kind == stat.S_IFLNK else "neither a file nor a folder"
                raise ArchiveError(f"{member}: is {what}, expected a file or a folder; repack without it")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ArchiveError(f"{member}: is packed by an unusual method, expected deflate; repack it with that")
            path = _normalised_path(file, name)
            yield (path, FOLDER, 0) if entry.is_dir() else (path, number, entry.file_size)


def _checked_kind(file: Path) -> bytes:
    """The first four bytes. Raises ArchiveError for an archive that is packed in a way that is not supported."""
    with file.open("rb") as stream:
        start = stream.read(8)
    for mark, packing in OTHERS.items():
        if start.startswith(mark):
            raise ArchiveError(
                f"{file}: is packed with {packing}, expected a tar, tar.gz or zip archive; unpack it, pack it again as "
                "one of these, and give params.yaml its new name and checksum"
            )
    return start[:4]


@contextmanager
def _unpacked(file: Path) -> Iterator[BinaryIO]:
    with file.open("rb", buffering=CHUNK) as stream:
        packed = stream.peek(2)[:2] == GZIP
        if not packed:
            yield stream
            return
        with gzip.open(stream) as unpacked:
            yield unpacked


def _normalised_path(file: Path, name: str) -> str:
    """The path without empty parts and dots. Raises ArchiveError for one that leads out of the archive."""
    if not SUSPECT.search(name):
        return name
    for pattern, problem in PROBLEMS.items():
        if re.search(pattern, name):
            raise ArchiveError(f"{file}: {name!a}: {problem}, expected a plain relative path; repack it with one")
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _raise(limit: str) -> str:
    return f"if it is to be trusted, raise limits.{limit} of its source in params.yaml"


@contextmanager
def _explained(file: Path, name: str = "") -> Iterator[None]:
    """Raise the errors of a damaged archive as ArchiveError."""
    try:
        yield
    except DAMAGE as error:
        where = f"{file}: {name}" if name else f"{file}"
        raise ArchiveError(
            f"{where}: is damaged ({error}), expected a whole tar, tar.gz or zip archive; {AGAIN}"
        ) from None
