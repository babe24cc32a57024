"""`predict` warns of images that the network is likely to get wrong, and not of those that it was trained for."""

import json

import numpy as np
import pytest
import torch
from helpers.project import ROOT, imported
from PIL import Image
from torch import nn

from convzoo.cards.tasks import TASKS
from convzoo.commands.predict import as_text, predict
from convzoo.commands.shared import check_task, image_files
from convzoo.data.image_statistics import ranges
from convzoo.errors import ConvzooError
from convzoo.files import sha256_of, write_json
from convzoo.shipping.model import Model
from convzoo.shipping.onnx import write_onnx

SIDE = 16
ABOUT = {"network": "squares", "family": "classifier", "classes": ["small", "middle", "large"], "resize": "stretch"}


class Size(nn.Module):
    """The probability that the light part of an image covers a small, a middle or a large share of it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        share = images.float().mean((1, 2, 3)) / 255
        return torch.stack([-10 * (share - size).abs() for size in (0.1, 0.2, 0.3)], 1).softmax(1)


def squares(count: int, seed: int) -> np.ndarray:
    """Light squares on a dark background, uint8 (count, SIDE, SIDE, 1)."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 10, (count, SIDE, SIDE, 1), np.uint8)
    for image in images:
        side, (top, left) = rng.integers(5, 9), rng.integers(1, 7, 2)
        image[top : top + side, left : left + side] = rng.integers(230, 256)
    return images


@pytest.fixture
def model(tmp_path):
    file = tmp_path / "models/squares/model.onnx"
    write_onnx(Size(), torch.zeros((2, SIDE, SIDE, 1), dtype=torch.uint8), "images", "probabilities", file, ABOUT)
    describe(file, "package")
    return file


def describe(file, kind: str, images: np.ndarray | None = None) -> None:
    known = {"source": {"name": "my-squares", "kind": kind}, "split": "val"}
    known["ranges"] = ranges(squares(200, 0) if images is None else images)
    write_json(file.with_name("export.json"), {"model_sha256": sha256_of(file), "images": known})


@pytest.fixture
def write(tmp_path):
    def written(*images: np.ndarray) -> list:
        files = [tmp_path / f"{number}.png" for number in range(len(images))]
        for file, image in zip(files, images, strict=True):
            Image.fromarray(image.squeeze()).save(file)
        return files

    return written


def test_images_like_those_of_the_training_bring_no_warning(model, write, capsys):
    rows = predict(model, write(*squares(40, 1)))
    assert all(row["warnings"] == [] for row in rows)
    assert capsys.readouterr().err == ""


def test_a_light_background_brings_a_hint_that_works(model, write, capsys):
    images = squares(6, 2)
    files = write(*(255 - images))
    rows = predict(model, files)
    hint = "a light background, but this network learned light shapes on a dark one; try --invert"
    assert [row["warnings"] for row in rows] == [[hint]] * 6
    names = ", ".join(str(file) for file in files[:5])
    assert capsys.readouterr().err == f"warning: {names}, ...: {hint}\n"
    inverted = predict(model, files, invert=True)
    assert capsys.readouterr().err == "" and not any(row["warnings"] for row in inverted)
    assert [row["class"] for row in inverted] == [row["class"] for row in predict(model, write(*images))]


def test_a_dark_background_brings_the_hint_for_a_network_of_dark_shapes(model, write):
    describe(model, "package", 255 - squares(200, 0))
    [row] = predict(model, write(squares(1, 1)[0]))
    assert row["warnings"] == ["a dark background, but this network learned dark shapes on a light one; try --invert"]


def test_other_images_are_called_unlike_those_of_the_training_with_figures(model, write, capsys):
    noise = np.random.default_rng(0).integers(0, 120, (SIDE, SIDE), np.uint8)
    [row] = predict(model, write(noise))
    [warning] = row["warnings"]
    assert warning.startswith("unlike the images that this network was trained on (")
    assert "detail 0." in warning and warning in capsys.readouterr().err
    [row] = predict(model, write(255 - noise))
    [warning] = row["warnings"]  # a second one, to try --invert, would contradict it
    assert warning.startswith("unlike the images that this network was trained on, even with --invert (")


