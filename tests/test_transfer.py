"""The transfer family: its networks, both phases of its training, and what ships."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import softmax
from scipy.stats import binomtest
from transfer_small import COMPUTE, FOLDER, NETWORK, made_weights, small_project, small_settings

from convzoo.data.arrays import load_split
from convzoo.errors import ConvzooError
from convzoo.evaluation.transfer import evaluate
from convzoo.export.transfer import export
from convzoo.files import read_json, sha256_of
from convzoo.measures.transfer import pairs, same_views
from convzoo.networks import transfer
from convzoo.networks.pixels import PixelClassifier
from convzoo.runtime import Model
from convzoo.selection import transfer as selection
from convzoo.settings.transfer import EvaluationSettings, ExportSettings, misfits
from convzoo.structure import structure
from convzoo.training import machine, optimizers
from convzoo.training import transfer as training

ARGUMENTS = {"side": 32, "classes": 4, "head": "linear", "dense": 16, "dropout": 0.2}
ZOO = {
    "EfficientNet-Lite0": ("efficientnet-lite0", ARGUMENTS),
    "EfficientNet-Lite0, dense head": ("efficientnet-lite0", ARGUMENTS | {"head": "dense"}),
    "ResNet-50": ("resnet50", ARGUMENTS),
}
EXPORTED = ExportSettings(views="mirror", calibrate=True, parity_images=20)
EVALUATED = EvaluationSettings(batch_size=10, confidence=0.95, top_k=2, calibration_bins=5, mistakes_shown=4)


@pytest.fixture(params=ZOO)
def described(request):
    return ZOO[request.param]


@pytest.mark.parametrize("count", [1, 7])
def test_forward_is_finite_and_of_the_right_shape(described, count):
    network = transfer.build(*described).eval()
    x = torch.randn(count, 3, 40, 28, generator=torch.Generator().manual_seed(count))
    with torch.no_grad():
        logits = network(x)
    assert logits.shape == (count, 4)
    assert logits.isfinite().all()


def test_every_parameter_receives_a_gradient(described):
    network = transfer.build(*described).train()
    network(torch.randn(7, 3, 32, 32)).square().sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


def test_the_same_seed_gives_the_same_weights(described):
    def weights(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return list(transfer.build(*described).state_dict().values())

    first = weights(1)
    assert all(torch.equal(a, b) for a, b in zip(first, weights(1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, weights(2), strict=True))


# A name of each kind of torchvision's classifiers, and how many features are left of it.
BACKBONES = {
    **{"alexnet": 256, "convnext_tiny": 768, "densenet121": 1024, "efficientnet_b0": 1280, "googlenet": 1024},
    **{"inception_v3": 2048, "maxvit_t": 512, "mnasnet0_5": 1280, "mobilenet_v2": 1280, "mobilenet_v3_small": 576},
    **{"resnet18": 512, "resnet50": 2048, "shufflenet_v2_x0_5": 1024, "squeezenet1_1": 512, "swin_t": 768},
    **{"vgg16": 512, "vgg19_bn": 512, "vit_b_16": 768, "wide_resnet50_2": 2048, "efficientnet-lite0": 1280},
}


@pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")
@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_is_left_without_the_classifier_are_features(backbone):
    with torch.device("meta"), torch.no_grad():  # shapes alone, no memory
        network = transfer.cut(transfer.whole(backbone))
        assert network.train()(torch.zeros(2, 3, 224, 224)).shape == (2, BACKBONES[backbone])
    parts = [weight for block in transfer.blocks(network) for part in block for weight in part.parameters()]
    assert len({id(weight) for weight in parts}) == len(parts)
    assert sum(weight.numel() for weight in parts) > 0.99 * sum(weight.numel() for weight in network.parameters())


def test_an_unknown_backbone_is_named_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"backbone: got 'resnet51', expected efficientnet-lite0 or .* resnet50, "):
        transfer.whole("resnet51")


def test_a_side_that_the_backbone_cannot_take_is_said():
    with torch.device("meta"), pytest.raises(ValueError, match="side: the backbone takes no pictures of 96x96"):
        transfer.features(transfer.cut(transfer.whole("vit_b_16")), 96)


def test_the_structure_of_resnet_50_has_five_stages_and_its_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = structure("resnet50")
    assert "resnet50: 5 stages, 17 blocks, 23,508,032 weights without the classifier" in told
    assert told.count("convolution block, + 1x1 of the input") == 4
    assert told.count("identity block, + input") == 12
    assert "1x1 2048->512, 3x3 512->512, 1x1 512->2048" in told


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(small_project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def train(**changes) -> str:
    """Train with these settings; the weights' sha256."""
    training.train(NETWORK, small_settings(**changes), COMPUTE, "test")
    return sha256_of(FOLDER / "weights.safetensors")


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
    made = {"architecture.json", "augmented_batch.png", "features_head.onnx", "fingerprint.json", "history.csv"}
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
        *("architecture.json", "augmented_batch.png", "fingerprint.json", "history.csv", "weights.safetensors")
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
    built = training.optimizer_of
    monkeypatch.setattr(training, "optimizer_of", lambda parts, *rest: seen.append(parts) or built(parts, *rest))
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
        patched.setattr(training.LiveRun, "log", stop)
        train(**changes)
    assert not (FOLDER / "weights.safetensors").exists()

    train(**changes)
    assert f"resuming {NETWORK} at epoch {stopped_after + 1}" in capsys.readouterr().out
    assert outputs() == expected


