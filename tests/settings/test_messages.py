"""The table of messages about params and weights: each names the thing, what was expected and what to do."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.messages import Row, each, look
from helpers.project import ROOT

from convzoo.files import write_json
from convzoo.metrics.features import FeatureNetwork
from convzoo.settings.load import read_params
from convzoo.settings.weights import FileWeights
from convzoo.settings.whole import check_all
from convzoo.weights import backbones
from convzoo.weights.fetch import bring_weights

PARAMS = (ROOT / "params.yaml").read_text()


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An empty project as current folder."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    return SimpleNamespace(patch=monkeypatch)


def params(old="", new=""):
    """Check the committed params with a part replaced; without arguments there is no file."""

    def cause(_):
        assert old in PARAMS
        if new:
            Path("params.yaml").write_bytes(PARAMS.replace(old, new, 1).encode("latin1", "replace"))
        check_all(read_params())

    return cause


AT = r"^params.yaml:\d+: "
NET = r"(?m)^params.yaml:\d+: networks.mnist-classifier"
SETTINGS = [
    Row("params: no file", params(), "params.yaml: cannot be read", "No such file", "run this from the project's fol"),
    Row("params: encoding", params("#", "# \xff"), "params.yaml: is not UTF-8", "byte 2", "save it as UTF-8"),
    Row("params: size", params("#", "#" * 10**6), "params.yaml: has 1", "expected 1000000 at most", "take out"),
    Row("params: YAML", params("compute:", "compute: ["), r"^params.yaml:\d+:\d+: ", "expected", "fix this line"),
    Row(
        "params: character", params("#", "# \x07"), "^params.yaml:1:3: ", "cannot have the character 0x7", "take it out"
    ),
    Row(
        "params: depth", params(PARAMS, "a: " + "[" * 5000), f"{AT}is nested", "expected a few levels", "take some out"
    ),
    Row("params: alias", params(PARAMS, "a: &a 1\nb: *a"), f"{AT}b: aliases", "are not allowed", "write the value of"),
    Row(
        "params: tag",
        params("epochs: 3", "epochs: !!int x"),
        f"{NET}.epochs: got 'x'",
        "expected text",
        "put text in q",
    ),
    Row(
        "params: large", params("epochs: 3", f"epochs: {2**64}"), f"{NET}.epochs", "expected a whole", "63 bits at most"
    ),
    Row(
        "params: doubled",
        params("epochs: 3", "epochs: 3\n    epochs: 3"),
        f"{NET}.epochs",
        "is set twice",
        "keep one",
    ),
    Row("params: key", params("compute:", "1: 2\ncompute:"), f"{AT}the key '1'", "is no text", "put it in quotes"),
    Row("params: type", params("epochs: 3", "epochs: ten"), f"{NET}.epochs", "got 'ten', expected a", "of at least 1"),
    Row(
        "params: missing", params("    flip: none ", "    # "), f"{NET}.flip", "is missing; exp", "one of: none, random"
    ),
    Row(
        "params: unknown",
        params("epochs: 3", "epoch: 3"),
        f"{NET}.epoch: is not known",
        "expected one of",
        "did you mean",
    ),
    Row("params: misfit", params("shift: 2  ", "shift: 28  "), f"{NET}.shift: got 28", "expected less than", "28x28"),
    Row(
        "params: reference", params("data: mnist\n", "data: x\n"), f"{NET}.data: got 'x'", "expected a block", "mnist, "
    ),
    Row(
        "params: name", params("data:\n", "data:\n  A: {}\n"), f"{AT}data.A: ", "expected a name of small", "rename it"
    ),
    Row(
        "params: stray",
        params("export:\n", "export:\n  no: {}\n"),
        f"{AT}export.no",
        "no network of this",
        "take it out",
    ),
]


def own(**changes):
    """Bring weights from net.pth, a file of one's own."""
    about = {"kind": "file", "backbone": "resnet18", "path": "net.pth", "sha256": None, "side": None}
    bring_weights("own", FileWeights(**about | changes))


def weights(content=None, **changes):
    def cause(_):
        if content is not None:
            torch.save(content(), "net.pth")
        own(**changes)

    return cause


def resnet(**changes):
    return backbones.whole("resnet18").state_dict() | changes


def changed_features(_):
    folder = Path("data/weights/digits")
    folder.mkdir(parents=True)
    (folder / "features.onnx").write_bytes(b"changed")
    write_json(folder / "weights.json", {"files": {"features.onnx": "0" * 64}})
    FeatureNetwork("digits", 1)


def start(tampered):
    def cause(_):
        folder = Path("data/weights/net")
        write_json(folder / "weights.json", {"kind": "none", "files": {"weights.safetensors": "0"} if tampered else []})
        (folder / "weights.safetensors").write_bytes(b"cut")
        backbones.published(folder)

    return cause


FILE, ANOTHER = r"weights.own: .*net.pth", "download the file again, or name another one"
WEIGHTS = [
    Row(
        "weights: missing",
        weights(),
        f"{FILE}: cannot be read",
        "No such file",
        "put it there, or change weights.own.pa",
    ),
    Row(
        "weights: sha256",
        weights(dict, sha256="0" * 64),
        f"{FILE}: has sha",
        "expected 0000",
        "put it there, or change",
    ),
    Row("weights: a call", weights(lambda: {"a": print}), FILE, "as weights.*expected a state dict", ANOTHER),
    Row("weights: no tensors", weights(lambda: {"a": 1}), FILE, "expected a state dict", ANOTHER),
    Row("weights: few", weights(lambda: {"a": torch.zeros(1)}), FILE, "not those of resnet18", "name the backbone"),
    Row(
        "weights: shape",
        weights(lambda: resnet(**{"conv1.weight": torch.zeros(1)})),
        FILE,
        "expected",
        "name its backb",
    ),
    Row(
        "weights: not finite",
        weights(lambda: resnet(**{"bn1.bias": torch.full((64,), torch.nan)})),
        f"{FILE}: bn1.bias",
        "not finite, expected numbers",
        "download the file again",
    ),
    Row("weights: backbone", weights(dict, backbone="x"), "weights.own.backbone: got 'x'", "expected", "efficientnet"),
    Row(
        "weights: none",
        start(False),
        "data/weights/net: has no weights",
        "expected weights.safe",
        "`convzoo repro weights@",
    ),
    Row(
        "weights: changed",
        start(True),
        "net/weights.safetensors: ",
        "not what weights.json says",
        "convzoo repro -f weig",
    ),
    Row(
        "weights: changed features",
        changed_features,
        "digits/features.onnx: has sha256",
        "expected 000000000000 as in weights.json",
        "dvc checkout, or rebuild it",
    ),
    Row(
        "weights: no feature network",
        lambda _: FeatureNetwork("digits", 1),
        "digits/features.onnx: there is no",
        "if `weights.digits` .* has features",
        "run `convzoo repro weights@digits`",
    ),
]


@each(SETTINGS, WEIGHTS)
def test_a_message_names_the_thing_what_was_expected_and_what_to_do(world, capsys, row):
    look(row, world, capsys)
