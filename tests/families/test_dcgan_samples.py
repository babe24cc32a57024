"""The command `sample`: pictures of a generator's exported file."""

from pathlib import Path

import numpy as np
import pytest
from helpers.onnx_files import save_linear_classifier
from helpers.small import DCGAN
from PIL import Image

from convzoo.commands.sample import sample
from convzoo.errors import ConvzooError
from convzoo.families.dcgan import evaluate
from convzoo.families.dcgan.latents import choosing, chosen_classes, latents
from convzoo.families.dcgan.train import WALK_PATHS
from convzoo.shipping.model import Model

FOLDER = DCGAN.folder


@pytest.fixture
def family():
    return DCGAN


def pixels(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.iterdir())]


def test_samples_are_pictures_and_a_grid_with_the_same_bytes_for_the_same_seed(shipped, tmp_path):
    files = sample(FOLDER / "model.onnx", 12, 3, tmp_path / "new/first")
    names = [f"{number:05d}.png" for number in range(12)]
    assert [file.name for file in files] == [*names, "grid.png"]
    assert sorted(file.name for file in (tmp_path / "new/first").iterdir()) == [*names, "grid.png"]
    with Image.open(files[0]) as picture:
        assert (picture.size, picture.mode, picture.info) == ((28, 28), "L", {})
    with Image.open(files[-1]) as sheet:
        assert sheet.size == (4 * 62 + 6, 3 * 62 + 6)
    sample(FOLDER / "model.onnx", 12, 3, tmp_path / "again")
    assert pixels(tmp_path / "again") == pixels(tmp_path / "new/first")
    sample(FOLDER / "model.onnx", 5, 3, tmp_path / "fewer")
    assert pixels(tmp_path / "fewer")[:5] == pixels(tmp_path / "again")[:5], "a smaller count has the same first ones"
    sample(FOLDER / "model.onnx", 5, 4, tmp_path / "other")
    assert pixels(tmp_path / "other")[0] != pixels(tmp_path / "fewer")[0]


@pytest.mark.parametrize(
    ("count", "seed", "message"),
    [
        (0, 0, "--count: got 0, expected 1 to 100,000"),
        (10**6, 0, "--count: got 1000000"),
        (1, -1, "--seed: got -1, expected 0 to"),
    ],
)
def test_numbers_out_of_range_are_refused(shipped, tmp_path, count, seed, message):
    with pytest.raises(ConvzooError, match=message):
        sample(FOLDER / "model.onnx", count, seed, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_has_files_is_left_alone(shipped, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(
            ConvzooError, match=r"--out: .* already exists and is not an empty folder; choose a new one"
        ):
            sample(FOLDER / "model.onnx", 2, 0, folder)
    assert (tmp_path / "mine.txt").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    assert len(sample(FOLDER / "model.onnx", 2, 0, tmp_path / "empty")) == 3


def test_a_folder_that_cannot_be_made_is_said(shipped, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConvzooError, match=r"--out: .*file/below: cannot be written"):
        sample(FOLDER / "model.onnx", 2, 0, tmp_path / "file/below")


def test_a_class_can_be_chosen_of_a_network_with_classes_only(shipped, tmp_path, monkeypatch):
    with pytest.raises(
        ConvzooError, match="--class: got '1', but mnist-dcgan was trained without classes, expected none; leave"
    ):
        sample(FOLDER / "model.onnx", 2, 0, tmp_path / "new", "1")
    DCGAN.train(conditional=True)
    DCGAN.export()
    model = Model(FOLDER / "model.onnx")
    names = model.described["classes"]
    with pytest.raises(ConvzooError, match=f"--class: got 'cow', expected one of: {', '.join(names)}"):
        sample(FOLDER / "model.onnx", 2, 0, tmp_path / "new", "cow")
    assert not (tmp_path / "new").exists()
    noise = np.random.Generator(np.random.PCG64(3)).standard_normal((100, model.input.shape[1]), dtype=np.float32)
    by_class = {}
    for index, name in enumerate(names):
        files = sample(FOLDER / "model.onnx", 100, 3, tmp_path / name, name)
        by_class[name] = np.stack([np.array(Image.open(file)) for file in files[:-1]])
        assert np.array_equal(by_class[name], model(choosing(noise, len(names), index)).squeeze(-1))
    sample(FOLDER / "model.onnx", 100, 3, tmp_path / "any")
    for number, index in enumerate(chosen_classes(noise, len(names))):
        drawn = np.array(Image.open(tmp_path / f"any/{number:05d}.png"))
        assert np.array_equal(drawn, by_class[names[index]][number])
    captions = []
    monkeypatch.setattr(evaluate, "gallery", lambda path, images, below, title: captions.append(below))
    DCGAN.evaluate()
    of_noise = chosen_classes(latents(DCGAN.evaluation.pictured, model.input.shape[1], 0), len(names))
    assert captions[0] == [names[index] for index in of_noise]
    walks = np.load(FOLDER / "extra/latent_walk.npy")
    ends = latents(WALK_PATHS + 1, model.input.shape[1], 0)
    for number, path in enumerate(walks):
        start, end = (model(choosing(ends[[n]], len(names), number % len(names)))[0] for n in (number, number + 1))
        assert np.array_equal(path[0], start) and np.array_equal(path[-1], end)


def test_what_makes_no_pictures_is_refused(tmp_path):
    save_linear_classifier(tmp_path / "model.onnx", np.ones((12, 3)), (4, 3, 1))
    with pytest.raises(ConvzooError, match=r"expected a network that generates images"):
        sample(tmp_path / "model.onnx", 2, 0, tmp_path / "new")
