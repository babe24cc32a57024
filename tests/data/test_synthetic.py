"""Image sets that are drawn: their bytes, their labels and names, and that no colour gives a class away."""

import hashlib
import os

import numpy as np
import pytest

from convzoo.data.sources import synthetic
from convzoo.data.sources.drawing import shapes
from convzoo.data.sources.drawing.canvas import sine, turns
from convzoo.data.sources.synthetic import DRAWINGS
from convzoo.files import read_json
from convzoo.settings.sources import SyntheticSource

SETS = ("shapes10", "shapes100", "faces", "flowers")
CLASSES = {"shapes10": 10, "shapes100": 100, "faces": 0, "flowers": 5}


COUNT = 205  # more than two chunks of any set


def drawn(folder, drawing, images, seed=0):
    """The images and labels of a set, and its names."""
    folder.mkdir()
    synthetic.fetch(SyntheticSource(kind="synthetic", licence="MIT", drawing=drawing, seed=seed, images=images), folder)
    return np.load(folder / "images.npy"), np.load(folder / "labels.npy"), read_json(folder / "names.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """COUNT images of each set."""
    return {drawing: drawn(tmp_path_factory.mktemp(drawing) / "raw", drawing, COUNT) for drawing in SETS}


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


@pytest.mark.parametrize("drawing", SETS)
def test_a_seed_gives_the_same_files_and_another_seed_other_images(drawing, tmp_path):
    images, _, _ = drawn(tmp_path / "first", drawing, 20)
    drawn(tmp_path / "again", drawing, 20)
    for file in ("images.npy", "labels.npy", "names.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    others, _, _ = drawn(tmp_path / "other", drawing, 20, seed=1)
    assert (images != others).any(axis=(1, 2, 3)).all()


# They hold for every processor. When a drawing changes so do they, and all that was trained on it is trained again.
@pytest.mark.parametrize(
    ("drawing", "sha256"),
    [
        ("shapes10", "1d606f00a87e3de5a3d814d0f2ebbb63a6a0df274588dd930f09bac82bcd7f5f"),
        ("shapes100", "706c08d9da8f3a4716edf6ede604aecf8519aa6f2b05d6f699002ec16c7e48fe"),
        ("faces", "1c73a938ff89b41af2fe50b9fd9ce47315d28bdd754bbd72c304df097ab62b2c"),
        ("flowers", "9716cae8a925dcd913b4789d35ddbdaef5aa7405f19b504a0ec0086d23120d3f"),
    ],
)
def test_the_bytes_are_those_of_every_machine(drawing, sha256, made):
    assert digest(made[drawing][0]) == sha256


@pytest.mark.parametrize("drawing", SETS)
def test_the_number_of_processors_does_not_matter(drawing, made, tmp_path, monkeypatch):
    other = 3 if os.cpu_count() == 1 else 1
    monkeypatch.setattr(os, "cpu_count", lambda: other)
    images, _, _ = drawn(tmp_path / "raw", drawing, COUNT)
    assert digest(images) == digest(made[drawing][0])


@pytest.mark.parametrize("drawing", SETS)
def test_images_differ_from_each_other_and_from_a_blank(drawing, made):
    images, _, _ = made[drawing]
    side = DRAWINGS[drawing].side
    assert images.shape == (COUNT, side, side, 3)
    assert images.dtype == np.uint8
    assert len({digest(image) for image in images}) == COUNT
    assert images.std(axis=(1, 2)).max(axis=1).min() > 8
    assert images.min() < 10
    assert images.max() > 245


@pytest.mark.parametrize("drawing", SETS)
@pytest.mark.parametrize("count", [1, 2])
def test_a_set_may_be_as_small_as_one_image(drawing, count, tmp_path):
    images, labels, _ = drawn(tmp_path / "raw", drawing, count)
    assert len(images) == len(labels) == count


@pytest.mark.parametrize("drawing", SETS)
def test_labels_are_balanced_and_in_a_random_order(drawing, made):
    _, labels, _ = made[drawing]
    assert labels.dtype == np.int64
    counts = np.bincount(labels)
    assert len(counts) == max(1, CLASSES[drawing])
    assert counts.max() - counts.min() <= 1
    assert (np.diff(labels) < 0).mean() > 0.3 or not CLASSES[drawing]  # sorted: none


def test_names_are_those_of_the_classes_and_superclasses(made):
    names = {drawing: made[drawing][2] for drawing in SETS}
    assert names["faces"]["classes"] == []
    assert names["flowers"]["classes"] == ["daisy", "dandelion", "rose", "sunflower", "tulip"]
    for drawing in ("shapes10", "faces", "flowers"):
        assert names[drawing]["superclasses"] == names[drawing]["superclass_of"] == []
    hundred = names["shapes100"]
    assert len(set(hundred["classes"])) == 100
    assert len(set(hundred["superclasses"])) == 20
    assert np.bincount(hundred["superclass_of"]).tolist() == [5] * 20
    for name, number in zip(hundred["classes"], hundred["superclass_of"], strict=True):
        assert name.endswith(f" {hundred['superclasses'][number]}")
    assert names["shapes10"]["classes"] == hundred["superclasses"][:10]


@pytest.mark.parametrize(("drawing", "count", "bound"), [("shapes10", 1500, 0.17), ("shapes100", 2000, 0.04)])
def test_the_mean_colour_does_not_give_a_shape_away(drawing, count, bound, tmp_path):
    images, labels, _ = drawn(tmp_path / "raw", drawing, count)
    known, asked = slice(None, count // 2), slice(count // 2, None)
    colours = images.mean(axis=(1, 2))
    centroids = np.stack([colours[known][labels[known] == label].mean(axis=0) for label in range(CLASSES[drawing])])
    answers = ((colours[asked, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)
    assert (answers == labels[asked]).mean() < bound


def test_no_two_shapes_look_alike_and_all_fill_their_frame():
    places = np.linspace(-1.1, 1.1, 96, dtype=np.float32)
    x, y = np.meshgrid(places, places)
    inside = {name: form(x, y) < 0 for name, form in shapes.FORMS.items()}
    for name, mask in inside.items():
        reach = np.hypot(x, y)[mask].max()
        assert 0.75 < reach < 1.2, name
        assert 0.2 < mask.mean() < 0.62, name
        for other, its in inside.items():
            turned = [np.rot90(its, turn) for turn in range(4)]
            assert name == other or max((mask & it).sum() / (mask | it).sum() for it in turned) < 0.85, (name, other)


def test_no_two_textures_look_alike():
    places = np.linspace(-3, 3, 96, dtype=np.float32)
    x, y = np.meshgrid(places, places)
    seconds = {name: texture(x, y) < 0 for name, texture in shapes.TEXTURES.items()}
    assert not seconds["plain"].any()
    for name, second in seconds.items():
        assert name == "plain" or 0.2 < second.mean() < 0.8, name
        for other, its in seconds.items():
            assert name == other or (second != its).mean() > 0.1, (name, other)


def test_angles_and_sines_are_near_the_true_ones():
    angles = np.linspace(-0.5, 0.5, 1001, dtype=np.float32)[1:-1]
    assert np.abs(sine(angles) - np.sin(2 * np.pi * angles)).max() < 0.0015
    found = turns(np.cos(2 * np.pi * angles), np.sin(2 * np.pi * angles))
    assert np.abs(found - angles).max() < 0.0002
