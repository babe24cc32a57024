"""Every family trained by two processes: the same loss curve as by one, the end of both, and how they go on."""

import re
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from helpers import several
from helpers.several import Fault
from helpers.small import FAMILIES
from helpers.small.classifier import NETWORK
from helpers.small.images import shapes
from safetensors.torch import load_file, save_file
from torch import nn

from convzoo.families.dcgan.settings import AugmentSettings
from convzoo.files import read_json, sha256_of, write_json
from convzoo.weights.backbones import cut, resized, whole

AUGMENT = {"flip": True, "shift": 2, "brightness": 0.2, "saturation": 0.1, "contrast": 0.2, "cutout": 14}
SHORT = {  # with batches of few images, whose statistics differ much between the processes
    "classifier": {"shift": 2, "rotation": 5, "cutout": 14, "flip": "alternating"}
    | {"learning_rate": 0.01, "epochs": 2, "batch_size": 8},
    "autoencoder": {"flip": "alternating", "shift": 1, "ema_decay": 0.5, "epochs": 2},
    "dcgan": {"loss": "hinge", "discriminator_norm": "none", "spectral_norm": True, "r1": 1.0, "r1_every": 3}
    | {"discriminator_steps": 2, "epochs": 2, "batch_size": 8, "augment": AugmentSettings(**AUGMENT)},
    "transfer": {"features": {"epochs": 1}, "finetune": {"mixup": 0.2, "cutmix": 1, "blocks": 3, "epochs": 1}},
}
# Relative, of the metrics of both epochs. PyTorch's BatchNorm of one process has errors of 1e-5; the untrained backbone
# enlarges them.
TOLERANCE = {"classifier": 2e-5, "autoencoder": 2e-5, "dcgan": 2e-5, "transfer": 2e-3}
ACCURACY = 0.026  # one val image of 40 may be on the other side


def measure_norms(folder: Path) -> None:
    """Give the random backbone statistics of BatchNorm that fit its images; without, its features are almost zero."""
    network = cut(whole("efficientnet-lite0")).train()
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the mean over all batches, of which there is one
    images = torch.from_numpy(shapes(48, 1, 3).images).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        network(resized(images, 32))
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()}, folder / "weights.safetensors"
    )
    about = read_json(folder / "weights.json")
    write_json(
        folder / "weights.json", about | {"files": {"weights.safetensors": sha256_of(folder / "weights.safetensors")}}
    )


@pytest.mark.parametrize("family", SHORT, indirect=True)
def test_two_processes_have_the_loss_curve_of_one(family, project):
    changes = SHORT[family.name]
    if family.name == "transfer":
        measure_norms(project / "data/weights/efficientnet-lite0")
    family.train(**deepcopy(changes))
    expected, alone = family.history(), read_json(family.folder / "fingerprint.json")
    files = set(family.outputs())
    shutil.rmtree(family.folder)

    assert several.train(family.name, project, **changes) == [0, 0], several.output(project)
    for row, wanted in zip(family.history(), expected, strict=True):
        for name, value in wanted.items():
            bound = {"abs": ACCURACY} if name.endswith("accuracy") else {"rel": TOLERANCE[family.name]}
            assert float(row[name]) == pytest.approx(float(value), **bound), name
    assert set(family.outputs()) == files
    assert several.output(project, 1) == "", "only the first process reports"
    assert not list((project / ".checkpoints").iterdir())
    together = read_json(family.folder / "fingerprint.json")
    assert together["fingerprint"] != alone["fingerprint"]
    assert (together["compute"]["devices"], together["compute"]["strategy"]) == (2, "ddp")


@pytest.fixture
def family(request):
    """The classifier, unless a test takes all families."""
    return FAMILIES[getattr(request, "param", "classifier")]


@pytest.mark.parametrize(
    "fault", [Fault(rank=1, epochs=1, is_kill=True), Fault(rank=0, epochs=1, is_kill=False)], ids=["kill", "error"]
)
def test_the_end_of_one_process_ends_the_other_and_the_training_goes_on_with_the_same_bytes(family, project, fault):
    assert several.train(family.name, project) == [0, 0]
    expected = family.outputs()
    shutil.rmtree(family.folder)

    codes = several.train(family.name, project, fault=fault)
    assert codes[1 - fault.rank] == 1
    assert codes[fault.rank] == (-9 if fault.is_kill else 1)
    message = (
        rf"error: {NETWORK}: process {1 - fault.rank} of 2 lost another one \([\w :.\[\]]+\), expected all of them"
    )
    assert re.search(message, several.output(project, 1 - fault.rank))
    assert not (family.folder / "weights.safetensors").exists()

    assert several.train(family.name, project) == [0, 0]
    assert re.search(rf"resuming {NETWORK} at epoch 2", several.output(project))
    assert family.outputs() == expected


def test_another_number_of_processes_continues_from_a_checkpoint_that_is_named(family, project):
    stopped = Fault(rank=0, epochs=1, is_kill=True)
    assert several.train(family.name, project, 1, stopped) == [-9]
    [folder] = (project / ".checkpoints").iterdir()
    first = read_json(folder / "fingerprint.json")

    assert several.train(family.name, project, 2, continue_from=first["fingerprint"]) == [0, 0], several.output(project)
    assert f"resuming {NETWORK} at epoch 2 from the checkpoint of {first['fingerprint'][:16]}" in several.output(
        project
    )
    found = read_json(family.folder / "fingerprint.json")
    assert found["parent"]["fingerprint"] == first["fingerprint"] != found["fingerprint"]
    assert found["parent"]["epoch"] == 1
    assert [row["epoch"] for row in family.history()] == ["1", "2", "3"]
    shutil.rmtree(family.folder)

    assert several.train(family.name, project, 2) == [0, 0]
    from_the_start = read_json(family.folder / "fingerprint.json")
    assert "parent" not in from_the_start and from_the_start["fingerprint"] != found["fingerprint"]
