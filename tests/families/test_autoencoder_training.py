"""What only the autoencoder's training has: its start from principal components, and how it is measured."""

import numpy as np
import pytest
import torch
from helpers.small import AUTOENCODER, COMPUTE
from helpers.small.images import pictures
from safetensors.torch import load_file
from sklearn.decomposition import PCA

from convzoo.data.arrays import Split, load_split
from convzoo.data.batches import ImageSet
from convzoo.families.autoencoder import train as autoencoder
from convzoo.families.autoencoder.network import build
from convzoo.families.autoencoder.train import validate
from convzoo.files import read_json
from convzoo.metrics.images import psnr
from convzoo.training import machine


@pytest.fixture
def family():
    return AUTOENCODER


def trained_network() -> torch.nn.Module:
    described = read_json(AUTOENCODER.folder / "architecture.json")
    body = build(described["architecture"], described["arguments"])
    body.load_state_dict(load_file(AUTOENCODER.folder / "weights.safetensors"))
    return body


def test_training_starts_at_pca_and_ends_above_it(family, project):
    family.train(epochs=12, learning_rate=5e-3, flip="none")
    train_images = load_split(project / "data/prepared/cifar10/train").images.reshape(160, -1)
    val_images = load_split(project / "data/prepared/cifar10/val").images.reshape(40, -1)
    pca = PCA(12, svd_solver="covariance_eigh").fit(train_images.astype(np.float64))
    made = pca.inverse_transform(pca.transform(val_images.astype(np.float64))).round().clip(0, 255)
    at_pca = 10 * np.log10(255**2 / np.square(made - val_images).mean())
    assert float(family.history()[0]["val_psnr"]) > at_pca - 0.5
    assert float(family.history()[-1]["val_psnr"]) > at_pca + 0.3


def test_the_reference_learns_too(family, project):
    family.train(architecture="reference", epochs=4, learning_rate=1e-2)
    assert float(family.history()[-1]["val_psnr"]) > float(family.history()[0]["val_psnr"])
    assert "extra/linear_path.npy" not in family.outputs()


def test_principal_components_are_scikit_learns_up_to_their_sign():
    split = pictures(300, 7)
    mean, found = autoencoder.principal_components(ImageSet([split], torch.device("cpu")), 6)
    flat = split.images.transpose(0, 3, 1, 2).reshape(300, -1) / 127.5 - 1
    pca = PCA(6, svd_solver="full").fit(flat)
    np.testing.assert_allclose(mean, pca.mean_, atol=1e-5)
    np.testing.assert_allclose((found.numpy() * pca.components_).sum(1).__abs__(), 1, atol=1e-3)
    assert (found.gather(1, found.abs().argmax(1, keepdim=True)) > 0).all()


def test_the_start_without_training_reconstructs_as_pca_does():
    split, val = pictures(300, 7), pictures(50, 8)
    fabric = machine.start(COMPUTE, 0)
    settings = AUTOENCODER.settings()
    described = autoencoder.describe(settings, {"shape": [16, 16, 3], "classes": []})
    body = build(described["architecture"], described["arguments"])
    body.start_at(*autoencoder.principal_components(ImageSet([split], fabric.device), 12))
    flat = split.images.reshape(300, -1).astype(np.float64), val.images.reshape(50, -1).astype(np.float64)
    pca = PCA(12, svd_solver="full").fit(flat[0])
    made = pca.inverse_transform(pca.transform(flat[1])).round().clip(0, 255)
    expected = psnr(np.square(made - flat[1]).mean())
    assert validate(fabric, body, ImageSet([val], fabric.device))[1] == pytest.approx(expected, abs=0.01)
    torch.use_deterministic_algorithms(False)


def test_psnr_is_that_of_rounded_pixels():
    class Grey(torch.nn.Module):
        def forward(self, x):
            return torch.zeros_like(x) + 2 * 100.4 / 255 - 1  # 100.4 grey levels

    images = np.full((4, 2, 2, 3), 110, np.uint8)
    fabric = machine.start(COMPUTE, 0)
    loss, found = validate(fabric, Grey(), ImageSet([Split(images, np.zeros(4, np.int64))], fabric.device))
    assert loss == pytest.approx((9.6 / 127.5) ** 2, rel=1e-4)
    assert found == pytest.approx(10 * np.log10(255**2 / 10**2))
    assert psnr(0) == float("inf")
    torch.use_deterministic_algorithms(False)
