"""Networks for tests of the server: a folder of one of each kind, and a real server in a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.data.image_statistics import ranges
from convzoo.files import sha256_of, write_json
from convzoo.shipping.reference import write_reference
from helpers.onnx_files import describe, save_linear, save_linear_classifier
from helpers.project import ROOT, environment

CLASSES = ["cat", "dog", "owl"]
SIDE = 8
LATENT = 5
PICTURE = (SIDE, SIDE, 3)
SOURCE = str(ROOT / "src")
# What a light installation lacks: the packages of the pipeline, and what only they bring along.
HEAVY = ("torch", "torchvision", "lightning_fabric", "mlflow", "dvc", "great_expectations", "onnx", "pandas", "scipy")
HEAVY += ("sklearn", "skimage", "matplotlib", "safetensors", "sqlalchemy", "requests", "jinja2", "mlxtend")
BLOCK = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""


def images(count: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, channels), np.uint8)


def write_classifier(folder: Path, network: str = "pets", seed: int = 0, **about: Any) -> Path:
    """A classifier of grey images in `folder`/NETWORK."""
    weights = np.random.default_rng(seed).normal(size=(SIDE * SIDE, len(CLASSES))) / 500
    file = folder / network / "model.onnx"
    save_linear_classifier(file, weights, (SIDE, SIDE, 1))
    describe(file, **({"network": network, "family": "classifier", "classes": CLASSES, "resize": "crop"} | about))
    known = {"source": {"name": "pets", "kind": "package"}, "ranges": ranges(images(50, seed=1))}
    return _export(file, images=known)


def write_watched(folder: Path, network: str = "pets", seed: int = 0, count: int = 300) -> Path:
    """The classifier of `write_classifier` with features and the measurements of `count` images."""
    file = write_classifier(folder, network, seed)
    features = file.with_name("parts") / "features.onnx"
    weights = np.random.default_rng(seed + 1).normal(size=(SIDE * SIDE, 12)) / 500
    save_linear(features, weights, ("uint8", (SIDE, SIDE, 1)), ("float32", (12,)), names=("images", "features"))
    about = {"network": network, "classes": CLASSES, "split": "val"}
    write_reference(file.parent / "parts/reference.npz", images(count, seed=2), file, features, **about)
    return file


def write_autoencoder(folder: Path, network: str = "copier", with_encoder: bool = True) -> Path:
    """An autoencoder of colour images that darkens them, and its encoder to LATENT numbers."""
    file, size = folder / network / "model.onnx", int(np.prod(PICTURE))
    save_linear(file, 0.9 * np.eye(size), ("uint8", PICTURE), ("uint8", PICTURE), names=("images", "reconstructions"))
    describe(file, network=network, family="autoencoder", classes=[], resize="pad")
    if not with_encoder:
        return _export(file)
    weights = np.random.default_rng(0).normal(size=(size, LATENT)) / 1000
    encoder = file.with_name("parts") / "encoder.onnx"
    save_linear(encoder, weights, ("uint8", PICTURE), ("float32", (LATENT,)), names=("images", "latents"))
    return _export(file, parts_sha256={"encoder.onnx": sha256_of(encoder)})


def write_generator(folder: Path, network: str = "maker", **about: Any) -> Path:
    """A generator of colour images from LATENT numbers; `about` is what else its file says of itself."""
    file = folder / network / "model.onnx"
    weights = 40 * np.random.default_rng(0).normal(size=(LATENT, int(np.prod(PICTURE))))
    save_linear(file, weights, ("float32", (LATENT,)), ("uint8", PICTURE), 128, names=("latents", "images"))
    describe(file, network=network, **{"family": "dcgan", "classes": []} | about)
    return _export(file)


def write_zoo(folder: Path) -> Path:
    """A network of each kind."""
    for write in (write_classifier, write_autoencoder, write_generator):
        write(folder)
    return folder


def _export(file: Path, **more: Any) -> Path:
    write_json(file.with_name("export.json"), {"model_sha256": sha256_of(file)} | more)
    write_json(file.with_name("evaluation.json"), {"test_accuracy": 0.75, "classes": {}})
    file.with_name("card.md").write_text(f"# {file.parent.name}\n")
    return file


def light(folder: Path) -> dict[str, str]:
    """Variables with which Python finds none of HEAVY."""
    blocking = folder / "blocking"
    blocking.mkdir(exist_ok=True)
    (blocking / "sitecustomize.py").write_text(BLOCK)
    return {"PYTHONPATH": os.pathsep.join([str(blocking), SOURCE])}


@contextlib.contextmanager
def server(
    folder: Path, *arguments: str, command: str = "serve", **more: str
) -> Iterator[tuple[str, subprocess.Popen, Path]]:
    """`convzoo serve`, or `convzoo demo`, on a free port; its address, its process, and the file of what it printed."""
    log = folder / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "convzoo", command, "--port", "0", *arguments],
            cwd=folder,
            env=environment(**({"PYTHONPATH": SOURCE} | more)),
            stdout=stream,
            stderr=stream,
        )
    try:
        yield _address(process, log), process, log
    finally:
        process.kill()
        process.wait(30)


def _address(process: subprocess.Popen, log: Path) -> str:
    for _ in range(600):
        for line in log.read_text().splitlines():
            if line.startswith("serving http"):
                return line.split()[1].rstrip(";")
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def get(address: str) -> dict[str, Any]:
    """The JSON at an address, also of a refusal."""
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def wait_until(happened: Any, seconds: float = 30) -> None:
    """Wait until `happened()` is true; fail after a time that is far longer than it takes."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)
