"""The loop of the DCGANs, and how its epochs are judged."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.dcgan_small import NETWORK, dcgan_project, dcgan_settings, save_features
from helpers.small import COMPUTE as TWO_THREADS
from helpers.small import shapes
from safetensors.torch import load_file

from convzoo.errors import ConvzooError
from convzoo.families.dcgan import network as players
from convzoo.families.dcgan import train as dcgan
from convzoo.families.dcgan.latents import latents
from convzoo.families.dcgan.settings import PAPER, CollapseSettings
from convzoo.files import read_json, sha256_of
from convzoo.metrics.features import FeatureNetwork
from convzoo.training import workspace

FOLDER = Path("models", NETWORK)
COMPUTE = TWO_THREADS.model_copy(update={"threads": 1})  # a second one would mostly wait, at this size
COLUMNS = ["epoch", "learning_rate", "train_discriminator_loss", "train_generator_loss"]
COLUMNS += ["train_real_probability", "train_fake_probability", "val_diversity", "val_kid"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(dcgan_project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def train(**changes) -> str:
    """Train with these settings; the weights' sha256."""
    dcgan.train(NETWORK, dcgan_settings(**changes), COMPUTE, "test")
    return sha256_of(FOLDER / "weights.safetensors")


def history() -> list[dict[str, str]]:
    with (FOLDER / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


def outputs() -> dict[str, str]:
    return {file.name: sha256_of(file) for file in sorted(FOLDER.rglob("*")) if file.is_file()}


def test_training_writes_what_it_declares(project, capsys):
    train(select_every=2, epochs=4)
    assert list(history()[0]) == COLUMNS
    assert [row["epoch"] for row in history()] == ["1", "2", "3", "4"]
    assert [bool(row["val_kid"]) for row in history()] == [True, True, False, True]
    arrays = {"progress.npy", "latent_walk.npy", "real_augmented_generated.npy"}
    files = {"architecture.json", "discriminator.safetensors", "fingerprint.json", "history.csv", "kept.json"}
    assert set(outputs()) == arrays | files | {"weights.safetensors"}
    assert f"{NETWORK} epoch 4/4" in capsys.readouterr().out
    assert not list((project / ".checkpoints").iterdir())
    kept = read_json(FOLDER / "extra/kept.json")
    best = min((row for row in history() if row["val_kid"]), key=lambda row: float(row["val_kid"]))
    assert (kept["epoch"], kept["epochs"]) == (int(best["epoch"]), 4)
    assert kept["features"] == {"name": "digits", "sha256": sha256_of(Path("data/weights/digits/features.onnx"))}


def test_the_same_training_gives_the_same_bytes(project):
    changes = {"loss": "hinge", "spectral_norm": True, "discriminator_norm": "none", "r1": 1.0, "r1_every": 2}
    train(**changes)
    first = outputs()
    train(**changes)
    assert outputs() == first


SWITCHES = [
    {"seed": 1},
    {"variant": "plain"},
    {"leak": 0.1},
    {"discriminator_norm": "none"},
    {"spectral_norm": True},
    {"loss": "hinge"},
    {"label_smoothing": 0.3},
    {"discriminator_norm": "none", "r1": 10.0, "r1_every": 1},
    {"discriminator_steps": 2},
    {"generator_learning_rate": 1e-3},
    {"discriminator_learning_rate": 1e-3},
    {"ema_decay": 0.0},
    {"schedule": "linear"},
    {"stored_variants": True},
]


def test_every_switch_of_params_reaches_weights_and_fingerprint(project):
    settings = dcgan_settings()
    augmented = settings.model_copy(update={"augment": settings.augment.model_copy(update={"cutout": 9})})
    found = {train(epochs=1): "as committed"}
    identities = {read_json(FOLDER / "fingerprint.json")["fingerprint"]}
    for changes in (*SWITCHES, {"augment": augmented.augment}):
        weights = train(epochs=1, **changes)
        assert weights not in found, f"{changes} trains as {found[weights]}"
        found[weights] = changes
        identities.add(read_json(FOLDER / "fingerprint.json")["fingerprint"])
    assert len(identities) == len(SWITCHES) + 2


def test_the_features_that_judge_are_part_of_the_identity(project):
    train(epochs=1)
    before = read_json(FOLDER / "fingerprint.json")["fingerprint"]
    save_features(Path("data/weights/digits/features.onnx"), scale=1 / 128)
    train(epochs=1)
    assert read_json(FOLDER / "fingerprint.json")["fingerprint"] != before


def test_plain_is_the_paper_whatever_the_block_says(project):
    settings = dcgan_settings(variant="plain", loss="hinge", ema_decay=0.9, label_smoothing=0.2)
    values = settings.model_dump()
    assert {key: values[key] for key in PAPER} == PAPER | {"batch_size": 32}
    assert PAPER["batch_size"] == 128


@pytest.mark.parametrize(
    "changes", [{}, {"discriminator_norm": "none", "spectral_norm": True, "r1": 1.0, "r1_every": 3}]
)
@pytest.mark.parametrize("stopped_after", [1, 2])
def test_stopped_and_resumed_ends_with_the_same_bytes(project, monkeypatch, capsys, changes, stopped_after):
    changes = {"discriminator_steps": 2, "schedule": "linear", **changes}
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


def test_the_epoch_with_the_least_kid_on_val_is_kept(project, monkeypatch):
    kids = iter([0.5, 0.2, 0.4])
    made = []

    def validate(real, generated):
        made.append(generated)
        return {"val_diversity": 1.0, "val_kid": next(kids)}

    monkeypatch.setattr(dcgan, "validate", validate)
    train(ema_decay=0.0)
    assert read_json(FOLDER / "extra/kept.json")["epoch"] == 2
    described = read_json(FOLDER / "architecture.json")
    generator, _ = players.build(described["generator"], described["discriminator"])
    generator.load_state_dict(load_file(FOLDER / "weights.safetensors"))
    images = players.samples(generator, latents(20, 8, 0))
    features = FeatureNetwork("digits", 1)
    np.testing.assert_allclose(features(images), made[1], atol=1e-5)
    assert not np.allclose(features(images), made[2], atol=1e-5)


def test_32_images_are_learned_by_heart():
    torch.manual_seed(0)
    picture = {"size": 28, "channels": 1, "width": 16}
    generator, discriminator = players.build(
        picture | {"latents": 100}, picture | {"leak": 0.2, "norm": "batch", "spectral": False}
    )
    real = players.to_signed(torch.from_numpy(shapes(32, 0).images))
    with torch.no_grad():
        fake = generator(torch.randn(32, 100))
    optimizer = torch.optim.Adam(discriminator.parameters(), 2e-3, betas=(0.5, 0.999))
    for _ in range(25):
        loss = players.discriminator_loss("bce", discriminator(real), discriminator(fake), 0.0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert (discriminator(real) > 0).all()
    assert (discriminator(fake) < 0).all()

    # And the generator draws 32 given pictures of 32 given latents.
    latents, optimizer = torch.randn(32, 100), torch.optim.Adam(generator.parameters(), 1e-2)
    for _ in range(120):
        loss = (generator(latents) - real).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.25 * real.var().item(), "a tenth of it is noise that no picture shares"


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_loss_that_is_not_finite_stops_with_its_step_and_the_last_good_checkpoint(project, monkeypatch, player):
    name, seen = f"{player}_loss", []
    loss = getattr(players, name)

    def breaks(*given):
        seen.append(given)
        return loss(*given) * (float("nan") if len(seen) == 6 else 1)

    monkeypatch.setattr(players, name, breaks)
    with pytest.raises(ConvzooError) as raised:
        train()
    told = str(raised.value)
    assert "the loss is not finite at step 2 of epoch 2; epoch 1 is kept in" in told
    assert f"lower {player}_learning_rate" in told
    assert Path(re.search(r"is kept in (\S+);", told)[1]).is_file()
    assert not (FOLDER / "weights.safetensors").exists()


COLLAPSE = CollapseSettings(action="warn", diversity=0.1, probability=0.01, judged_epochs=2)


def test_a_collapse_fails_or_warns_as_params_say(project, monkeypatch, capsys):
    monkeypatch.setattr(dcgan, "validate", lambda real, generated: {"val_diversity": 0.01, "val_kid": 0.5})
    with pytest.raises(ConvzooError, match=rf"{NETWORK}: epoch 2: the samples are alike.*set collapse.action: warn"):
        train(collapse=COLLAPSE.model_copy(update={"action": "fail"}))
    assert not (FOLDER / "weights.safetensors").exists()
    train(collapse=COLLAPSE)
    assert f"{NETWORK}: warning: epoch 2: the samples are alike" in capsys.readouterr().out
    assert len(read_json(FOLDER / "extra/kept.json")["alarms"]) == 2


def test_a_missing_feature_network_and_one_of_other_pictures_are_named(project):
    save_features(Path("data/weights/digits/features.onnx"), channels=3)
    with pytest.raises(ConvzooError, match=r"takes uint8 \(N, 28, 28, 3\), the images have 1 channel"):
        train()
    Path("data/weights/digits/features.onnx").unlink()
    with pytest.raises(
        ConvzooError, match=r"digits/features.onnx: there is no such file, expected .*; run `dvc repro weights@digits`"
    ):
        train()


def test_an_epoch_too_short_for_a_step_of_the_generator_is_named(project):
    with pytest.raises(ConvzooError, match="discriminator_steps: got 9, expected at most 4, the number of batches"):
        train(discriminator_steps=9)


def test_data_that_were_not_validated_as_they_are_are_refused(project):
    file = Path("data/prepared/mnist/train/images.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ConvzooError, match=r"mnist/train is not what was validated .* run: dvc repro validate"):
        train()
