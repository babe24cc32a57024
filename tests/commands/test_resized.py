"""`predict` and `reconstruct` bring images to size as the exported file says that its training images were."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from convzoo.commands.predict import predict
from convzoo.commands.reconstruct import reconstruct
from convzoo.shipping.onnx import write_onnx

SIDE, BAR = 32, 8
ABOUT = {"network": "bars", "family": "classifier", "dataset": "bars", "classes": ["left", "right"]}


class LeftOrRight(nn.Module):
    """The probability that the reddest columns of an image are at its left or at its right edge."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        red = images[..., 0].float() - images[..., 1].float()
        return torch.stack([red[:, :, :BAR].mean((1, 2)), red[:, :, -BAR:].mean((1, 2))], 1).softmax(1)


class Same(nn.Module):
    """An autoencoder without loss."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + 0


def exported(file: Path, module: nn.Module, **about) -> Path:
    example = torch.zeros((2, SIDE, SIDE, 3), dtype=torch.uint8)
    write_onnx(module, example, "images", "outputs", file, ABOUT | about)
    return file


@pytest.fixture
def bars(tmp_path) -> Path:
    """Noise of 96x32 pixels with a red bar, a quarter of the width, at one edge: which the centre does not show."""
    folder = tmp_path / "bars"
    folder.mkdir()
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, 96, 3), np.uint8)
        side = "left" if number % 2 else "right"
        pixels[:, slice(0, 24) if number % 2 else slice(-24, None)] = (255, 0, 0)
        Image.fromarray(pixels).save(folder / f"{side}-{number}.png")
    return folder


def right(rows: list[dict]) -> int:
    return sum(Path(row["file"]).name.startswith(row["class"]) for row in rows)


def test_a_network_of_stretched_images_gets_stretched_images(tmp_path, bars, capsys):
    assert right(predict(exported(tmp_path / "a.onnx", LeftOrRight(), resize="stretch"), [bars])) == 20
    assert capsys.readouterr().err == ""


def test_a_file_that_says_nothing_crops_as_before_and_warns(tmp_path, bars, capsys):
    assert right(predict(exported(tmp_path / "a.onnx", LeftOrRight()), [bars])) < 20
    assert capsys.readouterr().err.startswith("warning: the exported file does not say how its images were resized")


def test_a_network_of_images_of_one_size_crops_others_and_says_so(tmp_path, bars, capsys):
    predict(exported(tmp_path / "a.onnx", LeftOrRight(), resize="none"), [bars])
    assert capsys.readouterr().err.startswith("note: 20 images are not 32 wide and 32 high: the centre was cropped")


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
def test_reconstructions_are_of_images_resized_in_the_same_way(tmp_path, bars, resize):
    file = exported(tmp_path / "a.onnx", Same(), resize=resize)
    rows = reconstruct(file, [bars], tmp_path / "out")
    written = np.asarray(Image.open(rows[0]["written"]))
    columns = {"pad": [0, 0], "stretch": [255, 0], "crop": None}[resize]
    top = written[0, 0] if resize == "pad" else written[SIDE // 2, 2]
    if columns:
        assert top[:2].tolist() == columns
    else:
        assert top.tolist() != [255, 0, 0]
