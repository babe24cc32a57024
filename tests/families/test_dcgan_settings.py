"""The blocks of the DCGANs in params.yaml."""

import re

import pytest
from helpers.project import ROOT
from helpers.small.dcgan import NETWORK, small_settings

from convzoo.errors import SettingsError
from convzoo.families.dcgan.settings import PAPER, TrainingSettings, misfits
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from convzoo.settings.whole import check_all

PARAMS = (ROOT / "params.yaml").read_text()
HEAD, TAIL = PARAMS.split(f"  {NETWORK}:\n", 1)

MISTAKES = [
    ("variant: tuned", "variant: paper", "variant: got 'paper', expected one of: tuned, plain"),
    ("loss: bce", "loss: mse", "loss: got 'mse', expected one of: bce, hinge, relativistic"),
    ("leak: 0.2", "leak: 1", "leak: got 1, expected a number of at least 0 and below 1"),
    ("discriminator_steps: 1", "discriminator_steps: 0", "discriminator_steps: got 0, expected a whole number of"),
    ("discriminator_norm: batch", "discriminator_norm: layer", "got 'layer', expected one of: batch, none"),
    ("conditional: true", "conditional: 10", "conditional: got 10, expected true or false"),
    ("flip: false", "flip: 1", "augment.flip: got 1, expected true or false"),
    ("shift: 0 ", "shift: 28 ", "augment.shift: got 28, expected less than the side of pictures of 28x28"),
    ("cutout: 0 ", "cutout: 99 ", "augment.cutout: got 99, expected less than the side"),
    ("action: warn", "action: ignore", "collapse.action: got 'ignore', expected one of: fail, warn"),
    ("r1: 0 ", "r1: 1 ", "r1: a penalty on each image's gradient .* expected 0, or discriminator_norm: none"),
    ("r2: 0 ", "r2: 1 ", "r2: a penalty on each image's gradient .* expected 0, or discriminator_norm: none"),
    ("weights: digits ", "weights: none ", "weights: got 'none', expected a feature network"),
    ("weights: digits ", "weights: inception ", "weights: got 'inception', expected a block of `weights`: none, eff"),
    ("data: mnist", "data: flowers", "data: pictures of 96x96 cannot be halved down to 4x4; expected squares of 28"),
    ("    latents: 100\n", "", "latents: is missing; expected a whole number of at least 1"),
]


def told_of(tmp_path, text: str) -> str:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(SettingsError) as raised:
        check_all(read_params(tmp_path / "params.yaml"))
    return str(raised.value)


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_a_mistake_is_answered_with_the_key_and_what_it_may_be(tmp_path, old, new, expected):
    assert old in TAIL
    told = told_of(tmp_path, f"{HEAD}  {NETWORK}:\n{TAIL.replace(old, new, 1)}")
    assert len(told.splitlines()) == 1
    assert re.search(rf"params\.yaml:\d+: networks\.{NETWORK}\..*{expected}", told)


def test_smoothing_belongs_to_one_loss():
    [(key, told)] = misfits(small_settings(loss="hinge", label_smoothing=0.1), 28, 28)
    assert key == ("label_smoothing",)
    assert "expected 0 with hinge" in told
    assert not list(misfits(small_settings(loss="hinge", label_smoothing=0.0), 28, 28))


@pytest.mark.parametrize(("height", "width"), [(28, 28), (32, 32), (64, 64), (28, 32), (96, 96), (4, 4)])
def test_squares_that_come_to_four_pixels_fit(height, width):
    fits = (height, width) in [(28, 28), (32, 32), (64, 64)]
    settings = small_settings()
    settings = settings.model_copy(update={"augment": settings.augment.model_copy(update={"shift": 0, "cutout": 0})})
    assert (not list(misfits(settings, height, width))) == fits


def test_plain_puts_the_paper_in_the_place_of_the_block_and_leaves_sizes(tmp_path):
    (tmp_path / "params.yaml").write_text(f"{HEAD}  {NETWORK}:\n{TAIL.replace('variant: tuned', 'variant: plain', 1)}")
    plain = network_settings(read_params(tmp_path / "params.yaml"), "networks", NETWORK)
    tuned = network_settings(read_params(ROOT / "params.yaml"), "networks", NETWORK)
    assert plain.variant == "plain"
    assert {key: plain.model_dump()[key] for key in PAPER} == PAPER
    kept = set(TrainingSettings.model_fields) - set(PAPER) - {"variant"}
    assert all(getattr(plain, key) == getattr(tuned, key) for key in kept)
    assert {"generator_width", "epochs", "seed", "select_every", "collapse"} <= kept
