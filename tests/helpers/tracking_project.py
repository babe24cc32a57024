"""One tracking database for all tests here (making one takes seconds), in a folder with a space in its name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convzoo.files import sha256_of, write_json
from convzoo.tracking.registry import register
from helpers.registered import CLASSES, SIDE, identity_of, write_model


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder with the data files that a registration looks at."""
    folder = tmp_path_factory.mktemp("a clone") / "con zoo"
    images = folder / "data/prepared/shapes/val/images.npy"
    images.parent.mkdir(parents=True)
    np.save(images, np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE, 1), dtype=np.uint8))
    write_json(folder / "reports/data/shapes.json", {"dataset": "shapes", "passed": True})
    (folder / "reports/data_docs").mkdir()
    (folder / "reports/data_docs/index.html").write_text("<p>checked</p>")
    preview = folder / "data/augmented/shapes/preview.png"
    preview.parent.mkdir(parents=True)
    preview.write_bytes(b"a picture")
    (folder / "params.yaml").write_text("profile: test\n")
    (folder / "src/convzoo").mkdir(parents=True)  # by which a project is found
    return folder


@pytest.fixture(autouse=True)
def project(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The clone as current folder, with nothing of the user's in the environment."""
    dvc = ("DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "DVC_STAGE")
    for name in ("MLFLOW_TRACKING_URI", "CONVZOO_TRACKING", *dvc):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(clone)
    return clone


@pytest.fixture
def write_network() -> Callable[[str, int], None]:
    """Writes models/NETWORK as the stages do; another seed is another training and another model."""

    def write(network: str, seed: int) -> None:
        folder = Path("models", network)
        (folder / "plots").mkdir(parents=True, exist_ok=True)
        (folder / "extra").mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (seed, 0, 0)).save(folder / "plots/confusion.png")
        (folder / "plots/augmented_batch.png").write_bytes(b"a batch")
        (folder / "extra/augmented_batch.npy").write_bytes(b"an array")
        (folder / "extra/features_head.safetensors").write_bytes(b"tensors")
        (folder / "parts").mkdir(exist_ok=True)
        (folder / "parts/features_head.onnx").write_bytes(b"a part")
        write_model(folder / "model.onnx", seed)
        export = {
            "model_sha256": sha256_of(folder / "model.onnx"),
            "input": {"name": "images", "dtype": "uint8", "shape": [None, SIDE, SIDE, 1]},
            "output": {"name": "probabilities", "dtype": "float32", "shape": [None, CLASSES]},
            "dataset": "shapes",
        }
        write_json(folder / "export.json", export)
        write_json(folder / "fingerprint.json", identity_of(seed))
        write_json(folder / "architecture.json", {"family": "classifier", "architecture": "fast"})
        measured = {"test_accuracy": 0.5 + seed / 100, "test_images": 8, "classes": {"0": {"recall": 1.0}}}
        write_json(folder / "evaluation.json", measured)
        (folder / "history.csv").write_text("epoch,learning_rate,train_loss\n1,0.1,2.5\n2,0.05,1.25\n")

    return write


@pytest.fixture
def network(request, write_network):
    """A registered network of a name that no other test has."""
    name = request.node.name[5:].replace("[", "-").replace("]", "")[:60]
    write_network(name, len(name))
    register(name)
    return name
