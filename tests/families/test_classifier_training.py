"""The training loop and its leaves."""

import csv
import math
import multiprocessing
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from helpers.small import COMPUTE, small_project, small_settings
from safetensors.torch import load_file

from convzoo.data.arrays import load_split
from convzoo.errors import ConvzooError
from convzoo.families.classifier import train as classifier
from convzoo.families.classifier.network import build
from convzoo.files import read_json, sha256_of
from convzoo.training import augmentation, machine, optimizers, workspace
from convzoo.training.checkpoints import Checkpoints
from convzoo.training.schedules import factor

NETWORK = "mnist-classifier"
FOLDER = Path("models", NETWORK)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(small_project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def train(**changes) -> str:
    """Train with these settings; the weights' sha256."""
    classifier.train(NETWORK, small_settings(**changes), COMPUTE, "test")
    return sha256_of(FOLDER / "weights.safetensors")


def history() -> list[dict[str, str]]:
    with (FOLDER / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


def outputs() -> dict[str, str]:
    return {file.name: sha256_of(file) for file in sorted(FOLDER.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("architecture", ["fast", "reference"])
def test_training_learns_and_writes_what_it_declares(project, capsys, architecture):
    rate = 0.1 if architecture == "fast" else 0.01
    train(architecture=architecture, epochs=12, learning_rate=rate, shift=0)
    columns = ["epoch", "learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    assert list(history()[0]) == columns
    assert [row["epoch"] for row in history()] == [str(epoch) for epoch in range(1, 13)]
    assert float(history()[-1]["val_accuracy"]) > 0.9
    assert set(outputs()) == {
        "architecture.json",
        "augmented_batch.npy",
        "fingerprint.json",
        "history.csv",
        "weights.safetensors",
    }
    assert f"{NETWORK} epoch 12/12" in capsys.readouterr().out
    assert not list((project / ".checkpoints").iterdir())


def test_the_same_training_gives_the_same_bytes(project):
    train(shift=2, rotation=5, cutout=4, flip="alternating")
    first = outputs()
    train(shift=2, rotation=5, cutout=4, flip="alternating")
    assert outputs() == first


@pytest.mark.parametrize("changes", [{"seed": 1}, {"learning_rate": 0.05}, {"activation": "silu"}, {"ema_decay": 0.0}])
def test_what_params_say_reaches_weights_and_fingerprint(project, changes):
    before, identity = train(), read_json(FOLDER / "fingerprint.json")["fingerprint"]
    assert train(**changes) != before
    assert read_json(FOLDER / "fingerprint.json")["fingerprint"] != identity


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adamw"}, {"optimizer": "muon"}, {"architecture": "reference"}])
@pytest.mark.parametrize("stopped_after", [1, 2])
def test_stopped_and_resumed_ends_with_the_same_bytes(project, monkeypatch, capsys, changes, stopped_after):
    changes = {"learning_rate": 0.01, "keep": "best", **changes}
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


def test_a_checkpoint_cut_short_starts_the_training_anew(project, monkeypatch, capsys):
    expected = train()
    monkeypatch.setattr(Checkpoints, "remove", lambda self: self.lock.release())
    train()
    file = next((project / ".checkpoints").glob("*/last.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])
    assert train() == expected
    assert "is broken" in capsys.readouterr().out


def hold(path: str, held, done) -> None:
    with FileLock(path):
        held.set()
        done.wait(30)


def test_a_training_that_runs_already_is_said(project):
    identity = "0" * 64
    with Checkpoints(NETWORK, identity) as checkpoints:
        path = str(checkpoints.lock.lock_file)
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(path, held, done))
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(ConvzooError, match="another process is training it"):
            Checkpoints(NETWORK, identity).__enter__()
    finally:
        done.set()
        other.join()


def test_checkpoints_keep_nested_tensors_numbers_and_text(project):
    state = {"epoch": 1, "a": [torch.arange(3), {"b": 1.5, 7: "text"}], "none": None, "shared": torch.zeros(2, 2).t()}
    with Checkpoints(NETWORK, "1" * 64) as checkpoints:
        checkpoints.save(state)
        found = checkpoints.load()
    assert torch.equal(found["a"][0], state["a"][0])
    assert found["a"][1] == {"b": 1.5, 7: "text"}
    assert found["none"] is None


def test_a_loss_that_is_not_finite_stops_with_its_step(project):
    with pytest.raises(ConvzooError, match=r"the loss is not finite at step \d+ of epoch \d") as raised:
        train(learning_rate=1e30, schedule="constant", warmup=0.0, ema_decay=0.0)
    assert "lower learning_rate" in str(raised.value)
    assert not (FOLDER / "weights.safetensors").exists()


def test_data_that_were_not_validated_as_they_are_are_refused(project):
    file = Path("data/prepared/mnist/train/images.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ConvzooError, match=r"mnist/train is not what was validated .* run: dvc repro validate"):
        train()


def test_a_truncated_array_is_named(project):
    file = Path("data/prepared/mnist/val/images.npy")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ConvzooError, match=r"data/prepared/mnist/val: cannot be read"):
        train()


def test_the_best_epoch_on_val_is_kept_where_params_say_so(project):
    # The rate stays so high that accuracy on val goes up and down.
    train(keep="best", learning_rate=2.0, schedule="constant", epochs=6, ema_decay=0.0)
    best = max(float(row["val_accuracy"]) for row in history())
    described = read_json(FOLDER / "architecture.json")
    body = build(described["architecture"], described["arguments"])
    body.load_state_dict(load_file(FOLDER / "weights.safetensors"))
    fabric = machine.start(COMPUTE, 0)
    val = classifier.ImageSet([load_split(Path("data/prepared/mnist/val"))], fabric.device)
    mean, std = torch.tensor(described["mean"]), torch.tensor(described["std"])
    body.train()
    assert classifier.validate(fabric, body, val, mean, std)[1] == pytest.approx(best)
    assert body.training, "the mode is put back"


def test_32_images_are_learned_by_heart(project):
    settings = small_settings(learning_rate=0.05, optimizer="adamw", label_smoothing=0.0)
    body = build("fast", small_settings_arguments())
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
    body = build("fast", small_settings_arguments())
    before = {key: weight.clone() for key, weight in body.named_parameters()}
    built = classifier.build_optimizers(body, small_settings(optimizer=name, learning_rate=0.01))
    assert [type(optimizer).__name__.lower() for optimizer in built] == (["sgd", "muon"] if name == "muon" else [name])
    optimizers.set_rates(built, 0.5)
    assert {group["lr"] / group["peak"] for optimizer in built for group in optimizer.param_groups} == {0.5}
    body(torch.randn(8, 1, 28, 28)).square().sum().backward()
    for optimizer in built:
        optimizer.step()
    still = [key for key, weight in body.named_parameters() if torch.equal(weight, before[key])]
    assert still == ["stem.weight"], "the whitened stem is frozen, the rest is trained"


def small_settings_arguments() -> dict:
    return {"channels": 1, "classes": 4, "activation": "gelu", **small_settings().fast.model_dump()}


def test_muon_steps_have_singular_values_near_one():
    matrix = torch.randn(16, 40, generator=torch.Generator().manual_seed(0))
    for shaped in (matrix, matrix.T):
        values = torch.linalg.svdvals(optimizers.orthogonal(shaped, iterations=6))
        assert 0.6 < values.min() <= values.max() < 1.3


def test_schedules_take_their_known_values():
    def at(schedule: str, share: float, warmup: float = 0.0) -> float:
        return factor(schedule, round(share * 1000), 1000, warmup)

    near = {"abs": 5e-3}
    assert at("constant", 0.9) == 1
    assert at("linear", 0.25) == pytest.approx(0.75, **near)
    assert at("cosine", 0.5) == pytest.approx(0.5, **near)
    assert at("cosine", 0.25) == pytest.approx((1 + math.cos(math.pi / 4)) / 2, **near)
    assert [at("step", share) for share in (0.1, 0.6, 0.8)] == pytest.approx([1, 0.1, 0.01])
    assert at("one_cycle", 0, 0.2) == pytest.approx(1 / 25, **near)
    assert at("one_cycle", 0.2, 0.2) == pytest.approx(1, **near)
    assert at("one_cycle", 0.999, 0.2) == pytest.approx(0, **near)
    assert at("linear", 0.1, 0.2) == pytest.approx(0.5, **near)


def images(count: int = 4) -> torch.Tensor:
    return torch.arange(count * 6 * 6, dtype=torch.int64).remainder(251).to(torch.uint8).view(count, 6, 6, 1)


def test_no_augmentation_leaves_images_as_they_are():
    found = augmentation.shift_and_flip(images(), torch.zeros(4, dtype=torch.bool), 0, torch.Generator())
    assert torch.equal(found, images())
    torch.testing.assert_close(augmentation.rotate_and_scale(images(), 0, 0, torch.Generator()), images().float())


def test_a_flip_mirrors_and_a_shift_moves_with_mirrored_borders():
    flipped = torch.tensor([True, False, True, False])
    found = augmentation.shift_and_flip(images(), flipped, 0, torch.Generator())
    assert torch.equal(found[0], images()[0].flip(1))
    assert torch.equal(found[1], images()[1])
    padded = torch.nn.functional.pad(images().permute(0, 3, 1, 2).float(), (1, 1, 1, 1), mode="reflect")
    windows = {tuple(padded[0, 0, y : y + 6, x : x + 6].flatten().tolist()): (y, x) for y in range(3) for x in range(3)}
    seen = set()
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        moved = augmentation.shift_and_flip(images()[:1], torch.zeros(1, dtype=torch.bool), 1, generator)
        seen.add(windows[tuple(moved.float().flatten().tolist())])
    assert len(seen) == 9


def test_alternating_flips_show_both_sides_in_two_epochs():
    index = torch.randperm(50, generator=torch.Generator().manual_seed(0))[:20]

    def at(epoch: int) -> torch.Tensor:
        return augmentation.flips("alternating", index, epoch, 50, 3, torch.Generator())

    assert torch.equal(at(0), ~at(1))
    assert torch.equal(at(0), at(2))
    assert 0 < at(0).sum() < 20
    assert not augmentation.flips("none", index, 0, 50, 3, torch.Generator()).any()
    assert 0 < augmentation.flips("random", index, 0, 50, 3, torch.Generator()).sum() < 20


def test_cutout_paints_one_square_in_the_mean_colour():
    white = torch.full((5, 12, 12, 3), 200, dtype=torch.uint8)
    white[0] = 0
    found = augmentation.cutout(white, 4, torch.Generator().manual_seed(0))
    mean = int(white.float().mean())
    assert ((found == mean).all(-1).flatten(1).sum(1) == 16).all()
    assert found.dtype == torch.uint8


def test_auto_precision_follows_what_the_processor_says(monkeypatch):
    compute = COMPUTE.model_copy(update={"precision": "auto"})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert machine.resolved(compute)["precision"] == "bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True})
    assert machine.resolved(compute)["precision"] == "fp32"


def test_a_device_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ConvzooError, match=r"compute.device: cuda is not available on this machine; set it to auto or one of: .*cpu"
    ):
        machine.resolved(COMPUTE.model_copy(update={"device": "cuda"}))
