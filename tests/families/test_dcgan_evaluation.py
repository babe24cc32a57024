"""A generator's exported file: what ships, how it is measured, and samples of it."""

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.dcgan_small import EVALUATION, NETWORK, dcgan_project, dcgan_settings, save_features
from helpers.onnx_files import save_linear_classifier
from helpers.small import COMPUTE, shapes
from PIL import Image
from safetensors.torch import load_file, save_file

from convzoo.commands.sample import sample
from convzoo.errors import ConvzooError
from convzoo.families.dcgan import train as dcgan
from convzoo.families.dcgan.evaluate import evaluate
from convzoo.families.dcgan.export import export
from convzoo.families.dcgan.latents import latents
from convzoo.families.dcgan.network import PixelGenerator, build, to_signed
from convzoo.families.dcgan.settings import ExportSettings
from convzoo.files import read_json, sha256_of, write_json
from convzoo.metrics import distances as measures
from convzoo.shipping import export as exporting
from convzoo.shipping.model import Model
from convzoo.shipping.parity import parity_of

FOLDER = Path("models", NETWORK)
SETTINGS = ExportSettings(parity_images=20)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a small trained generator, exported; its files are not to be changed."""
    folder = dcgan_project(tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("CONVZOO_TRACKING", "off")
        patched.delenv("DVC_ROOT", raising=False)
        dcgan.train(NETWORK, dcgan_settings(), COMPUTE, "test")
        export(NETWORK, SETTINGS)
    torch.use_deterministic_algorithms(False)
    return folder


@pytest.fixture
def project(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def test_the_file_says_what_it_is_and_agrees_with_the_weights(project):
    model = Model(FOLDER / "model.onnx")
    assert str(model.input) == "float32 (N, 8)"
    assert str(model.output) == "uint8 (N, 28, 28, 1)"
    assert model.described == {
        "family": "dcgan",
        "dataset": "mnist",
        "classes": list("abcd"),
        "network": NETWORK,
    }
    said = read_json(FOLDER / "export.json")
    assert said["model_sha256"] == sha256_of(FOLDER / "model.onnx")
    assert said["weights_sha256"] == sha256_of(FOLDER / "weights.safetensors")
    assert said["input"] == {"name": "latents", "dtype": "float32", "shape": [None, 8]}
    assert said["output"] == {"name": "images", "dtype": "uint8", "shape": [None, 28, 28, 1]}
    assert said["parts_sha256"] == {"discriminator.onnx": sha256_of(FOLDER / "parts/discriminator.onnx")}
    assert said["parity"]["images"] == 20
    generator, discriminator = parity_of(said).values()
    assert (generator.unit, discriminator.unit) == ("grey level", "feature")
    assert generator.largest <= 1 and generator.share <= 0.001
    assert discriminator.largest <= discriminator.allowed


def test_the_same_weights_give_the_same_bytes_and_nothing_of_this_machine(project):
    first = {name: (FOLDER / name).read_bytes() for name in ("model.onnx", "parts/discriminator.onnx")}
    export(NETWORK, SETTINGS)
    for name, content in first.items():
        assert (FOLDER / name).read_bytes() == content
        assert not [trace for trace in (b"site-packages", b".py", str(project).encode()) if trace in content]
    assert [entry.key for entry in onnx.load(FOLDER / "model.onnx").metadata_props] == ["convzoo"]


def test_the_discriminators_features_take_raw_images(project):
    model, images = Model(FOLDER / "parts/discriminator.onnx"), shapes(5, 0).images
    assert str(model.input) == "uint8 (N, 28, 28, 1)"
    found = model(images)
    assert found.shape == (5, 16 * (4 + 8 + 16))
    assert found.std(axis=0).max() > 0


def test_spectral_norm_is_part_of_the_exported_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(dcgan_project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    settings = dcgan_settings(epochs=1, spectral_norm=True, discriminator_norm="none")
    dcgan.train(NETWORK, settings, COMPUTE, "test")
    export(NETWORK, SETTINGS)
    torch.use_deterministic_algorithms(False)
    described = read_json(FOLDER / "architecture.json")
    _, discriminator = build(described["generator"], described["discriminator"])
    discriminator.load_state_dict(load_file(FOLDER / "extra/discriminator.safetensors"))
    images = shapes(5, 0).images
    with torch.no_grad():
        expected = discriminator.eval().features(to_signed(torch.from_numpy(images))).numpy()
    np.testing.assert_allclose(Model(FOLDER / "parts/discriminator.onnx")(images), expected, atol=1e-5)
    assert "Parametrization" not in str(onnx.load(FOLDER / "parts/discriminator.onnx").graph.node)


@pytest.mark.parametrize("count", [1, 7])
def test_any_batch_size_is_taken(project, count):
    images = Model(FOLDER / "model.onnx")(latents(count, 8, 0))
    assert images.shape == (count, 28, 28, 1)
    assert images.dtype == np.uint8


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (np.zeros((2, 8), np.float64), r"float64 \(2, 8\)"),
        (np.zeros((2, 9), np.float32), r"float32 \(2, 9\)"),
        (np.zeros((2, 28, 28, 1), np.uint8), r"uint8 \(2, 28, 28, 1\)"),
    ],
)
def test_what_are_no_latents_is_refused(project, given, got):
    with pytest.raises(ConvzooError, match=rf"expected float32 \(N, 8\) \(latents\), got {got}"):
        Model(FOLDER / "model.onnx")(given)


def test_a_file_that_does_something_else_is_refused(project, monkeypatch):
    write = exporting.write_onnx

    def write_other_weights(module, *arguments):
        other = deepcopy(module)
        if isinstance(other, PixelGenerator):
            with torch.no_grad():
                other.body.layers[-2].bias += 0.5
        write(other, *arguments)

    monkeypatch.setattr(exporting, "write_onnx", write_other_weights)
    before = (FOLDER / "model.onnx").read_bytes()
    with pytest.raises(ConvzooError, match=r"images differ by \d+ on .* \(expected <= 1 grey level on 0.001 of them\)"):
        export(NETWORK, SETTINGS)
    assert (FOLDER / "model.onnx").read_bytes() == before


@pytest.mark.parametrize("content", [None, b"cut"])
def test_without_the_discriminators_weights_nothing_is_exported(project, content):
    file = FOLDER / "extra/discriminator.safetensors"
    kept = file.read_bytes()
    try:
        file.unlink() if content is None else file.write_bytes(content)
        with pytest.raises(
            ConvzooError, match=rf"discriminator.safetensors: is .*, or train again: dvc repro -f train@{NETWORK}"
        ):
            export(NETWORK, SETTINGS)
    finally:
        file.write_bytes(kept)


def test_a_discriminator_that_is_not_the_exported_one_is_refused(project):
    file = FOLDER / "parts/discriminator.onnx"
    kept = file.read_bytes()
    try:
        file.write_bytes((FOLDER / "model.onnx").read_bytes())
        with pytest.raises(ConvzooError, match=r"discriminator\.onnx: sha256 .* is not what export\.json says"):
            evaluate(NETWORK, EVALUATION)
    finally:
        file.write_bytes(kept)


def test_weights_of_another_network_and_other_pictures_are_refused(project, tmp_path, monkeypatch):
    copy = tmp_path / FOLDER
    copy.mkdir(parents=True)
    (tmp_path / "data").symlink_to(project / "data")
    described = read_json(FOLDER / "architecture.json")
    save_file({"a": torch.zeros(1)}, copy / "weights.safetensors")
    monkeypatch.chdir(tmp_path)
    write_json(FOLDER / "architecture.json", described)
    with pytest.raises(ConvzooError, match=r"has sha256 .*, expected .* as architecture\.json says; .* dvc checkout"):
        export(NETWORK, SETTINGS)
    changed = described | {"weights_sha256": sha256_of(copy / "weights.safetensors")}
    write_json(FOLDER / "architecture.json", changed)
    with pytest.raises(ConvzooError, match=r"is not of the network in architecture\.json .* dvc repro -f train@"):
        export(NETWORK, SETTINGS)
    save_file(load_file(project / FOLDER / "weights.safetensors"), FOLDER / "weights.safetensors")
    (copy / "extra").symlink_to(project / FOLDER / "extra")
    write_json(FOLDER / "architecture.json", described | {"shape": [32, 32, 1]})
    with pytest.raises(ConvzooError, match=r"generates images of \[32, 32, 1\], but .*/mnist has \[28, 28, 1\]"):
        export(NETWORK, SETTINGS)
    assert not (FOLDER / "model.onnx").exists()


def test_evaluate_writes_metrics_and_plots(project, capsys):
    metrics = evaluate(NETWORK, EVALUATION)
    assert metrics == json.loads((FOLDER / "metrics.json").read_text())
    each = ("kid", "kid_spread", "frechet_distance", "precision", "recall")
    probe = {"test_probe_accuracy", "test_probe_accuracy_low", "test_probe_accuracy_high", "test_probe_train_images"}
    assert set(metrics) == {
        *(f"{side}_{name}" for side in ("train", "test") for name in each),
        *probe,
        *("test_generated_images", "kept_epoch", "epochs", "comparisons", "feature_network"),
    }
    assert metrics["test_generated_images"] == 30
    assert metrics["test_probe_train_images"] == 40
    assert metrics["test_probe_accuracy_low"] <= metrics["test_probe_accuracy"] <= metrics["test_probe_accuracy_high"]
    comparisons = metrics["comparisons"]
    assert list(comparisons) == ["generated against train", "generated against test", "test against train"]
    assert {row["real_images"] for row in comparisons.values()} == {25}
    assert comparisons["generated against test"]["generated_images"] == 30
    assert comparisons["generated against test"]["frechet_distance_is"] == "mostly bias: 25 images for 49 features"
    assert comparisons["test against train"]["kid"] < comparisons["generated against train"]["kid"]
    sha256 = sha256_of(Path("data/weights/digits/features.onnx"))
    assert metrics["feature_network"] == {"digits": {"features": 49, "sha256": sha256}}
    written = {file.name for file in FOLDER.joinpath("plots").iterdir()}
    training = {"first_and_last.png", "latent_walk.png", "progress.gif", "real_augmented_generated.png"}
    assert written - training == {"comparisons.png", "feature_space.png", "nearest_real_images.png", "samples.png"}
    assert training <= written
    for file in FOLDER.glob("plots/*.png"):
        with Image.open(file) as picture:
            assert set(picture.info) <= {"dpi"}
    assert "KID" in capsys.readouterr().out


def test_the_same_file_gives_the_same_bytes(project):
    contents = []
    for _ in range(2):
        evaluate(NETWORK, EVALUATION)
        files = sorted(file for file in FOLDER.joinpath("plots").rglob("*"))
        contents.append([file.read_bytes() for file in (*files, FOLDER / "metrics.json")])
    assert contents[0] == contents[1]


def test_without_a_probe_there_is_no_accuracy(project):
    metrics = evaluate(NETWORK, EVALUATION.model_copy(update={"probe_images": 0}))
    assert not [name for name in metrics if "probe" in name]


def test_another_feature_network_than_the_one_that_chose_is_refused(project):
    file = Path("data/weights/digits/features.onnx")
    kept = {path: path.read_bytes() for path in file.parent.iterdir()}
    save_features(file, scale=1.0)
    try:
        with pytest.raises(ConvzooError, match=rf"was chosen by another feature network .* dvc repro train@{NETWORK}"):
            evaluate(NETWORK, EVALUATION)
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


def test_measuring_needs_no_torch():
    code = "import sys, convzoo.families.dcgan.evaluate; sys.exit('torch' in sys.modules or 'mlflow' in sys.modules)"
    source = Path(measures.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(source)}, check=False).returncode == 0


def pixels(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.iterdir())]


def test_samples_are_pictures_and_a_grid_with_the_same_bytes_for_the_same_seed(project, tmp_path):
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
    ("count", "seed", "told"),
    [
        (0, 0, "--count: got 0, expected 1 to 100,000"),
        (10**6, 0, "--count: got 1000000"),
        (1, -1, "--seed: got -1, expected 0 to"),
    ],
)
def test_numbers_out_of_range_are_refused(project, tmp_path, count, seed, told):
    with pytest.raises(ConvzooError, match=told):
        sample(FOLDER / "model.onnx", count, seed, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_has_files_is_left_alone(project, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(
            ConvzooError, match=r"--out: .* already exists and is not an empty folder; choose a new one"
        ):
            sample(FOLDER / "model.onnx", 2, 0, folder)
    assert (tmp_path / "mine.txt").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    assert len(sample(FOLDER / "model.onnx", 2, 0, tmp_path / "empty")) == 3


def test_a_folder_that_cannot_be_made_is_said(project, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConvzooError, match=r"--out: .*file/below: cannot be written"):
        sample(FOLDER / "model.onnx", 2, 0, tmp_path / "file/below")


def test_what_makes_no_pictures_is_refused(tmp_path):
    save_linear_classifier(tmp_path / "model.onnx", np.ones((12, 3)), (4, 3, 1))
    with pytest.raises(ConvzooError, match=r"expected a generator, got uint8 \(N, 4, 3, 1\) to"):
        sample(tmp_path / "model.onnx", 2, 0, tmp_path / "new")
