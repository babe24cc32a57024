"""The table of messages about downloads and archives: each names the thing, what was expected and what to do."""

import stat
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from helpers.bad_server import CONTENT, bad_server
from helpers.messages import Row, each, look
from helpers.raw_sets import settings, tar, zipped

from convzoo.data.formats.members import Limits, contents, listings
from convzoo.data.sources import archive
from convzoo.settings.sources import ArchiveFile

MD5 = "md5:" + "0" * 32
SMALL = Limits(files=3, bytes=5000, pixels=100)
COLOUR = settings(classes="source", height=8, width=8, channels=3)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An empty project as current folder, and a server that misbehaves."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("CONVZOO_MIRROR", raising=False)
    monkeypatch.setattr(archive, "TIMEOUTS", (1, 0.1))
    monkeypatch.setattr(archive, "BACK_OFF", 0)
    monkeypatch.chdir(tmp_path)
    with bad_server() as server:
        yield SimpleNamespace(address=server.address, patch=monkeypatch)


def bring(world, kind=None, mirror=None):
    if mirror:
        world.patch.setenv("CONVZOO_MIRROR", mirror)
    url = kind and (kind if "://" in kind else f"{world.address}/{kind}")
    file = ArchiveFile(url=url, mirror="some/digits.gz", checksum=MD5, bytes=len(CONTENT))
    archive.fetch({"digits.gz": file}, Path("raw"))


def held(world):
    place = Path("data/downloads", MD5.replace(":", "-") + ".lock")
    place.parent.mkdir(parents=True)
    with FileLock(place):
        bring(world, "good")


def full(world):
    def write(*_):
        raise OSError(28, "No space left on device")

    world.patch.setattr(archive, "_write", write)
    bring(world, "good")


WAY_OUT = "run again to continue, or set CONVZOO_MIRROR to .* has some/digits.gz"
WHOLE = r"\(expected: 102400 bytes, md5:0000"
ONLY = "or set CONVZOO_MIRROR to .* has some/digits.gz"


def server(kind, told):
    """A row of what a server answers."""
    return Row(f"download: {kind}", lambda world: bring(world, kind), f"digits.gz: .*{told}", WHOLE, WAY_OUT)


DOWNLOADS = [
    *(
        server(kind, told)
        for kind, told in {
            "absent": "404",
            "forbidden": "403",
            "broken": "500",
            "html": "HTML page, expected a file of 102400 bytes",
            "long": "102401 bytes, expected 102400",
            "endless": "sends more than the expected 102400",
            "wrong": "expected 102400 bytes with md5 0000",
            "always_cut": "broke off after 1000 of 102400",
            "silent": "broke off after 0 of 102400",
            "circles": "Exceeded 30 redirects",
            "http://127.0.0.1:1/x": "cannot be reached",
        }.items()
    ),
    Row("download: no address", bring, "digits.gz: has no address", WHOLE, "set CONVZOO_MIRROR .* some/digits.gz"),
    Row("download: bad mirror", lambda w: bring(w, mirror="no"), "digits.gz: .*/no/some", WHOLE, f"fix it, {ONLY}"),
    Row("download: ftp", lambda w: bring(w, mirror="ftp://x/y"), "MIRROR: got ftp", "expected a folder", "set it to"),
    Row("download: two at once", held, "digits.gz: .*another process", "expected one", "wait for that one, then run"),
    Row(
        "download: disk full", full, r"\.part: cannot be written", "expected room for it", "make some and run the same"
    ),
]


def read(file, limits=SMALL):
    for listing in listings([file], limits):
        for content in contents(listing, range(len(listing.names))):
            content.read()


def named(name, pack=tar):
    return lambda _: read(pack(Path("a"), [(name, b"x")]))


def of_kind(kind):
    def cause(_):
        with tarfile.open("a", "w") as opened:
            entry = tarfile.TarInfo("odd")
            entry.type, entry.linkname = kind, "x"
            opened.addfile(entry)
        read(Path("a"))

    return cause


def zip_entry(mode=0, method=zipfile.ZIP_STORED, flag=0):
    def cause(_):
        with zipfile.ZipFile("a", "w", method) as opened:
            entry = zipfile.ZipInfo("odd")
            entry.external_attr, entry.compress_type = mode << 16, method
            opened.writestr(entry, b"x")
        content = bytearray(Path("a").read_bytes())
        content[content.index(b"PK\x01\x02") + 8] |= flag
        Path("a").write_bytes(content)
        read(Path("a"))

    return cause


def many(count, size=1, ending=""):
    return lambda _: read(zipped(Path("a"), [(f"{n}{ending}", b"x" * size * (not ending)) for n in range(count)]))


def cut(_):
    whole = tar(Path("a"), [("x", b"x" * 900)]).read_bytes()
    Path("a").write_bytes(whole[:-20])
    read(Path("a"))


REPACK = "repack"
PLAIN = "expected a file or a folder"
TRUSTED = "if it is to be trusted, raise limits"
ARCHIVES = [
    Row("archive: ..", named("../x"), r"a: '\.\./x'", "leads out.* expected a plain relative path", REPACK),
    Row("archive: absolute", named("/x"), "a: '/x'", "absolute, expected a plain relative path", REPACK),
    Row("archive: drive", named("C:/x", zipped), "a: 'C:/x'", "absolute, expected a plain relative", REPACK),
    Row("archive: backslash", named("a\\x", zipped), "a: ", "backslash, expected a plain relative", REPACK),
    Row("archive: escape code", named("a\x1b[2J"), "a: ", "UTF-8 text, expected a plain relative", REPACK),
    *(
        Row(f"archive: {name}", of_kind(kind), f"a: 'odd': is {name}", PLAIN, REPACK)
        for kind, name in {
            tarfile.SYMTYPE: "a symbolic link",
            tarfile.LNKTYPE: "a hard link",
            tarfile.BLKTYPE: "a device",
            tarfile.FIFOTYPE: "a pipe",
        }.items()
    ),
    Row("archive: link in zip", zip_entry(stat.S_IFLNK), "a: 'odd': is a symbolic link", PLAIN, REPACK),
    Row("archive: encrypted", zip_entry(flag=1), "a: 'odd': is encrypted", "expected an unencr", "without a password"),
    Row(
        "archive: method", zip_entry(method=zipfile.ZIP_LZMA), "a: 'odd': .*unusual method", "expected deflate", REPACK
    ),
    Row(
        "archive: twice", lambda _: read(tar(Path("a"), [("x", b"")] * 2)), "a: x: ", "expected every name once", REPACK
    ),
    Row("archive: files", many(4), "a: 3: ", "more than the allowed 3 files", f"{TRUSTED}.files"),
    Row("archive: bomb", many(1, 10**6), "a: 0: ", "more than the allowed 5000 bytes", f"{TRUSTED}.bytes"),
    Row("archive: folders", many(4, ending="/"), "a: ", "more than the allowed 3 folders", f"{TRUSTED}.files"),
    Row("archive: cut", cut, "a: is damaged", "expected a whole tar, tar.gz or zip archive", REPACK),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@each(DOWNLOADS, ARCHIVES)
def test_a_message_names_the_thing_what_was_expected_and_what_to_do(world, capsys, row):
    look(row, world, capsys)
