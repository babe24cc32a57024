"""What only an exported autoencoder has: two halves, comparisons with PCA, and the command `reconstruct`."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.small import AUTOENCODER
from helpers.small.images import pictures
from PIL import Image
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.commands.predict import predict
from convzoo.commands.reconstruct import reconstruct
from convzoo.data.arrays import load_split
from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of, write_json
from convzoo.shipping.model import Model, run_in_batches

NETWORK, FOLDER = AUTOENCODER.network, AUTOENCODER.folder
ENCODER, DECODER, MODEL = FOLDER / "parts/encoder.onnx", FOLDER / "parts/decoder.onnx", FOLDER / "model.onnx"


@pytest.fixture
def family():
    return AUTOENCODER


def shown_images() -> np.ndarray:
    return np.array(load_split(Path("data/prepared/cifar10/test")).images)


def test_encoder_and_decoder_together_are_the_model(shipped):
    images, encoder, decoder = shown_images(), Model(ENCODER), Model(DECODER)
    whole, halves = Model(MODEL)(images), decoder(encoder(images))
    differing = np.abs(whole.astype(int) - halves)
    assert differing.max() <= 1
    assert (differing > 0).mean() <= 1e-3


def test_metrics_are_those_of_the_reconstructions(shipped):
    metrics = shipped.metrics
    images = shown_images()
    made = run_in_batches(Model(MODEL), images, 60)
    error = np.square(images.astype(float) - made).mean()
    assert metrics["test_mse"] == pytest.approx(error, abs=1e-5)
    assert metrics["test_psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-5)
    assert metrics["test_image_psnr"] >= metrics["test_psnr"]  # Jensen
    assert 0 < metrics["test_ssim"] < 1
    assert metrics["test_psnr_above_pca"] == pytest.approx(metrics["test_psnr"] - metrics["test_pca_psnr"], abs=1e-5)
    assert metrics["test_probe_accuracy"] > 1 / 3
    assert metrics["compared"]["pca"]["numbers"] == metrics["latent"] == 12
    assert read_json(FOLDER / "export.json")["latent"] == 12
    assert sum(row["images"] for row in metrics["classes"].values()) == 60
    sizes = {}
    for name in ("linear_path", "training_images"):
        with Image.open(FOLDER / f"plots/{name}.png") as sheet:
            sizes[name] = sheet.size
    assert sizes == {"linear_path": (12 * 70 + 6, 4 * (70 + 16) + 6), "training_images": (12 * 70 + 6, 4 * 70 + 6)}
    with (FOLDER / "plots/psnr_per_image.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 60


def test_pca_has_no_more_components_than_images_to_fit_it_on(family, shipped):
    assert family.evaluate(pca_images=5)["compared"]["pca"]["numbers"] == 5


def test_a_map_by_t_sne_is_drawn_too(family, shipped):
    maps = [sha256_of(FOLDER / "plots/latents.png")]
    for _ in range(2):
        family.evaluate(map="tsne")
        maps.append(sha256_of(FOLDER / "plots/latents.png"))
    assert maps[0] != maps[1] == maps[2]


def test_images_without_classes_have_no_probe(family, shipped):
    write_json(FOLDER / "export.json", read_json(FOLDER / "export.json") | {"classes": []})
    metrics = family.evaluate()
    assert "test_probe_accuracy" not in metrics
    assert "classes" not in metrics


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, image in enumerate(pictures(3, 9).images):
        Image.fromarray(image).resize((40, 30)).save(folder / f"{number}.png")
    Image.fromarray(pictures(1, 5).images[0]).convert("L").save(folder / "more/0.jpg")
    return folder


def test_reconstruct_writes_a_png_an_image_and_a_contact_sheet(shipped, photos, tmp_path):
    out = tmp_path / "out"
    rows = reconstruct(MODEL, [photos], out)
    assert sorted(file.name for file in out.iterdir()) == ["0-2.png", "0.png", "1.png", "2.png", "contact_sheet.png"]
    assert [Path(row["file"]).name for row in rows] == ["0.png", "1.png", "2.png", "0.jpg"]
    assert all(10 < row["psnr"] < 60 for row in rows)
    with Image.open(out / "1.png") as made:
        assert made.size == (16, 16)
        assert made.mode == "RGB"
    first = {file.name: sha256_of(file) for file in out.iterdir()}
    reconstruct(MODEL, [photos], out)
    assert {file.name: sha256_of(file) for file in out.iterdir()} == first


def test_reconstruct_names_what_it_cannot_read_and_does_the_rest(shipped, photos, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    good, wrong, missing = reconstruct(MODEL, [photos / "0.png", bad, tmp_path / "missing.png"], tmp_path / "out")
    assert "written" in good
    assert wrong["error"].startswith("is not an image that can be read, expected JPEG, PNG")
    assert missing["error"].startswith("file not found")
    assert reconstruct(MODEL, [bad], tmp_path / "nothing")[0].keys() == {"file", "error"}
    assert not (tmp_path / "nothing").exists()


def test_reconstruct_refuses_to_overwrite_an_image_and_a_file_as_folder(shipped, photos):
    before = {file: sha256_of(file) for file in photos.rglob("*.*")}
    with pytest.raises(ConvzooError, match=r"0\.png: would overwrite one of the given images"):
        reconstruct(MODEL, [photos], photos)
    with pytest.raises(ConvzooError, match=r"is a file, expected a folder"):
        reconstruct(MODEL, [photos], photos / "0.png")
    assert {file: sha256_of(file) for file in photos.rglob("*.*")} == before


def test_a_model_of_another_kind_is_named(shipped, photos, tmp_path):
    takes = r"encoder.onnx: takes uint8 \(N, 16, 16, 3\) and returns float32 \(N, 12\) \(family: unknown\)"
    with pytest.raises(ConvzooError, match=f"{takes}, expected a network that reconstructs images; choose another"):
        reconstruct(ENCODER, [photos], tmp_path / "out")
    with pytest.raises(ConvzooError, match=rf"{NETWORK}: reconstructs images, .*; use: convzoo reconstruct {NETWORK}"):
        predict(MODEL, [photos])


def test_the_command_tells_what_it_wrote(shipped, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (photos / "text.png").write_text("no picture")
    Path("src/convzoo").mkdir(parents=True, exist_ok=True)  # by which a project is found
    result = CliRunner().invoke(app, ["reconstruct", NETWORK, str(photos), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert re.search(r"1\.png +\d+\.\d\d dB +.*out/1\.png", result.output)
    assert re.search(r"text\.png +is not an image that can be read, expected JPEG, PNG", result.output)
    assert "contact_sheet.png" in result.output
