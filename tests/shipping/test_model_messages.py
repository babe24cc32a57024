"""The table of messages about models and trainings: each names the thing, what was expected and what to do."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from filelock import FileLock
from helpers.messages import Row, each, look
from helpers.onnx_files import save_linear_classifier
from helpers.project import commit, git
from helpers.small import COMPUTE
from PIL import Image
from safetensors.torch import save_file

from convzoo.commands.predict import predict
from convzoo.data.arrays import Split, load_split
from convzoo.errors import main
from convzoo.families.dcgan.export import export as export_dcgan
from convzoo.families.dcgan.settings import ExportSettings
from convzoo.files import sha256_of, write_json
from convzoo.lineage import commits
from convzoo.shipping.files import shipped_model
from convzoo.shipping.model import Model
from convzoo.training import machine
from convzoo.training.checkpoints import Checkpoints
from convzoo.training.fingerprint import check_data
from convzoo.training.state import TrainState


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An empty project as current folder."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    return SimpleNamespace(patch=monkeypatch)


def model(length=None, **told):
    def cause(_):
        save_linear_classifier(Path("model.onnx"), np.ones((12, 3)), (2, 2, 3))
        content = Path("model.onnx").read_bytes()
        Path("model.onnx").write_bytes(content[:length])
        if told:
            write_json(Path("export.json"), told)
        shipped_model(Path())

    return cause


def weights(tampered):
    """Weights of another network, or such as training did not write."""

    def cause(_):
        folder = Path("models/net")
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"a": torch.zeros(1)}, folder / "weights.safetensors")
        sha256 = "0" * 64 if tampered else sha256_of(folder / "weights.safetensors")
        image = {"size": 28, "channels": 1, "width": 2}
        players = {"generator": image | {"latents": 2}}
        players["discriminator"] = image | {"leak": 0.2, "norm": "batch", "spectral": False}
        write_json(folder / "architecture.json", players | {"weights_sha256": sha256})
        export_dcgan("net", ExportSettings(parity_images=1))

    return cause


def answer(content):
    """What `convzoo predict` answers for a file with this content."""

    def cause(_):
        from onnx import load_model, save_model

        save_linear_classifier(Path("model.onnx"), np.ones((12, 2)), (2, 2, 3))
        made = load_model("model.onnx")
        made.metadata_props.add(key="convzoo", value='{"classes": ["a", "b"]}')
        save_model(made, "model.onnx")
        if content is not None:
            Path("own.png").write_bytes(content)
        print(predict(Path("model.onnx"), [Path("own.png")]))

    return cause


def not_deterministic(world):
    """A stage whose operation has no deterministic form, on a processor too."""
    world.patch.setattr(sys, "argv", ["stage"])
    torch.use_deterministic_algorithms(True)
    try:
        main(lambda: torch.zeros(2).put_(torch.tensor([0]), torch.ones(1)))
    except SystemExit as end:
        assert end.code == 1
    finally:
        torch.use_deterministic_algorithms(False)


def cut_picture():
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    Image.fromarray(noise).save("own.png")
    return Path("own.png").read_bytes()[:200]


MODELS = [
    Row(
        "model: missing",
        lambda _: Model(Path("no.onnx")),
        "no.onnx: there is no",
        "expected an ONNX file",
        "`convzoo repro`",
    ),
    Row("model: cut", model(50), "model.onnx: is not an ONNX", "expected one", "restore it: dvc checkout"),
    Row(
        "model: changed",
        model(model_sha256="0", dataset="made", classes=[]),
        "model.onnx: sha256",
        "expected 0",
        "export it again: convzoo repro",
    ),
    Row(
        "model: no export.json",
        model(),
        "export.json: there is no",
        "expected a description of model.onnx",
        "`convzoo repro` makes",
    ),
    Row(
        "model: weights of another",
        weights(False),
        "models/net/weights.saf",
        "expected its weights",
        "dvc checkout, or",
    ),
    Row(
        "model: other weights", weights(True), "models/net/weights.saf", "expected 000000000000 as", "dvc checkout, or"
    ),
    Row("predict: missing", answer(None), "own.png", "file not found, expected an image", "check the path"),
    Row(
        "predict: text",
        answer(b"<html>"),
        "own.png",
        "is not an image that can be read, expected JPEG, ",
        "save it as one of these",
    ),
    Row("predict: cut", lambda w: answer(cut_picture())(w), "own.png", "expected a complete image", "save it again"),
]


def locked(_):
    folder = Checkpoints("net", "1").folder
    folder.mkdir(parents=True)
    with FileLock(folder / "lock"), Checkpoints("net", "1"):
        pass


def broken(_):
    checkpoints = Checkpoints("net", "1")
    checkpoints.folder.mkdir(parents=True)
    checkpoints.file.write_bytes(b"cut")
    checkpoints.load()


def not_finite(_):
    losses = {"learning_rate": torch.tensor([1.0, torch.nan]), "other_rate": torch.tensor([1.0, 1.0])}
    TrainState("net", Checkpoints("net", "1"), epoch=1).check_finite(losses)


def missing_device(world):
    world.patch.setattr(torch.cuda, "is_available", lambda: False)
    machine.start(COMPUTE.model_copy(update={"device": "cuda"}), 0)


def other_data(_):
    write_json(Path("verdict.json"), {"train": "0" * 64})
    check_data("mnist", Path("verdict.json"), {"train": Split(np.zeros(1), np.zeros(1))})


def untracked(_):
    Path("params.yaml").write_text("a: 1")
    git(Path(), "init", "-q")
    commit(Path(), "first")
    Path("src").mkdir()
    Path("src/mine.py").write_text("pass")
    commits.keep("net", "1")


NAN = "the loss is not finite at step 2 of epoch 2; epoch 1 is kept in .*last.safetensors"
TRAINING = [
    Row(
        "training: two at once",
        locked,
        "net: another process .* is locked",
        "expected one at a time",
        "wait for it or st",
    ),
    Row(
        "training: broken checkpoint",
        broken,
        "net: the checkpoint .* is broken",
        "expected a whole one",
        "starts from the beginning",
    ),
    Row("training: loss", not_finite, "^net", NAN, "lower learning_rate$"),
    Row("training: no form", not_deterministic, "put_: has no determ", "expected one since", "set it to false in"),
    Row("training: device", missing_device, "compute.device: cuda", "one of: .*cpu", "set it to auto or"),
    Row("training: data", other_data, "mnist/train is not", "the verdict says 0000", "run: convzoo repro validate"),
    Row(
        "training: arrays",
        lambda _: load_split(Path("val")),
        "val: cannot be",
        "expected whole images.npy",
        "convzoo repro -f",
    ),
    Row("training: untracked code", untracked, "net: .* src/mine.py", "expected a commit or an index", "run: git add"),
]


@each(MODELS, TRAINING)
def test_a_message_names_the_thing_what_was_expected_and_what_to_do(world, capsys, row):
    look(row, world, capsys)
