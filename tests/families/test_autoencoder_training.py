"""The autoencoder's loop: what it starts from, what it writes, and that a stop changes nothing."""

import csv

import numpy as np
import pytest
import torch
from helpers.autoencoder_small import COMPUTE, FOLDER, NETWORK, SIDE, pictures, small_project, small_settings
from safetensors.torch import load_file
from sklearn.decomposition import PCA

from convzoo.data.arrays import Split, load_split
from convzoo.data.batches import ImageSet
from convzoo.errors import ConvzooError
from convzoo.families.autoencoder import train as autoencoder
from convzoo.families.autoencoder.network import build
from convzoo.families.autoencoder.train import validate
from convzoo.files import read_json, sha256_of
from convzoo.metrics.images import psnr
from convzoo.training import machine, workspace

COLUMNS = ["epoch", "learning_rate", "train_loss", "val_loss", "val_psnr"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(small_project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def train(**changes) -> str:
    """Train with these settings; the weights' sha256."""
    autoencoder.train(NETWORK, small_settings(**changes), COMPUTE, "test")
    return sha256_of(FOLDER / "weights.safetensors")


def history() -> list[dict[str, str]]:
    with (FOLDER / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


def outputs() -> dict[str, str]:
    return {file.name: sha256_of(file) for file in sorted(FOLDER.rglob("*")) if file.is_file()}


def trained_body() -> torch.nn.Module:
    described = read_json(FOLDER / "architecture.json")
    body = build(described["architecture"], described["arguments"])
    body.load_state_dict(load_file(FOLDER / "weights.safetensors"))
    return body


def test_training_starts_at_pca_and_ends_above_it(project, capsys):
    train(epochs=12, learning_rate=5e-3, flip="none")
    train_images = load_split(project / "data/prepared/cifar10/train").images.reshape(160, -1)
    val_images = load_split(project / "data/prepared/cifar10/val").images.reshape(40, -1)
    pca = PCA(12, svd_solver="covariance_eigh").fit(train_images.astype(np.float64))
    made = pca.inverse_transform(pca.transform(val_images.astype(np.float64))).round().clip(0, 255)
    at_pca = 10 * np.log10(255**2 / np.square(made - val_images).mean())
    assert float(history()[0]["val_psnr"]) > at_pca - 0.5
    assert float(history()[-1]["val_psnr"]) > at_pca + 0.3
    assert list(history()[0]) == COLUMNS
    assert [row["epoch"] for row in history()] == [str(epoch) for epoch in range(1, 13)]
    assert set(outputs()) == {
        "architecture.json",
        "fingerprint.json",
        "history.csv",
        "linear_path.npy",
        "training_images.npy",
        "weights.safetensors",
    }
    assert f"{NETWORK} epoch 12/12" in capsys.readouterr().out
    assert not list((project / ".checkpoints").iterdir())


def test_the_reference_learns_too(project):
    train(architecture="reference", epochs=4, learning_rate=1e-2)
    assert float(history()[-1]["val_psnr"]) > float(history()[0]["val_psnr"])
    assert "linear_path.npy" not in outputs()


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
    settings = small_settings()
    described = autoencoder.describe(settings, {"shape": [SIDE, SIDE, 3], "classes": []})
    body = build(described["architecture"], described["arguments"])
    body.start_at(*autoencoder.principal_components(ImageSet([split], fabric.device), 12))
    flat = split.images.reshape(300, -1).astype(np.float64), val.images.reshape(50, -1).astype(np.float64)
    pca = PCA(12, svd_solver="full").fit(flat[0])
    made = pca.inverse_transform(pca.transform(flat[1])).round().clip(0, 255)
    expected = psnr(np.square(made - flat[1]).mean())
    assert validate(fabric, body, ImageSet([val], fabric.device))[1] == pytest.approx(expected, abs=0.01)
    torch.use_deterministic_algorithms(False)


def test_the_same_training_gives_the_same_bytes(project):
    train(flip="alternating", shift=1, ema_decay=0.9)
    first = outputs()
    train(flip="alternating", shift=1, ema_decay=0.9)
    assert outputs() == first


def test_what_params_say_reaches_weights_and_fingerprint(project):
    found = []
    for changes in (
        {},
        {"seed": 1},
        {"linear_learning_rate": 1e-4},
        {"pca": False},
        {"ema_decay": 0.9},
        {"loss": "l1"},
    ):
        found.append((train(epochs=1, **changes), read_json(FOLDER / "fingerprint.json")["fingerprint"]))
    weights, fingerprints = zip(*found, strict=True)
    assert len(set(weights)) == len(set(fingerprints)) == len(found)


@pytest.mark.parametrize("changes", [{"ema_decay": 0.5}, {"architecture": "reference", "keep": "last"}])
@pytest.mark.parametrize("stopped_after", [1, 2])
def test_stopped_and_resumed_ends_with_the_same_bytes(project, monkeypatch, capsys, changes, stopped_after):
    train(**changes)
    expected = outputs()
    for file in FOLDER.rglob("*.*"):
        file.unlink()

    def stop(run, epoch, metrics):
        if epoch == stopped_after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(workspace.LiveRun, "log", stop)
        train(**changes)
    assert not (FOLDER / "weights.safetensors").exists()

    train(**changes)
    assert f"resuming {NETWORK} at epoch {stopped_after + 1}" in capsys.readouterr().out
    assert outputs() == expected


def test_a_loss_that_is_not_finite_stops_with_its_step(project):
    message = r"the loss is not finite at step \d+ of epoch \d; no epoch is kept"
    with pytest.raises(ConvzooError, match=message) as raised:
        train(learning_rate=1e30, optimizer="sgd", schedule="constant", warmup=0.0)
    assert "lower learning_rate" in str(raised.value)
    assert not (FOLDER / "weights.safetensors").exists()


def test_a_loss_that_turns_infinite_later_names_the_last_good_checkpoint(project, monkeypatch):
    real = autoencoder.augmented

    def broken(images, index, epoch, settings, generator):
        batch = real(images, index, epoch, settings, generator)
        return batch.float() * float("nan") if epoch == 1 else batch

    monkeypatch.setattr(autoencoder, "augmented", broken)
    with pytest.raises(ConvzooError, match=r"at step 1 of epoch 2; epoch 1 is kept in .*last\.safetensors"):
        train()
    assert list((project / ".checkpoints").glob("*/last.safetensors"))


def test_the_best_epoch_on_val_is_kept_where_params_say_so(project, monkeypatch):
    values = iter([20.0, 30.0, 25.0])
    measured = []

    def validate_as_told(fabric, body, val):
        measured.append(validate(fabric, body, val))
        return measured[-1][0], next(values)

    monkeypatch.setattr(autoencoder, "validate", validate_as_told)
    train(keep="best")
    fabric = machine.start(COMPUTE, 0)
    body = trained_body().train()
    val = ImageSet([load_split(project / "data/prepared/cifar10/val")], fabric.device)
    assert validate(fabric, body, val) == pytest.approx(measured[1], abs=1e-4)
    assert len({loss for loss, _ in measured}) == 3
    assert body.training, "the mode is put back"


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


def test_data_that_were_not_validated_as_they_are_are_refused(project):
    file = project / "data/prepared/cifar10/train/images.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ConvzooError, match=r"cifar10/train is not what was validated .* run: dvc repro validate"):
        train()
