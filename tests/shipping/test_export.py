"""export_files on small modules: what it writes, and that each limit on its own stops it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.family_outputs import SOURCE
from torch import nn

from convzoo.data.arrays import save_array
from convzoo.data.image_statistics import ranges
from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of, write_json
from convzoo.shipping import export as exporting
from convzoo.shipping.export import Exported, export_files, results_of, val_images
from convzoo.shipping.model import Model
from convzoo.shipping.onnx import OPSET

FOLDER = Path("models/net")
VAL = np.random.default_rng(5).integers(0, 256, (7, 2, 2, 3), np.uint8)
DESCRIBED = {"family": "small", "dataset": "drawn", "classes": ["a", "b"], "resize": "crop", "source": SOURCE}


class Flat(nn.Module):
    """A linear layer of raw images, and a dropout that must be off."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(12, outputs), nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.linear(images.flatten(1).float() / 255)).softmax(dim=1)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir(parents=True)
    (FOLDER / "weights.safetensors").write_bytes(b"weights")
    (Path("data/prepared/drawn/val")).mkdir(parents=True)
    save_array(Path("data/prepared/drawn/val/images.npy"), VAL)
    save_array(Path("data/prepared/drawn/val/labels.npy"), np.zeros(len(VAL), np.int64))
    write_json(Path("data/raw/drawn/source.json"), SOURCE)
    torch.manual_seed(0)


def exported(outputs: int = 2, unit: str = "probability", count: int = 9) -> Exported:
    images = np.random.default_rng(outputs).integers(0, 256, (count, 2, 2, 3), np.uint8)
    return Exported(Flat(outputs).train(), images, "images", f"{unit}s", unit)


