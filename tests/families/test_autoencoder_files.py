"""An autoencoder's exported file: that it does what the weights do, what is measured, and what a user makes of it."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.autoencoder_small import CLASSES, COMPUTE, FOLDER, NETWORK, pictures, small_project, small_settings
from PIL import Image
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.commands.predict import predict
from convzoo.commands.reconstruct import reconstruct
from convzoo.data.arrays import load_split
from convzoo.errors import ConvzooError
from convzoo.families.autoencoder import train as autoencoder
from convzoo.families.autoencoder.evaluate import evaluate
from convzoo.families.autoencoder.export import export
from convzoo.families.autoencoder.settings import EvaluationSettings, ExportSettings
from convzoo.files import read_json, sha256_of, write_json
from convzoo.shipping import export as exporting
from convzoo.shipping.model import Model, run_in_batches
from convzoo.shipping.parity import parity_of

SETTINGS = ExportSettings(parity_images=40)
MEASURED = EvaluationSettings(
    batch_size=25, pca_images=160, probe_images=150, probe_iterations=50, shown=6, mapped=30, map="pca"
)
ENCODER, DECODER, MODEL = FOLDER / "parts/encoder.onnx", FOLDER / "parts/decoder.onnx", FOLDER / "model.onnx"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a small trained and exported autoencoder; its files are not to be changed."""
    folder = small_project(tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("CONVZOO_TRACKING", "off")
        patched.delenv("DVC_ROOT", raising=False)
        autoencoder.train(NETWORK, small_settings(epochs=6), COMPUTE, "test")
        export(NETWORK, SETTINGS)
    torch.use_deterministic_algorithms(False)
    return folder


@pytest.fixture
def project(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def shown_images() -> np.ndarray:
    return np.array(load_split(Path("data/prepared/cifar10/test")).images)


def test_the_file_says_what_it_is_and_agrees_with_the_weights(project):
    model, said = Model(MODEL), read_json(FOLDER / "export.json")
    assert str(model.input) == str(model.output) == "uint8 (N, 16, 16, 3)"
    assert model.described == {"family": "autoencoder", "dataset": "cifar10", "classes": CLASSES, "network": NETWORK}
    assert said["model_sha256"] == sha256_of(MODEL)
    assert said["weights_sha256"] == sha256_of(FOLDER / "weights.safetensors")
    assert said["parts_sha256"] == {"encoder.onnx": sha256_of(ENCODER), "decoder.onnx": sha256_of(DECODER)}
    assert said["latent"] == 12
    assert (said["parity"]["split"], said["parity"]["images"]) == ("val", 40)
    parity = parity_of(said)
    units = {"model.onnx": "grey level", "parts/encoder.onnx": "latent", "parts/decoder.onnx": "grey level"}
    assert {name: found.unit for name, found in parity.items()} == units
    assert parity["model.onnx"].largest <= 1 and parity["model.onnx"].share <= 1e-3


def test_encoder_and_decoder_together_are_the_model(project):
    images, encoder, decoder = shown_images(), Model(ENCODER), Model(DECODER)
    assert (str(encoder.input), str(encoder.output)) == ("uint8 (N, 16, 16, 3)", "float32 (N, 12)")
    assert (str(decoder.input), str(decoder.output)) == ("float32 (N, 12)", "uint8 (N, 16, 16, 3)")
    whole, halves = Model(MODEL)(images), decoder(encoder(images))
    differing = np.abs(whole.astype(int) - halves)
    assert differing.max() <= 1
    assert (differing > 0).mean() <= 1e-3


def test_the_same_weights_give_the_same_bytes_and_nothing_of_this_machine(project):
    first = {file: file.read_bytes() for file in (MODEL, ENCODER, DECODER)}
    export(NETWORK, SETTINGS)
    assert {file: file.read_bytes() for file in first} == first
    for content in first.values():
        assert not [trace for trace in (b"site-packages", b".py", str(project).encode()) if trace in content]
        model = onnx.load_model_from_string(content)
        assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]


@pytest.mark.parametrize("count", [1, 7])
def test_any_batch_size_is_taken(project, count):
    images = shown_images()
    np.testing.assert_allclose(Model(MODEL)(images[:count]).astype(int), Model(MODEL)(images)[:count], atol=1)


def test_floats_and_wrong_shapes_are_refused(project):
    model = Model(MODEL)
    with pytest.raises(ConvzooError, match=r"expected uint8 \(N, 16, 16, 3\) \(raw pixels from 0 to 255, not scaled\)"):
        model(np.zeros((1, 16, 16, 3), dtype=np.float32))
    with pytest.raises(ConvzooError, match=r"got uint8 \(1, 3, 16, 16\)"):
        model(np.zeros((1, 3, 16, 16), dtype=np.uint8))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("model.onnx", r"reconstructions differ by \d+ on .* \(expected <= 1 grey level on 0.001 of them\)"),
        ("parts/encoder.onnx", r"latents differ by .* \(expected <= .* latent\)"),
        ("parts/decoder.onnx", r"reconstructions differ by \d+ on"),
    ],
)
def test_a_file_that_does_something_else_is_not_exported(project, monkeypatch, path, told):
    kept, ran = {file: file.read_bytes() for file in (MODEL, ENCODER, DECODER)}, exporting.run_in_batches

    def other(model, given, batch):
        made = ran(model, given, batch)
        return made if not model.path.name.strip(".").startswith(Path(path).name) else np.roll(made, 1, axis=0)

    MODEL.unlink()
    try:
        monkeypatch.setattr(exporting, "run_in_batches", other)
        with pytest.raises(ConvzooError, match=f"{path} does not agree with the weights: {told}"):
            export(NETWORK, SETTINGS)
        assert not MODEL.exists()
        assert not list(FOLDER.glob(".*.new"))
    finally:
        MODEL.write_bytes(kept[MODEL])
    assert {file: file.read_bytes() for file in kept} == kept


