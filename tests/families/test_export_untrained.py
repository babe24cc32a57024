"""What each family's export writes, for networks with random weights, against the networks run by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.small import AUTOENCODER, CLASSIFIER, DCGAN, TRANSFER
from helpers.small.family import Family
from safetensors.torch import save_file
from scipy.optimize import minimize_scalar
from torch import nn

from convzoo.data.arrays import load_split, save_array
from convzoo.errors import ConvzooError
from convzoo.families.autoencoder.network import build as build_autoencoder
from convzoo.families.classifier.network import build as build_classifier
from convzoo.families.dcgan.latents import latents
from convzoo.families.dcgan.network import build as build_dcgan
from convzoo.families.transfer import network as transfer
from convzoo.files import read_json, sha256_of, write_json
from convzoo.shipping import export as exporting
from convzoo.shipping.model import Model
from convzoo.weights.backbones import resized

MEAN, STD = [0.3, 0.4, 0.6], [0.2, 0.3, 0.25]
CLASSES = ["a", "b", "c", "d"]
WEIGHTS = Path("data/weights/tiny")


class Tiny(nn.Sequential):
    """A backbone of three features."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 3, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def save(network: nn.Module, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    return sha256_of(path)


def shaken(network: nn.Module) -> nn.Module:
    """`network` in evaluation mode, with weights and statistics that differ from those of a new one."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value += 0.1 * (torch.rand(value.shape) - 0.5) + (0.2 if "running_var" in name else 0.0)
    return network.eval()


def write_val(shape: tuple[int, int, int]) -> np.ndarray:
    """30 val images of noise; other splits hold other numbers of images, which must not be used."""
    for split, count in (("val", 30), ("train", 3), ("test", 2)):
        images = np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)
        save_array(Path("data/prepared/drawn", split, "images.npy"), images)
        save_array(Path("data/prepared/drawn", split, "labels.npy"), np.arange(count) % 4)
    write_json(Path("data/raw/drawn/source.json"), {"name": "drawn", "kind": "synthetic"})
    return np.array(load_split(Path("data/prepared/drawn/val")).images)


def write_described(family: Family, sha256: str, extra: dict[str, str], **more: Any) -> None:
    about = {"family": family.name, "dataset": "drawn", "classes": CLASSES, "resize": "none", "mean": MEAN, "std": STD}
    write_json(family.folder / "architecture.json", about | {"weights_sha256": sha256, "extra_sha256": extra} | more)


def floats(images: np.ndarray, mean: Any, std: Any) -> torch.Tensor:
    return torch.tensor(((images / 255 - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2), dtype=torch.float32)


def logits_over(views: str, network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    sides = [x, x.flip(3)] if views.startswith("mirror") else [x]
    found = torch.stack([network(side) for side in sides]).mean(0)
    if "shift" in views:
        moved = [torch.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")[:, :, a:, a:] for a in (0, 2)]
        moved = [
            logits_over(views.replace("_shift", "").replace("shift", ""), network, y[:, :, : x.shape[2], : x.shape[3]])
            for y in moved
        ]
        found = found / 2 + sum(moved) / 4
    return found


def best_temperature(logits: torch.Tensor) -> float:
    labels = torch.arange(30) % 4

    def loss(logarithm: float) -> float:
        return nn.functional.cross_entropy(logits.double() / np.exp(logarithm), labels).item()

    return float(np.exp(minimize_scalar(loss, bounds=np.log([0.05, 20]), method="bounded").x))


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def same(file: str | Path, inputs: np.ndarray, expected: torch.Tensor, atol: float = 1e-5) -> None:
    found = Model(file)(inputs)
    assert found.shape == tuple(expected.shape) and np.ptp(found.astype(float), axis=0).max() > 10 * atol
    if found.dtype == np.uint8:
        assert np.abs(found - expected.round().clamp(0, 255).numpy()).max() <= 1
        assert np.mean(found != expected.round().clamp(0, 255).numpy()) < 5e-3
    else:
        np.testing.assert_allclose(found, expected, atol=atol)


def ports(folder: Path) -> dict[str, tuple[str, str, str]]:
    """What each file takes and returns, by name, and the unit that its parity was measured in."""
    parity = read_json(folder / "export.json")["parity"]["files"]
    models = {name: Model(folder / name) for name in parity}
    return {name: (model.input.name, model.output.name, parity[name]["unit"]) for name, model in models.items()}


PROBABILITIES = ("images", "probabilities", "probability")
FEATURES = ("images", "features", "feature")


@pytest.mark.parametrize("calibrate", [True, False])
@pytest.mark.parametrize("views", ["identity", "mirror", "shift", "mirror_shift"])
def test_a_classifiers_file_averages_views_and_divides_by_the_temperature(views, calibrate):
    images = write_val((28, 28, 3))
    described = CLASSIFIER.zoo["fast, colour"][0]
    arguments = described[1] | {"classes": 4, "logit_scale": 20.0}
    network = shaken(build_classifier("fast", arguments))
    write_described(
        CLASSIFIER,
        save(network, CLASSIFIER.folder / "weights.safetensors"),
        {},
        architecture="fast",
        arguments=arguments,
    )
    CLASSIFIER.export(views=views, calibrate=calibrate, parity_images=11)
    said, logits = read_json(CLASSIFIER.folder / "export.json"), logits_over(views, network, floats(images, MEAN, STD))
    expected = best_temperature(logits) if calibrate else 1
    assert said["views"] == views and said["temperature"] == pytest.approx(expected, rel=6e-3)
    assert said["parity"]["images"] == 11
    assert said["parameters"] == sum(weight.numel() for weight in network.parameters())
    assert ports(CLASSIFIER.folder) == {"model.onnx": PROBABILITIES, "parts/features.onnx": FEATURES}
    same(CLASSIFIER.folder / "model.onnx", images, (logits / said["temperature"]).softmax(1))


@pytest.mark.parametrize("kind", ["fast, three convolutions", "reference"])
def test_a_classifiers_features_are_what_its_last_layer_gets(kind):
    images = write_val((28, 28, 1))
    architecture, arguments = CLASSIFIER.zoo[kind][0]
    network = shaken(build_classifier(architecture, arguments))
    sha256 = save(network, CLASSIFIER.folder / "weights.safetensors")
    more = {"architecture": architecture, "arguments": arguments, "mean": [0.3], "std": [0.2], "classes": CLASSES * 3}
    write_described(CLASSIFIER, sha256, {}, **more)
    CLASSIFIER.export(calibrate=False)
    features = torch.from_numpy(Model(CLASSIFIER.folder / "parts/features.onnx")(images))
    logits = network.head(features) * 0.125 if architecture == "fast" else network.layers[-1](features)
    torch.testing.assert_close(logits, network(floats(images, [0.3], [0.2])), atol=1e-4, rtol=1e-3)


def test_an_autoencoders_files_are_the_network_and_its_halves():
    images = write_val((16, 16, 3))
    architecture, arguments = AUTOENCODER.zoo["fast"][0]
    network = shaken(build_autoencoder(architecture, arguments))
    folder = AUTOENCODER.folder
    weights = save(network, folder / "weights.safetensors")
    write_described(AUTOENCODER, weights, {}, architecture=architecture, arguments=arguments)
    AUTOENCODER.export(parity_images=13)
    said = read_json(folder / "export.json")
    assert (said["latent"], said["parity"]["images"]) == (12, 13)
    assert ports(folder) == {
        "model.onnx": ("images", "reconstructions", "grey level"),
        "parts/encoder.onnx": ("images", "latents", "latent"),
        "parts/decoder.onnx": ("latents", "reconstructions", "grey level"),
    }
    codes = network.encode(floats(images, [0.5] * 3, [0.5] * 3))
    made = ((network.decode(codes) + 1) * 127.5).permute(0, 2, 3, 1)
    same(folder / "parts/encoder.onnx", images, codes, atol=1e-4)
    same(folder / "parts/decoder.onnx", codes.numpy(), made)
    same(folder / "model.onnx", images, made)


def test_the_parity_of_a_decoder_is_that_of_the_encoded_val_images(monkeypatch):
    images, seen, compute = write_val((16, 16, 3)), [], exporting.results_of
    test_an_autoencoders_files_are_the_network_and_its_halves()
    monkeypatch.setattr(exporting, "results_of", lambda *given: seen.append(given[1]) or compute(*given))
    AUTOENCODER.export(parity_images=30)
    whole, encoder, decoder = seen
    assert np.array_equal(whole, images) and np.array_equal(encoder, images)
    np.testing.assert_allclose(decoder, Model(AUTOENCODER.folder / "parts/encoder.onnx")(images), atol=1e-4)


@pytest.mark.parametrize("kind", ["28, grey, batch", "28, grey, spectral"])
def test_a_dcgans_files_are_the_generator_and_the_discriminators_features(kind, monkeypatch):
    images, folder = write_val((28, 28, 1)), DCGAN.folder
    generator, discriminator = DCGAN.zoo[kind][0]
    networks = [shaken(network) for network in build_dcgan(generator, discriminator)]
    extra = {"discriminator.safetensors": save(networks[1], folder / "extra/discriminator.safetensors")}
    weights = save(networks[0], folder / "weights.safetensors")
    more = {"generator": generator, "discriminator": discriminator, "shape": [28, 28, 1]}
    write_described(DCGAN, weights, extra, **more)
    seen, compute = [], exporting.results_of
    monkeypatch.setattr(exporting, "results_of", lambda *given: seen.append(given[1]) or compute(*given))
    DCGAN.export(parity_images=12)
    assert np.array_equal(seen[0], latents(12, 100, 0))
    assert seen[1].tolist() == images[np.linspace(0, 29, 12).astype(int)].tolist()
    assert ports(folder) == {
        "model.onnx": ("latents", "images", "grey level"),
        "parts/discriminator.onnx": ("images", "features", "feature"),
    }
    noise = latents(9, 100, 3)
    same(folder / "model.onnx", noise, ((networks[0](torch.from_numpy(noise)) + 1) * 127.5).permute(0, 2, 3, 1))
    expected = networks[1].features(floats(images, [0.5], [0.5]))
    same(folder / "parts/discriminator.onnx", images, expected, atol=1e-4)
    write_described(DCGAN, weights, extra, **more | {"shape": [32, 28, 1]})
    with pytest.raises(
        ConvzooError, match=r"generates images of \[32, 28, 1\], but data/prepared/drawn has \[28, 28, 1"
    ):
        DCGAN.export()


@pytest.fixture
def tiny(monkeypatch) -> Callable[[str], tuple[nn.Module, nn.Module]]:
    """Write a transfer network on a tiny backbone; returns it, and its first head on the published weights."""
    monkeypatch.setattr(transfer, "whole", lambda name: {"tiny": Tiny}[name]())
    monkeypatch.setattr(transfer, "cut", lambda network: network)

    def write(method: str) -> tuple[nn.Module, nn.Module]:
        arguments = {"side": 12, "classes": 4, "head": "linear", "dense": 16, "dropout": 0.2}
        tuned, untouched = (shaken(transfer.build("tiny", arguments)) for _ in range(2))
        sha256 = save(untouched.backbone, WEIGHTS / "weights.safetensors")
        write_json(WEIGHTS / "weights.json", {"backbone": "tiny", "files": {"weights.safetensors": sha256}})
        weights = {"name": "tiny", "tensors_sha256": sha256, "file": "made.pth"}
        head = save(untouched.head, TRANSFER.folder / "extra/features_head.safetensors")
        write_described(
            TRANSFER,
            save(tuned, TRANSFER.folder / "weights.safetensors"),
            {"features_head.safetensors": head},
            architecture="tiny",
            arguments=arguments,
            method=method,
            weights=weights,
        )
        return tuned, untouched

    return write


@pytest.mark.parametrize("method", ["finetune", "features"])
def test_a_transfer_network_has_its_first_head_on_the_published_backbone(method, tiny):
    images, folder = write_val((12, 12, 3)), TRANSFER.folder
    tuned, untouched = tiny(method)
    TRANSFER.export(views="mirror", calibrate=True)
    said, x = read_json(folder / "export.json"), floats(images, MEAN, STD)
    assert (said["backbone"], said["method"], said["views"]) == ("tiny", method, "mirror")
    assert said["weights"] == read_json(folder / "architecture.json")["weights"]
    logits = logits_over("mirror", tuned, x)
    assert said["temperature"] == pytest.approx(best_temperature(logits), rel=6e-3)
    same(folder / "model.onnx", images, (logits / said["temperature"]).softmax(1), atol=2e-5)
    torch.testing.assert_close(
        tuned.backbone(resized(x, 12)), torch.from_numpy(Model(folder / "parts/features.onnx")(images))
    )
    if method == "features":
        assert said["parts_sha256"].keys() == {"features.onnx"}
        return
    assert ports(folder) == {
        "model.onnx": PROBABILITIES,
        "parts/features.onnx": FEATURES,
        "parts/features_head.onnx": PROBABILITIES,
    }
    same(folder / "parts/features_head.onnx", images, untouched(x).softmax(1), atol=2e-5)  # one view, as it is
    described = read_json(WEIGHTS / "weights.json")
    write_json(WEIGHTS / "weights.json", described | {"files": {"weights.safetensors": "0" * 64}})
    with pytest.raises(ConvzooError, match=r"is not what weights\.json says"):
        TRANSFER.export()
    tiny("finetune")
    (folder / "architecture.json").write_text(
        (folder / "architecture.json").read_text().replace(sha256_of(WEIGHTS / "weights.safetensors"), "1" * 64)
    )
    with pytest.raises(ConvzooError, match=r"expected 1{64}, from which the network was trained"):
        TRANSFER.export()