def test_features_are_made_once_and_anew_where_they_would_differ(project, monkeypatch):
    made, make = [], selection._made
    monkeypatch.setattr(selection, "_made", lambda title, *rest: made.append(title) or make(title, *rest))
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
    kept = "epoch 2 is kept in" if phase == "finetune" else "no epoch was finished"
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
    optimizer = training.optimizer_of([([body], 3e-3)], settings, 0.0)
    x = training.to_floats(images, *map(torch.tensor, transfer.scale("efficientnet-lite0")))
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
    training.set_modes(body, tuned, small_settings().finetune)
    modes = [part.training for part in body.modules()]
    assert set(modes) == {True, False}
    selection.judge(fabric, body, lambda index: torch.randn(len(index), 3, 32, 32), torch.zeros(5, dtype=torch.int64))
    transfer.onnx_bytes(
        PixelClassifier(body, [0.5] * 3, [0.5] * 3, "identity"), torch.zeros(1, 8, 8, 3).byte(), "found"
    )
    assert [part.training for part in body.modules()] == modes


def phase(**changes):
    still = {"flip": False, "crop": 1, "rotation": 0, "brightness": 0, "contrast": 0, "saturation": 0}
    return small_settings(finetune=still | {"mixup": 0, "cutmix": 0} | changes).finetune