def test_evaluation_writes_metrics_and_plots_that_are_the_same_again(project, capsys):
    metrics = evaluate(NETWORK, MEASURED)
    assert metrics == json.loads((FOLDER / "metrics.json").read_text())
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
    assert sum(row["images"] for row in metrics["classes"].values()) == 60
    told = capsys.readouterr().out
    assert re.search(r"60 test images of cifar10 \(drawn by convzoo, not the real set\) from 12 numbers each", told)

    def written() -> dict[str, str]:
        return {file.name: sha256_of(file) for file in (FOLDER / "plots").iterdir()}

    first = written()
    assert set(first) == {
        "best_and_worst.png",
        "latents.png",
        "linear_path.png",
        "psnr.png",
        "psnr_per_image.csv",
        "reconstructions.png",
        "training_images.png",
    }
    sizes = {}
    for name in ("linear_path", "training_images"):
        with Image.open(FOLDER / f"plots/{name}.png") as sheet:
            sizes[name] = sheet.size
    assert sizes == {"linear_path": (12 * 70 + 6, 4 * (70 + 16) + 6), "training_images": (12 * 70 + 6, 4 * 70 + 6)}
    with (FOLDER / "plots/psnr_per_image.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 60
    evaluate(NETWORK, MEASURED)
    assert written() == first


def test_a_map_by_t_sne_is_drawn_too(project):
    evaluate(NETWORK, MEASURED.model_copy(update={"map": "tsne"}))
    first = sha256_of(FOLDER / "plots/latents.png")
    evaluate(NETWORK, MEASURED.model_copy(update={"map": "tsne"}))
    assert sha256_of(FOLDER / "plots/latents.png") == first


def test_images_without_classes_have_no_probe(project):
    said = read_json(FOLDER / "export.json")
    try:
        write_json(FOLDER / "export.json", said | {"classes": []})
        metrics = evaluate(NETWORK, MEASURED)
    finally:
        write_json(FOLDER / "export.json", said)
    assert "test_probe_accuracy" not in metrics
    assert "classes" not in metrics


def test_an_encoder_that_is_not_the_exported_one_is_refused(project):
    kept = ENCODER.read_bytes()
    try:
        ENCODER.write_bytes(DECODER.read_bytes())
        with pytest.raises(ConvzooError, match=r"encoder\.onnx: sha256 .* is not what export\.json says"):
            evaluate(NETWORK, MEASURED)
    finally:
        ENCODER.write_bytes(kept)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, image in enumerate(pictures(3, 9).images):
        Image.fromarray(image).resize((40, 30)).save(folder / f"{number}.png")
    Image.fromarray(pictures(1, 5).images[0]).convert("L").save(folder / "more/0.jpg")
    return folder


def test_reconstruct_writes_a_png_an_image_and_a_contact_sheet(project, photos, tmp_path):
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


def test_reconstruct_names_what_it_cannot_read_and_does_the_rest(project, photos, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    good, wrong, missing = reconstruct(MODEL, [photos / "0.png", bad, tmp_path / "missing.png"], tmp_path / "out")
    assert "written" in good
    assert wrong["error"].startswith("not an image that Pillow can read")
    assert missing["error"].startswith("file not found")
    assert reconstruct(MODEL, [bad], tmp_path / "nothing")[0].keys() == {"file", "error"}
    assert not (tmp_path / "nothing").exists()


def test_reconstruct_refuses_to_overwrite_an_image_and_a_file_as_folder(project, photos):
    before = {file: sha256_of(file) for file in photos.rglob("*.*")}
    with pytest.raises(ConvzooError, match=r"0\.png: would overwrite one of the given images"):
        reconstruct(MODEL, [photos], photos)
    with pytest.raises(ConvzooError, match=r"is a file, expected a folder"):
        reconstruct(MODEL, [photos], photos / "0.png")
    assert {file: sha256_of(file) for file in photos.rglob("*.*")} == before


def test_a_model_of_another_kind_is_named(project, photos, tmp_path):
    with pytest.raises(ConvzooError, match=r"expected an autoencoder, got uint8 \(N, 16, 16, 3\) to float32 \(N, 12\)"):
        reconstruct(ENCODER, [photos], tmp_path / "out")
    with pytest.raises(ConvzooError, match=r"expected a classifier, got uint8 .* \(family: autoencoder\)"):
        predict(MODEL, [photos])


def test_the_command_tells_what_it_wrote(project, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (photos / "text.png").write_text("no picture")
    told = CliRunner().invoke(app, ["reconstruct", NETWORK, str(photos), "--out", str(tmp_path / "out")])
    assert told.exit_code == 1
    assert re.search(r"1\.png +\d+\.\d\d dB +.*out/1\.png", told.output)
    assert re.search(r"text\.png +not an image that Pillow can read", told.output)
    assert "contact_sheet.png" in told.output
