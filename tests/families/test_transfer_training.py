"""The training of the transfer family, in both phases."""

import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.project import link_code
from helpers.transfer_small import COMPUTE, FOLDER, NETWORK, small_project, small_settings, train
from safetensors.torch import load_file

from convzoo.data.arrays import load_split
from convzoo.errors import ConvzooError
from convzoo.families.transfer import features
from convzoo.families.transfer import network as transfer
from convzoo.families.transfer import train as training
from convzoo.families.transfer.settings import misfits
from convzoo.files import read_json, sha256_of
from convzoo.shipping.onnx import write_onnx
from convzoo.training import machine, optimizers, workspace
from convzoo.weights.backbones import scale

ARGUMENTS = {"side": 32, "classes": 4, "head": "linear", "dense": 16, "dropout": 0.2}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(small_project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def history() -> list[dict[str, str]]:
    with (FOLDER / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


def outputs() -> dict[str, str]:
    return {file.name: sha256_of(file) for file in sorted(FOLDER.rglob("*")) if file.is_file()}


def test_training_writes_what_it_declares_and_says_the_phase_of_each_epoch(project):
    train()
    columns = ["epoch", "phase", "learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    assert list(history()[0]) == columns
    assert [(row["epoch"], row["phase"]) for row in history()] == [("1", "1"), ("2", "1"), ("3", "2"), ("4", "2")]
    made = {"architecture.json", "augmented_batch.npy", "features_head.safetensors", "fingerprint.json", "history.csv"}
    assert set(outputs()) == made | {"weights.safetensors"}
    assert read_json(FOLDER / "architecture.json")["weights"]["file"] == "made.pth"
    assert not list((project / ".checkpoints").iterdir())
    assert len(list((project / ".features").iterdir())) == 1


def test_features_alone_leave_the_backbone_as_it_was_published(project):
    train(method="features")
    kept, start = (
        load_file(FOLDER / "weights.safetensors"),
        load_file("data/weights/efficientnet-lite0/weights.safetensors"),
    )
    assert all(torch.equal(kept[f"backbone.{name}"], value) for name, value in start.items())
    assert {row["phase"] for row in history()} == {"1"}
    assert set(outputs()) == {
        *("architecture.json", "augmented_batch.npy", "fingerprint.json", "history.csv", "weights.safetensors")
    }


def test_fine_tuning_changes_the_top_blocks_alone(project):
    train(finetune={"blocks": 2, "ema_decay": 0.0})
    kept, start = (
        load_file(FOLDER / "weights.safetensors"),
        load_file("data/weights/efficientnet-lite0/weights.safetensors"),
    )
    changed = {
        name.rpartition(".")[0] for name, value in start.items() if not torch.equal(kept[f"backbone.{name}"], value)
    }
    assert {name.split(".")[0] for name in changed} == {"blocks", "conv_head", "bn2"}
    assert all(name.startswith("blocks.6.") for name in changed if name.startswith("blocks"))


def test_frozen_statistics_stay_those_of_the_published_weights(project):
    train(finetune={"batch_norm": "frozen"})
    kept, start = (
        load_file(FOLDER / "weights.safetensors"),
        load_file("data/weights/efficientnet-lite0/weights.safetensors"),
    )
    assert torch.equal(kept["backbone.bn2.running_mean"], start["bn2.running_mean"])
    assert not torch.equal(kept["backbone.bn2.weight"], start["bn2.weight"])


def test_lower_blocks_learn_more_slowly(project, monkeypatch):
    seen = []
    built = training.build_optimizer
    monkeypatch.setattr(training, "build_optimizer", lambda parts, *rest: seen.append(parts) or built(parts, *rest))
    train(finetune={"blocks": 4, "layer_decay": 0.5, "learning_rate": 0.08})
    assert [rate for _, rate in seen[1]] == pytest.approx([0.08, 0.08, 0.04, 0.02, 0.01])
    optimizer = built([([torch.nn.Linear(2, 2)], 0.1), ([torch.nn.Linear(2, 2)], 0.01)], small_settings(), 0.1)
    optimizers.set_rates([optimizer], 0.5)
    rates = [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    assert rates == [(0.05, 0.1), (0.05, 0.0), (0.005, 0.1), (0.005, 0.0)]


def test_the_same_training_gives_the_same_bytes(project):
    changes = {"finetune": {"mixup": 0.2, "cutmix": 1, "rotation": 20}}
    train(**changes)
    first = outputs()
    (project / ".features").rename(project / "elsewhere")
    train(**changes)
    assert outputs() == first


@pytest.mark.parametrize("stopped_after", [1, 2, 3])
def test_stopped_and_resumed_ends_with_the_same_bytes_in_both_phases(project, monkeypatch, capsys, stopped_after):
    changes = {"keep": "best", "finetune": {"mixup": 0.2}}
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


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(project):
    link_code(project)
    params = Path("params.yaml")
    text = params.read_text().replace("height: 96", "height: 28").replace("width: 96", "width: 28")
    params.write_text(text.replace("  threads: 2 ", "  threads: 1 ").replace("epochs: 20\n", "epochs: 2\n"))
    environment = {**os.environ, "PYTHONPATH": "src", "CONVZOO_TRACKING": "off"}

    def start() -> subprocess.Popen:
        command = [sys.executable, "pipeline/train.py", NETWORK]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    told, _ = (whole := start()).communicate(timeout=240)
    assert whole.returncode == 0, told
    expected = outputs()
    for file in FOLDER.rglob("*.*"):
        file.unlink()

    killed = start()
    for line in killed.stdout:
        if "epoch 3/" in line:
            killed.send_signal(signal.SIGKILL)
            break
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (FOLDER / "weights.safetensors").exists()

    told, _ = (resumed := start()).communicate(timeout=240)
    assert resumed.returncode == 0, told
    assert re.search(rf"resuming {NETWORK} at epoch [345]", told)
    assert outputs() == expected


def test_features_are_made_once_and_anew_where_they_would_differ(project, monkeypatch):
    made, compute = [], features.compute_features
    monkeypatch.setattr(features, "compute_features", lambda title, *rest: made.append(title) or compute(title, *rest))
    train(method="features")
    assert len(made) == 2
    train(method="features", seed=1)
    assert len(made) == 2, "the head alone is another"
    train(method="features", side=64)
    assert len(made) == 4
    file = next((project / ".features").iterdir())
    file.write_bytes(file.read_bytes()[:-10])
    train(method="features", side=64)
    assert len(made) == 6, "a file cut short is made anew"
    assert len(list((project / ".features").iterdir())) == 1


@pytest.mark.parametrize(("phase", "epoch"), [("features", 1), ("finetune", 3)])
def test_a_loss_that_is_not_finite_stops_with_its_step_and_the_last_checkpoint(project, phase, epoch):
    changes = {phase: {"learning_rate": 1e30}, "schedule": "constant", "warmup": 0.0}
    with pytest.raises(ConvzooError, match=r"the loss is not finite at step \d+ of epoch (\d)") as raised:
        train(**changes)
    told = str(raised.value)
    assert "lower learning_rate" in told
    assert f"of epoch {epoch};" in told
    kept = "epoch 2 is kept in" if phase == "finetune" else "no epoch is kept"
    assert kept in told
    assert not (FOLDER / "weights.safetensors").exists()


def test_without_weights_it_is_said_where_they_are_looked_for_and_how_to_get_them(project):
    folder = Path("data/weights/efficientnet-lite0")
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ConvzooError, match=r"is not what weights.json says; run: dvc repro -f weights@efficientnet"):
        train()
    (folder / "weights.json").write_text('{"name": "resnet50", "kind": "none", "files": []}')
    with pytest.raises(ConvzooError, match=r"has no weights to start from \(.* of the kind none\).* kind package,"):
        train()
    (folder / "weights.json").unlink()
    with pytest.raises(
        ConvzooError, match=r"there is no data/weights/efficientnet-lite0/weights.json.* `dvc repro wei"
    ):
        train()
    assert [key for (key,), _ in misfits(small_settings(weights="none"), 28, 28)] == ["weights"]
    assert [key for (key,), _ in misfits(small_settings(), 96, 96)] == ["side"]


def test_32_images_are_learned_by_heart(project):
    settings = small_settings(dropout=0.0, label_smoothing=0.0, finetune={"epochs": 25, "blocks": 9, "ema_decay": 0.0})
    torch.manual_seed(0)
    body = transfer.build("efficientnet-lite0", ARGUMENTS | {"dropout": 0.0}).train()
    images = torch.from_numpy(load_split(Path("data/prepared/flowers/train")).images[:32])
    labels = torch.arange(32) % 4
    optimizer = training.build_optimizer([([body], 3e-3)], settings, 0.0)
    x = training.to_floats(images, *map(torch.tensor, scale("efficientnet-lite0")))
    for _ in range(40):
        logits = body(x)
        torch.nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert (logits.argmax(1) == labels).all()


def test_judging_and_exporting_put_the_modes_of_all_parts_back(project):
    fabric = machine.start(COMPUTE, 0)
    body = transfer.build("efficientnet-lite0", ARGUMENTS)
    tuned = transfer.blocks(body.backbone)[-2:]
    transfer.set_modes(body, tuned, frozen_norms=True)
    modes = [part.training for part in body.modules()]
    assert set(modes) == {True, False}
    training.validate(fabric, body, lambda index: torch.randn(len(index), 3, 32, 32), torch.zeros(5, dtype=torch.int64))
    write_onnx(body, torch.zeros(1, 3, 8, 8), "images", "logits", Path("body.onnx"))
    assert [part.training for part in body.modules()] == modes


def test_mixed_images_are_held_against_both_labels_by_their_shares():
    logits, labels, others = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 1, 3, 0, 2])
    one_hot = torch.nn.functional.one_hot
    wanted = 0.9 * (0.7 * one_hot(labels, 4) + 0.3 * one_hot(others, 4)) + 0.1 / 4
    found = training.mixed_loss(logits, labels, others, 0.7, small_settings(label_smoothing=0.1))
    torch.testing.assert_close(found, -(wanted * logits.log_softmax(1)).sum(1).mean())
