"""What only the classifier's training has."""

from pathlib import Path

import pytest
import torch
from helpers.small import CLASSIFIER, COMPUTE
from safetensors.torch import load_file

from convzoo.data.arrays import load_split
from convzoo.families.classifier import train as classifier
from convzoo.families.classifier.network import build
from convzoo.files import read_json
from convzoo.training import machine, optimizers


@pytest.fixture
def family():
    return CLASSIFIER


@pytest.mark.parametrize(("architecture", "rate"), [("fast", 0.1), ("reference", 0.01)])
def test_training_learns(family, project, architecture, rate):
    family.train(architecture=architecture, epochs=12, learning_rate=rate, shift=0)
    assert float(family.history()[-1]["val_accuracy"]) > 0.9


def test_the_best_epoch_on_val_is_kept_where_params_say_so(family, project):
    # The rate stays so high that accuracy on val goes up and down.
    family.train(keep="best", learning_rate=2.0, schedule="constant", epochs=6, ema_decay=0.0)
    best = max(float(row["val_accuracy"]) for row in family.history())
    described = read_json(family.folder / "architecture.json")
    body = build(described["architecture"], described["arguments"])
    body.load_state_dict(load_file(family.folder / "weights.safetensors"))
    fabric = machine.start(COMPUTE, 0)
    val = classifier.ImageSet([load_split(Path("data/prepared/mnist/val"))], fabric.device)
    mean, std = torch.tensor(described["mean"]), torch.tensor(described["std"])
    body.train()
    assert classifier.validate(fabric, body, val, mean, std)[1] == pytest.approx(best)
    assert body.training, "the mode is put back"


def test_32_images_are_learned_by_heart():
    settings = CLASSIFIER.settings(learning_rate=0.05, optimizer="adamw", label_smoothing=0.0)
    body = build("fast", arguments())
    [optimizer] = classifier.build_optimizers(body, settings)
    x, labels = torch.randn(32, 1, 28, 28), torch.randint(4, (32,))
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(body(x), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert (body(x).argmax(1) == labels).all()


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "muon"])
def test_every_optimizer_takes_a_step_on_every_trained_weight(name):
    body = build("fast", arguments())
    before = {key: weight.clone() for key, weight in body.named_parameters()}
    built = classifier.build_optimizers(body, CLASSIFIER.settings(optimizer=name, learning_rate=0.01))
    assert [type(optimizer).__name__.lower() for optimizer in built] == (["sgd", "muon"] if name == "muon" else [name])
    optimizers.set_rates(built, 0.5)
    assert {group["lr"] / group["peak"] for optimizer in built for group in optimizer.param_groups} == {0.5}
    body(torch.randn(8, 1, 28, 28)).square().sum().backward()
    for optimizer in built:
        optimizer.step()
    still = [key for key, weight in body.named_parameters() if torch.equal(weight, before[key])]
    assert still == ["stem.weight"], "the whitened stem is frozen, the rest is trained"


def arguments() -> dict:
    return {"channels": 1, "classes": 4, "activation": "gelu", **CLASSIFIER.settings().fast.model_dump()}