def files() -> list[str]:
    return sorted(file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*") if file.is_file())


def test_export_json_describes_every_file():
    model, part = exported(), exported(3, "feature")
    export_files("net", DESCRIBED, model.module, model, {"part.onnx": part}, views="mirror")
    ports = {
        "input": {"name": "images", "dtype": "uint8", "shape": [None, 2, 2, 3]},
        "output": {"name": "probabilitys", "dtype": "float32", "shape": [None, 2]},
    }
    parity = {
        name: exporting.compare(results_of(side.module, side.inputs), Model(FOLDER / name)(side.inputs), side.unit)
        for name, side in (("model.onnx", model), ("parts/part.onnx", part))
    }
    assert read_json(FOLDER / "export.json") == {
        "model_sha256": sha256_of(FOLDER / "model.onnx"),
        "weights_sha256": sha256_of(FOLDER / "weights.safetensors"),
        "parts_sha256": {"part.onnx": sha256_of(FOLDER / "parts/part.onnx")},
        "bytes": len((FOLDER / "model.onnx").read_bytes()),
        "parameters": 12 * 2 + 2,
        "opset": OPSET,
        **ports,
        "dataset": "drawn",
        "classes": ["a", "b"],
        "parity": {"split": "val", "images": 9, "files": {name: found.record() for name, found in parity.items()}},
        "images": {
            "source": {"name": SOURCE["name"], "kind": SOURCE["kind"]},
            "split": "val",
            "ranges": ranges(VAL),
        },
        "views": "mirror",
    }
    outer = {"name": "features", "dtype": "float32", "shape": [None, 3]}
    assert read_json(FOLDER / "parts/parts.json") == {"part.onnx": {"input": ports["input"], "output": outer}}
    about = {"family": "small", "dataset": "drawn", "classes": ["a", "b"], "network": "net", "resize": "crop"}
    assert Model(FOLDER / "model.onnx").described == about
    assert Model(FOLDER / "parts/part.onnx").described == {}
    assert model.module.training, "the mode is put back"
    flat = model.inputs.reshape(9, 12) / 255
    logits = flat @ model.module.linear.weight.detach().numpy().T + model.module.linear.bias.detach().numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(Model(FOLDER / "model.onnx")(model.inputs), expected, atol=1e-5)


def test_without_parts_the_index_is_empty_and_latents_have_no_resize():
    model = Exported(nn.Linear(4, 2), np.zeros((3, 4), np.float32), "latents", "images", "latent")
    export_files("net", DESCRIBED, model.module, model)
    assert files() == ["export.json", "model.onnx", "parts/parts.json", "weights.safetensors"]
    assert read_json(FOLDER / "parts/parts.json") == read_json(FOLDER / "export.json")["parts_sha256"] == {}
    assert "resize" not in Model(FOLDER / "model.onnx").described


# What the weights give, what the file gives, and whether that is allowed: each limit is crossed by itself.
EVEN, LEVELS = np.array([[0.6, 0.4], [0.50004, 0.49996]]), np.full((1, 4, 500), 100, np.uint8)
LIMITS = {
    "probability": [
        (EVEN, EVEN + np.array([[9e-5, -9e-5], [0, 0]]), True),
        (EVEN, EVEN + np.array([[2e-4, -2e-4], [0, 0]]), False),
        (EVEN, EVEN + np.array([[0.1, -0.1], [0, 0]]), False),
        (EVEN, EVEN + np.array([[0, 0], [-6e-5, 6e-5]]), False),  # close, but another class comes first
    ],
    "grey level": [
        (LEVELS, LEVELS + (np.arange(500) < 0), True),
        (LEVELS, LEVELS + (np.arange(2000).reshape(1, 4, 500) < 2), True),
        (LEVELS, LEVELS + (np.arange(2000).reshape(1, 4, 500) < 3), False),
        (LEVELS, LEVELS + 2 * (np.arange(2000).reshape(1, 4, 500) < 1), False),
    ],
    "latent": [(10 * EVEN, 10 * EVEN + 0.0059, True), (10 * EVEN, 10 * EVEN + 0.0061, False)],
    "feature": [(-10 * EVEN, -10 * EVEN - 0.0059, True), (-10 * EVEN, -10 * EVEN - 0.0061, False)],
}


@pytest.mark.parametrize("name", ["model.onnx", "part.onnx"])
@pytest.mark.parametrize(
    ("unit", "case"), [(unit, case) for unit, cases in LIMITS.items() for case in range(len(cases))]
)
def test_each_limit_on_its_own_stops_the_export(unit, case, name, monkeypatch):
    expected, results, allowed = LIMITS[unit][case]
    write, current = exporting.write_onnx, []
    monkeypatch.setattr(exporting, "write_onnx", lambda *given: current.append(given[4].name) or write(*given))

    def replaced(function, values):
        return lambda *given: values if name in current[-1] else function(*given)

    monkeypatch.setattr(exporting, "results_of", replaced(exporting.results_of, expected))
    monkeypatch.setattr(exporting, "run_in_batches", replaced(exporting.run_in_batches, results))
    model, part = (exported(2, unit if name == file else "feature") for file in ("model.onnx", "part.onnx"))
    if allowed:
        export_files("net", DESCRIBED, model.module, model, {"part.onnx": part})
        assert read_json(FOLDER / "export.json")["parity"]["files"].keys() == {"model.onnx", "parts/part.onnx"}
    else:
        with pytest.raises(ConvzooError, match=rf"net: .*{name} does not agree with the weights: {unit}s differ by"):
            export_files("net", DESCRIBED, model.module, model, {"part.onnx": part})
        assert files() == ["weights.safetensors"]


def test_results_are_those_of_evaluation_mode_in_order_for_any_number():
    module = Flat(2).train()
    inputs = np.random.default_rng(0).integers(0, 256, (2 * exporting.BATCH + 3, 2, 2, 3), np.uint8)
    found = results_of(module, inputs)
    assert module.training and module.dropout.training
    module.eval()
    with torch.no_grad():
        np.testing.assert_allclose(found, module(torch.from_numpy(inputs)).numpy(), atol=1e-6)


@pytest.mark.parametrize(("most", "expected"), [(4, [0, 3, 6, 9]), (3, [0, 4, 9]), (50, range(10))])
def test_val_images_are_spread_over_the_split(most, expected):
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    for split, values in (("val", images), ("test", images + 100), ("train", images + 50)):
        save_array(Path("data/prepared/drawn", split, "images.npy"), values)
        save_array(Path("data/prepared/drawn", split, "labels.npy"), np.zeros(10, np.int64))
    assert val_images("drawn", most).ravel().tolist() == [*expected]
