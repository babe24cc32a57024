"""What holds for every training loop between its steps: modes, dropout, and the epoch whose weights are kept."""

from itertools import combinations

import numpy as np
import pytest
import torch
from helpers.loops import CLASSES, LOOPS, Call, Features, Recording, noise
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.modules.module import register_module_forward_hook

IMAGES, VAL = noise(13), noise(67, seed=1)
LABELS = torch.from_numpy(VAL.labels)
SETTINGS = {"epochs": 4, "batch_size": 6, "learning_rate": 0.05}


@pytest.fixture(params=LOOPS)
def name(request):
    return request.param


def test_modes_are_those_of_training_in_each_step_and_of_evaluation_on_val(name):
    found = LOOPS[name].run(IMAGES, VAL, **SETTINGS | ({"blocks": 1} if name == "tune" else {}))
    of_epochs = found.by_epoch()
    assert [len(epoch) for epoch in of_epochs] == [8 if name == "dcgan" else 2] * 4
    for call in found.steps():
        modes = zip([part for part, _ in call.network.named_modules()], call.modes, strict=True)
        still = [part for part, training in modes if not training]
        frozen = ["backbone", *(f"backbone.{part}{number}" for number in (0, 1) for part in ("conv", "norm"))]
        assert still == (["", *frozen] if name == "tune" else [])
        assert [part.training for part in call.network.modules()] == call.modes, "restored after the last epoch, too"
    if name != "dcgan":  # which draws in evaluation mode, see tests/families/test_dcgan_steps.py
        judged = [sum(len(call.x) for call in found.calls if not call.training and call.epoch == n) for n in range(4)]
        assert judged == [len(LABELS)] * 4


@pytest.mark.parametrize("name", ["classifier", "head", "tune"])
def test_dropout_of_the_settings_drops_in_training_alone_and_others_in_each_step(name):
    masks, passed = [], []

    def record(part: nn.Module, inputs: tuple, output: Tensor) -> None:
        if isinstance(part, nn.Dropout):
            (masks if part.training else passed).append((inputs[0] != 0, output == 0))
            if part.training:
                kept = output != 0
                torch.testing.assert_close(output[kept], inputs[0][kept] / 0.7)
            else:
                assert torch.equal(output, inputs[0])

    settings = {"dropout": 0.3, "head": "dense", "dense": 400}
    if name == "classifier":
        settings = {"architecture": "reference", "activation": "softplus", "reference": {"dropout": 0.3, "dense": 400}}
    handle = register_module_forward_hook(record)
    try:
        LOOPS[name].run(IMAGES, VAL, **SETTINGS | {"epochs": 2} | settings)
    finally:
        handle.remove()
    assert passed and len(masks) == 4
    dropped = [zero[alive].float().mean().item() for alive, zero in masks]
    assert dropped == pytest.approx([0.3] * 4, abs=0.05)
    for (alive, zero), (other_alive, other_zero) in combinations(masks, 2):
        assert ((zero ^ other_zero) & alive & other_alive).any(), "of other units"


RISING, BETWEEN = [10, 20, 30, 40], [20, 50, 30, 50]  # the second epoch is the first of the best ones


def scripted(name: str, rights: list[int], **changes) -> Recording:
    """A training that is measured as if its network got so many images of val right, in each epoch."""
    places = dict.fromkeys(range(4), 0)

    def answer(call: Call) -> Tensor:
        rows = torch.arange(places[call.epoch], places[call.epoch] + len(call.x))
        places[call.epoch] += len(call.x)
        if name == "autoencoder":
            return call.x * rights[call.epoch] / 100
        wanted = torch.where(rows < rights[call.epoch], LABELS[rows], (LABELS[rows] + 1) % CLASSES)
        certainty = 1 + rights[call.epoch] ** 2 / 50  # so that the loss is largest when most images are right
        return certainty * one_hot(wanted, CLASSES)

    def features(number: int, found: np.ndarray) -> np.ndarray:
        return np.full_like(found, rights[number - 1] / 100) + np.eye(*found.shape, dtype=np.float32)

    return LOOPS[name].run(IMAGES, VAL, Features(features) if name == "dcgan" else answer, **SETTINGS | changes)


def test_the_first_of_the_best_epochs_is_kept(name):
    of_each_epoch = [weights(kept) for kept in scripted(name, RISING, keep="best").kept]
    assert not same(of_each_epoch[1], of_each_epoch[3])
    found = scripted(name, BETWEEN, keep="best")
    metrics = [row[LOOPS[name].metric] for row in found.state.history]
    assert metrics[1] == metrics[3] == (min(metrics) if name == "dcgan" else max(metrics))
    if LOOPS[name].metric == "val_accuracy":
        assert metrics == [right / len(LABELS) for right in BETWEEN]
        losses = [row["val_loss"] for row in found.state.history]
        assert sorted(losses) == [losses[number] for number in np.argsort(metrics, stable=True)]
    for kept, best in zip(found.kept, (0, 1, 1, 1), strict=True):
        assert same(weights(kept), of_each_epoch[best])


@pytest.mark.parametrize("name", LOOPS)
def test_the_last_epoch_is_kept_if_the_settings_say_so(name):
    of_each_epoch = [weights(kept) for kept in scripted(name, RISING, keep="best").kept]
    found = scripted(name, BETWEEN, keep="last")
    assert all(same(weights(kept), expected) for kept, expected in zip(found.kept, of_each_epoch, strict=True))


def weights(kept: dict) -> dict[str, Tensor]:
    return kept.get("generator", kept)


def same(kept: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[key]) for key, value in kept.items())


@pytest.mark.parametrize("whitening", [True, False])
def test_the_stem_starts_whitened_by_the_train_images_and_stays_so(whitening):
    found = LOOPS["classifier"].run(IMAGES, VAL, **SETTINGS | {"epochs": 1, "fast": {"whitening": whitening}})
    stem = found.starts["Fast"]["stem.weight"]
    x = LOOPS["classifier"].inputs(IMAGES.images)
    patches = nn.functional.conv2d(x.contiguous(), stem[:12].contiguous()).transpose(0, 1).flatten(1)
    spread = patches @ patches.T / patches.shape[1]
    assert torch.allclose(spread, torch.eye(12), atol=0.05) == whitening
    assert torch.equal(found.state.best["stem.weight"], stem) == whitening
