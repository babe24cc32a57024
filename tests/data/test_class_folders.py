"""Class folders that would vanish, count twice or teach nothing: each stops the run, with the reason."""

import unicodedata
from pathlib import Path

import pytest
from helpers.raw_sets import LIMITS, encoded, noise, note, prepared, settings, tar
from PIL import Image

from convzoo.data.download import download
from convzoo.data.prepare import PrepareError, prepare
from convzoo.errors import ConvzooError
from convzoo.settings.sources import FolderSource, Limits

COLOUR = settings(classes="source", height=8, width=8, channels=3)
IMAGES = 10


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(folder: Path, count: int = IMAGES, seed: int = 0) -> None:
    folder.mkdir(parents=True)
    for number, pixels in enumerate(noise(count, 8, 8, 3, seed=[seed, len(str(folder))])):
        Image.fromarray(pixels).save(folder / f"{number}.png")


def from_folder(photos: Path, changes=None, layout: str = "{class}/*") -> dict:
    """meta.json of a folder of one's own, from the download to the splits."""
    source = FolderSource(kind="folder", licence="ours", path=str(photos), layout=layout, limits=Limits(**LIMITS))
    download("mine", source, Path("raw"))
    prepare("pets", COLOUR.model_copy(update=changes or {}), Path("raw"), Path("out"))
    return prepared(Path("out"))[1]


def from_archive(files: list[tuple[str, bytes]], layout: str = "{class}/*.png", **changes) -> dict:
    """meta.json of an archive."""
    raw = note(Path("raw"), format="pictures", layout=layout, limits=LIMITS)
    tar(raw / "pictures.tar.gz", files)
    prepare("pets", COLOUR.model_copy(update=changes), raw, Path("out"))
    return prepared(Path("out"))[1]


def pictures(*classes: str, ending: str = "png") -> list[tuple[str, bytes]]:
    images = iter(noise(IMAGES * len(classes), 8, 8, 3, seed=5))
    return [(f"{name}/{number}.{ending}", encoded(next(images))) for name in classes for number in range(IMAGES)]


@pytest.fixture
def photos(project) -> Path:
    for seed, name in enumerate(("cats", "dogs")):
        fill(project / "photos" / name, seed=seed)
    return project / "photos"


# A single class.


def test_a_path_one_level_too_high_is_a_single_class_and_stops(photos):
    with pytest.raises(PrepareError, match=r"pets: has a single class, 'photos', expected two or more; is the path .*"):
        from_folder(photos.parent, layout="{class}/**/*")
    assert not Path("out").exists()


def test_a_single_listed_class_stops_and_a_set_without_labels_passes(photos):
    with pytest.raises(PrepareError, match=r"has a single class, 'cats', .*set data\.pets\.prepare\.classes to \[\]"):
        from_archive(pictures("cats"), classes=["cats"])
    assert from_folder(photos, {"classes": []})["classes"] == []


# A class folder without an image.


def test_two_filled_class_folders_are_two_classes(photos):
    assert from_folder(photos)["classes"] == ["cats", "dogs"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([], r"'birds' \(empty\)"),
        (["nested/"], r"'birds' \(empty\)"),
        (["a.heic", "b.heic"], r"'birds' \(empty\)"),
        (["2024/a.png", "2024/b.png"], r"'birds' \(2 files, such as birds/2024/a.png\)"),
    ],
)
def test_a_class_folder_without_an_image_of_ones_own_stops_the_run(photos, files, reason, capsys):
    (photos / "birds").mkdir()
    for name in files:
        file = photos / "birds" / name
        if name.endswith("/"):
            file.mkdir()
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(encoded(noise(1, 8, 8, 3)[0]))
    with pytest.raises(ConvzooError, match=rf"sources\.mine\.path: no file in these class .*: {reason}; expected one"):
        from_folder(photos)
    assert "heic" in capsys.readouterr().out or files[:1] != ["a.heic"]


def test_a_class_folder_of_another_format_than_the_layout_asks_for_stops_the_run():
    with pytest.raises(ConvzooError, match=r"'birds' \(10 files, such as birds/0.tif\); .*correct `layout`"):
        from_archive(pictures("cats", "dogs") + pictures("birds", ending="tif"))


@pytest.mark.parametrize(
    "others",
    [
        [("cats/.hidden", b""), (".git/config", b""), ("__MACOSX/cats/._1.png", b"")],
        [("readme.txt", b"of all"), ("cats/notes.txt", b"in a class folder with images")],
        pictures("photos/cats", "photos/dogs"),  # a nested copy of the tree
    ],
    ids=["hidden", "loose", "nested copy"],
)
def test_what_is_no_class_folder_does_not_stop_the_run(others):
    assert from_archive(pictures("cats", "dogs") + others)["classes"] == ["cats", "dogs"]


def test_a_folder_that_is_not_a_listed_class_may_be_without_images(photos):
    (photos / "birds").mkdir()
    assert from_folder(photos, {"classes": ["dogs", "cats"]})["classes"] == ["dogs", "cats"]


def test_an_empty_class_folder_of_a_split_is_found_too():
    files = [(f"{split}/{name}", data) for split in ("train", "test") for name, data in pictures("cats", "dogs")]
    more = [("train/birds/1.txt", b""), ("about/texts/1.txt", b"")]
    with pytest.raises(ConvzooError, match=r"folders .*: 'birds' \(1 files, such as train/birds/1.txt\); expected"):
        from_archive(files + more, layout="{split}/{class}/*.png")


# Two folders with one name.


def test_folders_whose_names_differ_only_in_unicode_normalisation_stop_the_run():
    names = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    with pytest.raises(ConvzooError, match=r"two class folders are both named café, .*: 'caf\\xe9' and 'cafe\\u0301'"):
        from_archive(pictures("cats", *names))


@pytest.mark.parametrize("classes", ["source", ["dogs", "café"]])
def test_a_decomposed_folder_name_is_the_class_that_was_listed(classes):
    meta = from_archive(pictures("dogs", unicodedata.normalize("NFD", "café")), classes=classes)
    assert sorted(meta["classes"]) == ["café", "dogs"]


# Too few images.


@pytest.mark.parametrize(("count", "split"), [(1, "val"), (2, "val")])
def test_a_class_with_too_few_images_for_every_split_says_what_helps(project, count, split):
    fill(project / "photos/cats")
    fill(project / "photos/birds", count, seed=1)
    with pytest.raises(
        PrepareError, match=rf"has no image of birds \({count}\) .* at least of every class; add images"
    ):
        from_folder(project / "photos")


def test_a_published_split_without_a_class_stops_without_advice_on_fractions():
    files = [(f"train/{name}", data) for name, data in pictures("cats", "dogs")]
    files += [(f"test/cats/{number}.png", encoded(image)) for number, image in enumerate(noise(5, 8, 8, 3, seed=6))]
    with pytest.raises(PrepareError, match=r"test has no image of dogs .*; add images, or take the class out"):
        from_archive(files, layout="{split}/{class}/*.png")
