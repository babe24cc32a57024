"""Pictures from a folder of one's own, packed the same way wherever they lie; and the note about what is drawn."""

import json
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from convzoo.data.download import download
from convzoo.data.sources import folder, packing
from convzoo.errors import ConvzooError
from convzoo.files import sha256_of
from convzoo.settings.sources import FolderSource, Limits, SyntheticSource

NAMES = ["cat/b.PNG", "cat/a.jpg", "dog/deep er/ü.webp", "dog/c.bmp"]


def picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")


def source(path, **limits):
    allowed = {"files": 9, "bytes": 10_000, "pixels": 100} | limits
    return FolderSource(
        kind="folder", licence="my own", path=str(path), layout="{class}/**/*", limits=Limits(**allowed)
    )


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    return tmp_path


@pytest.fixture
def pets(project):
    for seed, name in enumerate(NAMES):
        picture(project / "pets" / name, seed)
    return project / "pets"


def packed(path="pets", **limits):
    """The archive made of a folder."""
    folder.fetch(source(path, **limits), packing.Path("raw"))
    return packing.Path("raw/pictures.tar")


def members(archive):
    with tarfile.open(archive) as opened:
        return {entry.name: opened.extractfile(entry).read() for entry in opened}


def test_every_picture_is_packed_under_its_name_in_the_folder(pets):
    found = members(packed())
    assert list(found) == sorted(NAMES)
    assert all(found[name] == (pets / name).read_bytes() for name in NAMES)


def test_a_copy_made_later_in_another_order_by_another_user_gives_the_same_bytes(project, pets):
    first = packed().read_bytes()
    for name in reversed(NAMES):
        copied = project / "elsewhere/copy" / name
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes((pets / name).read_bytes())
        copied.chmod(0o600)
        os.utime(copied, (1, 123456.789))
    assert packed(project / "elsewhere/copy").read_bytes() == first
    with tarfile.open(project / "raw/pictures.tar") as archive:
        for entry in archive:
            assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")
            assert entry.mode == 0o644 and entry.isreg() and "mtime" not in entry.pax_headers


def test_other_files_are_left_out_and_counted_and_hidden_ones_left_out(pets, capsys):
    (pets / "notes.txt").write_text("seen on Monday")
    (pets / "cat/list.csv").write_text("a.jpg")
    (pets / "cat/README").write_text("cats")
    picture(pets / ".trash/old.png")
    picture(pets / "cat/._a.jpg")
    assert list(members(packed())) == sorted(NAMES)
    told = capsys.readouterr().out
    assert "4 pictures packed" in told
    assert "left out 3 other files (" in told and "1 .csv" in told and "cat/README, cat/list.csv, notes.txt" in told


def test_a_path_may_be_relative_to_the_project_absolute_or_from_home(project, pets, monkeypatch):
    monkeypatch.setenv("HOME", str(project))
    expected = packed(pets).read_bytes()
    assert packed("~/pets").read_bytes() == expected
    assert packed("./raw/../pets").read_bytes() == expected


def test_a_link_inside_the_folder_is_packed_as_the_picture_that_it_leads_to(pets):
    (pets / "dog/z.jpg").symlink_to("../cat/a.jpg")
    assert members(packed())["dog/z.jpg"] == (pets / "cat/a.jpg").read_bytes()


def outside(pets):
    picture(pets.parent / "secret.png")
    (pets / "cat/x.png").symlink_to(pets.parent / "secret.png")


def dangling(pets):
    (pets / "cat/x.png").symlink_to("nowhere.png")


def linked_folder(pets):
    (pets / "fish").symlink_to(pets / "cat", target_is_directory=True)


def pipe(pets):
    os.mkfifo(pets / "cat/x.png")


def broken_name(pets):
    (pets / "cat/x\ny.png").write_bytes(b"")


def no_utf8(pets):
    (pets / "cat" / os.fsdecode(b"x\xff.png")).write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (outside, r"cat/x\.png: is a link that leads out of .*pets; put the picture itself there"),
        (dangling, r"cat/x\.png: is not a file that can be read"),
        (linked_folder, "fish: is a link, expected a folder; put the folder itself there"),
        (pipe, r"cat/x\.png: is not a file that can be read"),
        (broken_name, r"the file name 'cat/x\\ny\.png' is not plain text"),
        (no_utf8, r"the file name 'cat/x\\udcff\.png' is not plain text"),
    ],
)
def test_what_is_no_plain_picture_file_of_the_folder_is_refused_by_name(pets, spoil, message):
    spoil(pets)
    with pytest.raises(ConvzooError, match=message):
        packed()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"files": 3}, r"pets: holds more pictures than limits\.files: 3 in params\.yaml allows"),
        ({"bytes": 200}, r"pets: holds more pictures than limits\.bytes: 200 in params\.yaml allows"),
    ],
)
def test_more_than_the_limits_is_refused(pets, limits, message):
    with pytest.raises(ConvzooError, match=message):
        packed(**limits)


def test_a_folder_that_is_not_there_or_is_a_file_is_named_with_its_setting(project):
    with pytest.raises(ConvzooError, match=r"/nowhere: is not there; expected a folder .*\(path: nowhere in params"):
        packed("nowhere")
    (project / "file").write_text("")
    with pytest.raises(ConvzooError, match="/file: is a file, not a folder"):
        packed("file")
    with pytest.raises(ConvzooError, match=r"path: ~nobody-of-this-name/x: .*; write the whole path"):
        packed("~nobody-of-this-name/x")


def test_a_folder_without_pictures_says_what_was_expected_and_what_it_has(project):
    (project / "empty").mkdir()
    with pytest.raises(ConvzooError, match=r"/empty: has no pictures \(JPEG, .*\), expected \{class\}/\*\*/\*; put"):
        packed("empty")
    for number in range(7):
        (project / "empty" / f"{number}.heic").write_text("")
    with pytest.raises(ConvzooError, match=r"7 other files \(7 \.heic\): 0\.heic, .*4\.heic, \.\.\.; put"):
        packed("empty")


def test_a_download_packs_a_folder_and_says_what_it_is(project, pets):
    download("my-pets", source("pets"), project / "data/raw/pets")
    archive = project / "data/raw/pets/pictures.tar"
    assert json.loads((project / "data/raw/pets/source.json").read_text()) == {
        "name": "my-pets",
        "kind": "folder",
        "format": "pictures",
        "licence": "my own",
        "homepage": None,
        "layout": "{class}/**/*",
        "limits": {"files": 9, "bytes": 10_000, "pixels": 100},
        "files": {"pictures.tar": {"sha256": sha256_of(archive), "bytes": archive.stat().st_size}},
    }


def test_a_failed_download_leaves_the_folder_as_it_was(project, pets):
    raw = project / "data/raw/pets"
    download("my-pets", source("pets"), raw)
    with pytest.raises(ConvzooError):
        download("my-pets", source("pets", files=1), raw)
    assert sorted(path.name for path in raw.iterdir()) == ["pictures.tar", "source.json"]
    assert [path.name for path in raw.parent.iterdir()] == ["pets"]


def test_what_is_drawn_is_noted_with_its_drawing_and_seed(project):
    about = {"kind": "synthetic", "licence": "MIT", "drawing": "shapes10", "seed": 5}
    download("drawn", SyntheticSource(**about, images=40), project / "raw")
    note = json.loads((project / "raw/source.json").read_text())
    assert sorted(note.pop("files")) == ["images.npy", "labels.npy", "names.json"]
    assert note == {"name": "drawn", "format": "arrays", "homepage": None, **about}
