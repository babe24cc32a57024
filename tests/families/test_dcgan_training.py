"""What only the DCGAN's training has: two players, epochs chosen by a feature network, and collapses."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small import DCGAN
from helpers.small.dcgan import save_features
from helpers.small.images import shapes
from safetensors.torch import load_file

from convzoo.errors import ConvzooError
from convzoo.families.dcgan import network as players
from convzoo.families.dcgan import train as dcgan
from convzoo.families.dcgan.latents import latents
from convzoo.families.dcgan.settings import PAPER, CollapseSettings
from convzoo.files import read_json, sha256_of
from convzoo.metrics.features import FeatureNetwork

NETWORK, FOLDER = DCGAN.network, DCGAN.folder


@pytest.fixture
def family():
    return DCGAN


def test_epochs_are_validated_as_often_as_params_say_and_the_best_one_is_described(family, project):
    family.train(select_every=2, epochs=4)
    assert [bool(row["val_kid"]) for row in family.history()] == [True, True, False, True]
    kept = read_json(FOLDER / "extra/kept.json")
    best = min((row for row in family.history() if row["val_kid"]), key=lambda row: float(row["val_kid"]))
    assert (kept["epoch"], kept["epochs"]) == (int(best["epoch"]), 4)
    assert kept["features"] == {"name": "digits", "sha256": sha256_of(Path("data/weights/digits/features.onnx"))}


def test_plain_is_the_paper_whatever_the_block_says(family, project):
    settings = DCGAN.settings(variant="plain", loss="hinge", ema_decay=0.9, label_smoothing=0.2)
    values = settings.model_dump()
    assert {key: values[key] for key in PAPER} == PAPER | {"batch_size": 32}
    assert PAPER["batch_size"] == 128


def test_the_epoch_with_the_least_kid_on_val_is_kept(family, project, monkeypatch):
    kids = iter([0.5, 0.2, 0.4])
    made = []

    def validate(real, generated):
        made.append(generated)
        return {"val_diversity": 1.0, "val_kid": next(kids)}

    monkeypatch.setattr(dcgan, "validate", validate)
    family.train(ema_decay=0.0)
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
def test_a_loss_that_is_not_finite_names_the_player_its_step_and_the_last_checkpoint(
    family, project, monkeypatch, player
):
    name, seen = f"{player}_loss", []
    loss = getattr(players, name)

    def breaks(*given):
        seen.append(given)
        return loss(*given) * (float("nan") if len(seen) == 6 else 1)

    monkeypatch.setattr(players, name, breaks)
    with pytest.raises(ConvzooError) as raised:
        family.train()
    told = str(raised.value)
    assert "the loss is not finite at step 2 of epoch 2; epoch 1 is kept in" in told
    assert f"lower {player}_learning_rate" in told
    assert Path(re.search(r"is kept in (\S+);", told)[1]).is_file()
    assert not (FOLDER / "weights.safetensors").exists()


COLLAPSE = CollapseSettings(action="warn", diversity=0.1, probability=0.01, judged_epochs=2)


def test_a_collapse_fails_or_warns_as_params_say(family, project, monkeypatch, capsys):
    monkeypatch.setattr(dcgan, "validate", lambda real, generated: {"val_diversity": 0.01, "val_kid": 0.5})
    with pytest.raises(ConvzooError, match=rf"{NETWORK}: epoch 2: the samples are alike.*set collapse.action: warn"):
        family.train(collapse=COLLAPSE.model_copy(update={"action": "fail"}))
    assert not (FOLDER / "weights.safetensors").exists()
    family.train(collapse=COLLAPSE)
    assert f"{NETWORK}: warning: epoch 2: the samples are alike" in capsys.readouterr().out
    assert len(read_json(FOLDER / "extra/kept.json")["alarms"]) == 2


def test_a_missing_feature_network_and_one_of_other_pictures_are_named(family, project):
    save_features(Path("data/weights/digits/features.onnx"), channels=3)
    with pytest.raises(ConvzooError, match=r"takes uint8 \(N, 28, 28, 3\), the images have 1 channel"):
        family.train()
    Path("data/weights/digits/features.onnx").unlink()
    message = r"digits/features\.onnx: there is no such file, expected .*; run `convzoo repro weights@digits`"
    with pytest.raises(ConvzooError, match=message):
        family.train()


def test_a_conditional_network_needs_classes_and_latents_beside_those_that_choose_them(family, project):
    classes = len(read_json(DCGAN.prepared / "train/meta.json")["classes"])
    expected = (
        f"conditional: got true for {classes} classes and {classes} latents, expected at least 2 classes and more"
    )
    with pytest.raises(ConvzooError, match=expected):
        family.train(conditional=True, latents=classes)
    assert not FOLDER.exists()


def test_an_epoch_too_short_for_a_step_of_the_generator_is_named(family, project):
    with pytest.raises(ConvzooError, match="discriminator_steps: got 9, expected at most 4, the number of batches"):
        family.train(discriminator_steps=9)
