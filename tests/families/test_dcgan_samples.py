"""The command `sample`: pictures of a generator's exported file."""

from pathlib import Path

import numpy as np
import pytest
from helpers.onnx_files import save_linear_classifier
from helpers.small import DCGAN
from PIL import Image

from convzoo.commands.sample import sample
from convzoo.errors import ConvzooError

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


def test_what_makes_no_pictures_is_refused(tmp_path):
    save_linear_classifier(tmp_path / "model.onnx", np.ones((12, 3)), (4, 3, 1))
    with pytest.raises(ConvzooError, match=r"expected a network that generates images"):
        sample(tmp_path / "model.onnx", 2, 0, tmp_path / "new")