def pictures(count: int = 6) -> torch.Tensor:
    return torch.randint(0, 256, (count, 12, 12, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_without_changes_images_are_resized_and_no_more():
    found = selection.varied(pictures(), phase(), 24, torch.Generator().manual_seed(0))
    expected = transfer.resized(pictures().permute(0, 3, 1, 2).float(), 24).permute(0, 2, 3, 1)
    torch.testing.assert_close(found[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-2, rtol=0)


def test_images_are_mirrored_cut_out_and_lit():
    def found(**changes) -> torch.Tensor:
        return selection.varied(pictures(), phase(**changes), 12, torch.Generator().manual_seed(0)).round()

    mirrored = [torch.equal(new, old.flip(1).float()) for new, old in zip(found(flip=True), pictures(), strict=True)]
    kept = [torch.equal(new, old.float()) for new, old in zip(found(flip=True), pictures(), strict=True)]
    assert sum(mirrored) + sum(kept) == 6 and 0 < sum(kept) < 6
    for change in ({"crop": 0.3}, {"rotation": 30}, {"brightness": 0.5}, {"contrast": 0.5}, {"saturation": 0.5}):
        assert (found(**change) - pictures()).abs().flatten(1).amax(1).min() > 1, change
    assert found(brightness=1.0, contrast=1.0).amin() >= 0 and found(brightness=1.0).amax() <= 255
    grey = found(saturation=1.0)
    assert grey.isfinite().all()


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_images_are_mixed_in_pairs_and_their_shares_are_told(way):
    x = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 20, 20).contiguous()
    found, partners, share = selection.mixed(x.clone(), phase(**{way: 1.0}), np.random.default_rng(3))
    assert 0 < share < 1
    expected = share * torch.arange(6.0) + (1 - share) * partners
    torch.testing.assert_close(found.mean((1, 2, 3)), expected)
    assert (len(found[0].unique()) == 1) == (way == "mixup")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A project with a small trained and exported network; it is not to be changed."""
    folder = small_project(tmp_path_factory.mktemp("exported"))
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("CONVZOO_TRACKING", "off")
        patched.delenv("DVC_ROOT", raising=False)
        train(finetune={"epochs": 2, "blocks": 9})
        export(NETWORK, EXPORTED)
        yield folder
    torch.use_deterministic_algorithms(False)


def test_the_file_agrees_with_the_weights_and_says_what_it_started_from(exported):
    told = read_json(FOLDER / "export.json")
    assert told["model_sha256"] == sha256_of(FOLDER / "model.onnx")
    assert told["parity"]["images"] == told["parity"]["same_top1"] == 20
    assert (told["backbone"], told["method"], told["weights"]["file"]) == ("efficientnet-lite0", "finetune", "made.pth")
    model = Model(FOLDER / "model.onnx")
    assert (str(model.input), str(model.output)) == ("uint8 (N, 28, 28, 3)", "float32 (N, 4)")
    assert model.described["classes"] == list("abcd")


@pytest.mark.parametrize("name", ["model.onnx", "extra/features_head.onnx"])
def test_what_ships_takes_raw_pixels_of_any_number_and_nothing_else(exported, name):
    model = Model(FOLDER / name)
    images = np.array(load_split(Path("data/prepared/flowers/test")).images)
    for count in (1, 7):
        found = model(images[:count])
        assert found.shape == (count, 4)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    with pytest.raises(ConvzooError, match=r"expected uint8 \(N, 28, 28, 3\) \(raw pixels from 0 to 255, not scaled\)"):
        model(images.astype(np.float32))
    with pytest.raises(ConvzooError, match=r"got uint8 \(2, 3, 28, 28\)"):
        model(images[:2].transpose(0, 3, 1, 2))


def test_the_head_alone_is_what_training_on_features_ships(exported, tmp_path, monkeypatch):
    file = exported / FOLDER / "extra/features_head.onnx"
    monkeypatch.chdir(small_project(tmp_path))
    train(method="features")
    export(NETWORK, EXPORTED.model_copy(update={"views": "identity", "calibrate": False}))
    images = np.array(load_split(Path("data/prepared/flowers/test")).images)
    np.testing.assert_allclose(Model(file)(images), Model(FOLDER / "model.onnx")(images), atol=1e-5)
    content = file.read_bytes()
    assert not [trace for trace in (b"site-packages", b".py", str(exported).encode()) if trace in content]


def test_evaluation_compares_both_ways_over_the_same_views(exported, capsys):
    metrics = evaluate(NETWORK, EVALUATED)
    assert metrics == read_json(FOLDER / "metrics.json")
    images, labels = load_split(Path("data/prepared/flowers/test"))
    head = Model(FOLDER / "extra/features_head.onnx")
    log = sum(np.log(head(np.ascontiguousarray(view))) for view in (images, images[:, :, ::-1]))
    assert metrics["test_features_accuracy"] == pytest.approx((log.argmax(1) == labels).mean(), abs=1e-6)
    right = Model(FOLDER / "model.onnx")(np.array(images)).argmax(1) == labels
    assert metrics["test_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    alone = [metrics["ways"][way]["right_alone"] for way in ("fine-tuned", "head on the untouched backbone")]
    gain = (alone[0] - alone[1]) / len(labels)
    assert metrics["test_gain"] == pytest.approx(gain, abs=1e-6)
    names = {file.name for file in (FOLDER / "plots").iterdir()}
    tables = {"calibration", "classes", "confusion", "features_and_finetuned"}
    assert names == {f"{name}.{kind}" for name in tables for kind in ("csv", "png")} | {"mistakes.png"}
    assert "the head on the untouched backbone" in capsys.readouterr().out
    first = {file: file.read_bytes() for file in FOLDER.rglob("*") if file.is_file()}
    evaluate(NETWORK, EVALUATED)
    assert {file: file.read_bytes() for file in FOLDER.rglob("*") if file.is_file()} == first


def test_two_ways_are_compared_image_by_image():
    labels = np.zeros(12, int)
    first, second = labels.copy(), labels.copy()
    first[:1], second[1:9] = 1, 1  # one image that only the second way answers right, eight that only the first does
    found = pairs(labels, first, second)
    assert found[:4] == (3, 8, 1, 0)
    assert found.p_value == pytest.approx(binomtest(1, 9).pvalue)
    assert pairs(labels, labels, labels).p_value == 1
    logits = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    expected = softmax(logits.mean(0), axis=1)
    np.testing.assert_allclose(same_views(list(softmax(logits, axis=2))), expected, atol=1e-6)


def test_resnet_50_trains_and_ships(tmp_path, monkeypatch):
    small_project(tmp_path)
    made_weights(tmp_path / "data/weights/resnet50", "resnet50")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    train(weights="resnet50", features={"epochs": 1}, finetune={"epochs": 1, "blocks": 3}, head="dense")
    export(NETWORK, EXPORTED)
    told = read_json(FOLDER / "export.json")
    assert told["backbone"] == "resnet50"
    assert told["parameters"] == 23_508_032 + 2048 * 1024 + 1024 + 1024 * 4 + 4
    metrics = evaluate(NETWORK, EVALUATED)
    assert 0 <= metrics["test_accuracy"] <= 1 and "test_features_accuracy" in metrics
    torch.use_deterministic_algorithms(False)