def test_contact_sheets_of_sample_and_reconstruct_are_left_out_of_a_folder_and_named(tmp_path, capsys):
    for name in ("samples/00000.png", "samples/grid.png", "mine/grid.png", "mine/a.png", "done/contact_sheet.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "done/b.png").touch()
    files = image_files([tmp_path])
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        *("done/b.png", "mine/a.png", "mine/grid.png", "samples/00000.png")
    ]
    sheets = f"{tmp_path}/done/contact_sheet.png, {tmp_path}/samples/grid.png"
    assert capsys.readouterr().err == f"note: left out contact sheets: {sheets}; to include one, name the file itself\n"
    sheet = tmp_path / "samples/grid.png"
    assert image_files([tmp_path / "samples", sheet]).count(sheet) and capsys.readouterr().err == ""


def test_a_network_of_drawn_pictures_warns_once_and_in_each_row(model, write, capsys):
    describe(model, "synthetic")
    rows = predict(model, write(*squares(3, 1)))
    expected = "squares was trained on drawn pictures (my-squares): do not trust its answers about photos"
    assert [row["warnings"] for row in rows] == [[expected]] * 3
    assert capsys.readouterr().err == f"warning: {expected}\n"


def test_an_export_json_of_another_file_says_nothing_and_the_one_in_models_is_found(
    model, write, tmp_path, monkeypatch
):
    [file] = write(255 - squares(1, 1)[0])
    copy = tmp_path / "elsewhere/model.onnx"
    copy.parent.mkdir()
    copy.write_bytes(model.read_bytes())
    assert predict(copy, [file])[0]["warnings"] == []
    (tmp_path / "src/convzoo").mkdir(parents=True)
    monkeypatch.chdir(copy.parent)
    assert "--invert" in predict(copy, [file])[0]["warnings"][0]
    model.with_name("export.json").write_text(json.dumps({"model_sha256": "0" * 64, "images": {}}))
    assert predict(copy, [file])[0]["warnings"] == predict(model, [file])[0]["warnings"] == []


def test_a_file_is_classified_without_mlflow_torch_and_all_that_takes_long_to_import(model, write):
    modules = imported(ROOT, "predict", str(model), *map(str, write(*squares(2, 1))))
    assert modules.isdisjoint({"great_expectations", "lightning_fabric", "mlflow", "onnx", "pandas", "scipy", "torch"})
    assert {"onnxruntime", "PIL"} <= modules


def test_top_lists_the_most_probable_classes_and_no_more_than_there_are(model, write):
    files = write(squares(1, 1)[0])
    [row] = predict(model, files, top=9)
    probabilities = [guess["probability"] for guess in row["top"]]
    assert sum(probabilities) == pytest.approx(1, abs=1e-5) and probabilities == sorted(probabilities, reverse=True)
    assert {guess["class"] for guess in row["top"]} == set(ABOUT["classes"])
    assert row["top"][0] == {"class": row["class"], "probability": row["probability"]}
    assert "top" not in predict(model, files)[0]
    _, second = as_text([row, {"file": "x", "error": "is no image"}]).splitlines()
    assert second.split(maxsplit=1) == ["x", "is no image"]


@pytest.mark.parametrize("command", TASKS)
@pytest.mark.parametrize("right", TASKS)
def test_a_network_of_another_task_is_answered_with_its_command(tmp_path, command, right):
    file = tmp_path / "model.onnx"
    module, example, takes = {
        "predict": (Size(), torch.zeros((2, SIDE, SIDE, 1), dtype=torch.uint8), "images"),
        "reconstruct": (nn.Identity(), torch.zeros((2, SIDE, SIDE, 1), dtype=torch.uint8), "images"),
        "sample": (nn.Linear(4, 4), torch.zeros((2, 4)), "latents"),
    }[right]
    family = "dcgan" if right == "sample" else "any"
    write_onnx(module, example, takes, "outputs", file, ABOUT | {"network": "net", "family": family})
    if command == right:
        check_task(Model(file), command)
    else:
        message = f"net: {TASKS[right]}, expected a network that {TASKS[command]}; use: convzoo {right} net"
        with pytest.raises(ConvzooError, match=message):
            check_task(Model(file), command)
