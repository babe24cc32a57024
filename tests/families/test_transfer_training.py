"""What only the training of the transfer family has: published weights, cached features, and two phases."""

from pathlib import Path

import pytest
import torch
from helpers.small import COMPUTE, TRANSFER
from helpers.small.transfer import ARGUMENTS
from safetensors.torch import load_file

from convzoo.errors import ConvzooError
from convzoo.families.transfer import network as transfer
from convzoo.families.transfer import train as training
from convzoo.families.transfer.augmentation import mixed_loss
from convzoo.families.transfer.settings import misfits
from convzoo.files import read_json
from convzoo.shipping.onnx import write_onnx
from convzoo.training import machine

FOLDER = TRANSFER.folder


@pytest.fixture
def family():
    return TRANSFER


def test_a_history_says_the_phase_of_each_epoch_and_the_architecture_what_it_started_from(family, shipped):
    assert [row["phase"] for row in family.history()] == ["1", "1", "2", "2"]
    assert read_json(FOLDER / "architecture.json")["weights"]["file"] == "made.pth"
    assert len(list(Path(".features").iterdir())) == 1


def kept_and_published() -> tuple[dict, dict]:
    """Weights after the training and before it."""
    published = load_file("data/weights/efficientnet-lite0/weights.safetensors")
    return load_file(FOLDER / "weights.safetensors"), published


def test_features_alone_leave_the_backbone_as_it_was_published(family, project):
    family.train(method="features")
    kept, start = kept_and_published()
    assert all(torch.equal(kept[f"backbone.{name}"], value) for name, value in start.items())
    assert {row["phase"] for row in family.history()} == {"1"}
    assert [file.name for file in (FOLDER / "extra").iterdir()] == ["augmented_batch.npy"]


def test_without_weights_it_is_said_where_they_are_looked_for_and_how_to_get_them(family, project):
    folder = Path("data/weights/efficientnet-lite0")
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ConvzooError, match=r"is not what weights.json says; run: convzoo repro -f weights@efficient"):
        family.train()
    (folder / "weights.json").write_text('{"name": "resnet50", "kind": "none", "files": []}')
    with pytest.raises(ConvzooError, match=r"has no weights to start from \(.* of the kind none\).* kind package,"):
        family.train()
    (folder / "weights.json").unlink()
    with pytest.raises(
        ConvzooError, match=r"there is no data/weights/efficientnet-lite0/weights.json.* `convzoo repro wei"
    ):
        family.train()
    assert [key for (key,), _ in misfits(TRANSFER.settings(weights="none"), 28, 28)] == ["weights"]
    assert [key for (key,), _ in misfits(TRANSFER.settings(), 96, 96)] == ["side"]


def test_judging_and_exporting_put_the_modes_of_all_parts_back(family, project):
    fabric = machine.start(COMPUTE, 0)
    body = transfer.build("efficientnet-lite0", ARGUMENTS)
    tuned = transfer.blocks(body.backbone)[-2:]
    transfer.set_modes(body, tuned, frozen_norms=True)
    modes = [part.training for part in body.modules()]
    assert set(modes) == {True, False}
    images = torch.randn(5, 3, 32, 32)
    training.validate(fabric, body, lambda rows: images[rows], torch.zeros(5, dtype=torch.int64))
    write_onnx(body, torch.zeros(1, 3, 8, 8), "images", "logits", Path("body.onnx"))
    assert [part.training for part in body.modules()] == modes


def test_mixed_images_are_held_against_both_labels_by_their_shares():
    logits, labels, others = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 1, 3, 0, 2])
    one_hot = torch.nn.functional.one_hot
    wanted = 0.9 * (0.7 * one_hot(labels, 4) + 0.3 * one_hot(others, 4)) + 0.1 / 4
    found = mixed_loss(logits, labels, others, 0.7, smoothing=0.1)
    torch.testing.assert_close(found, -(wanted * logits.log_softmax(1)).sum(1).mean())
