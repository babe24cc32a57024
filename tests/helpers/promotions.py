"""A data set, and classifiers of it whose right answers are known image by image, as versions in mlflow.

Each image of 4x4 pixels holds five words of three pixels, one of them bright: what the network of that number answers.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from convzoo.data.arrays import digest, load_split
from convzoo.files import read_json, sha256_of, write_json
from convzoo.lineage.record import RECORD
from convzoo.promotion.promote import Outcome, promote
from convzoo.tracking import store
from convzoo.tracking.aliases import aliases_of
from convzoo.tracking.registry import register
from helpers.onnx_files import describe, save_linear_classifier
from helpers.registered import folder_of

CLASSES, SIDE, IMAGES = 3, 4, 400
# Of every 400 images, those that each network answers wrong.
WRONG = {
    "good": range(0, 40),  # 90 %
    "same": range(0, 40),
    "noise": range(3, 45),  # 2 more, of which 3 are others'
    "bad": range(0, 80),
    "best": range(0, 10),
}
PARAMS = """\
profile: test
compute: {}
sources: {}
weights: {}
data: {}
networks:
  NET: {family: classifier}
export: {}
evaluation: {}
promotion:
  NET:
    rule: better
    not_worse_by: 0.02
    confidence: 0.95
    floors: {accuracy: 0.85, class_recall: 0.5, coarse_accuracy: null}
    ceilings: {calibration_error: 0.9, latency: 1000, file_size: 1}
    batch_size: 100
    calibration_bins: 10
search: {}
"""


def write_data(seed: int = 0, val_seed: int = 0) -> None:
    """data/prepared/shapes with its verdict; other seeds give other test and val images."""
    folder = Path("data/prepared/shapes")
    for split, chance in (("train", 7), ("val", val_seed), ("test", 100 + seed)):
        labels = np.random.default_rng(chance).integers(0, CLASSES, IMAGES)
        pixels = np.zeros((IMAGES, SIDE * SIDE), np.uint8)
        for number, wrong in enumerate(WRONG.values()):
            answers = labels.copy()
            answers[list(wrong)] = (answers[list(wrong)] + 1) % CLASSES
            pixels[np.arange(IMAGES), 3 * number + answers] = 255
        (folder / split).mkdir(parents=True, exist_ok=True)
        np.save(folder / split / "images.npy", pixels.reshape(-1, SIDE, SIDE, 1))
        np.save(folder / split / "labels.npy", labels)
    describe_data()


def write_noise(shape: tuple[int, int, int], classes: int) -> None:
    """data/prepared/shapes with images of noise and classes by chance."""
    for chance, split in enumerate(("train", "val", "test")):
        rng, folder = np.random.default_rng(chance), Path("data/prepared/shapes", split)
        folder.mkdir(parents=True)
        np.save(folder / "images.npy", rng.integers(0, 256, (IMAGES, *shape), np.uint8))
        np.save(folder / "labels.npy", rng.integers(0, classes, IMAGES))
    describe_data(shape=shape)


def describe_data(with_digests: bool = True, shape: tuple[int, int, int] = (SIDE, SIDE, 1)) -> dict[str, str]:
    """Write meta.json and the verdict as `prepare` and `validate` do; returns the digests of the splits.

    Data that were prepared before meta.json had digests are described without them.
    """
    folder = Path("data/prepared/shapes")
    splits = {split: digest(load_split(folder / split)) for split in ("train", "val", "test")}
    meta = {"dataset": "shapes", "shape": [*shape], "source": {}}
    write_json(folder / "meta.json", meta | ({"splits": splits} if with_digests else {}))
    verdict = {"dataset": "shapes", "passed": True, "train": splits["train"], "val": splits["val"]}
    write_json(Path("data/validated/shapes.json"), verdict)
    return splits


def write_params(network: str, **changes: object) -> None:
    """params.yaml for one network; `changes` are of its promotion."""
    yaml = YAML(typ="safe")
    params = yaml.load(PARAMS.replace("NET", network))
    params["promotion"][network] |= changes
    yaml.dump(params, Path("params.yaml"))


def version(
    network: str,
    kind: str,
    parity: float = 1e-6,
    seed: int = 0,
    with_digests: bool = True,
    about: dict | None = None,
    write: Callable[[Path], None] | None = None,
    shape: tuple[int, int, int] = (SIDE, SIDE, 1),
    classes: int = CLASSES,
    **data: str,
) -> int:
    """Write models/NETWORK for one of WRONG and register it; its version. Each `seed` gives another file.

    `about` is what the file says of itself; `write` writes another file, for images of `shape`. `data` are digests of
    splits that the network was trained on, if not those on disk.
    """
    splits = describe_data(with_digests, shape)
    folder = Path("models", network)
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    (folder / "extra").mkdir(exist_ok=True)
    if write:
        write(folder / "model.onnx")
    else:
        number = list(WRONG).index(kind)
        weights = np.zeros((SIDE * SIDE, CLASSES))
        weights[range(3 * number, 3 * number + CLASSES), range(CLASSES)] = 0.02 + seed / 1e6
        save_linear_classifier(folder / "model.onnx", weights, (SIDE, SIDE, 1))
    if about:
        describe(folder / "model.onnx", **about)
    sha256 = sha256_of(folder / "model.onnx")
    ends = {
        "input": {"name": "images", "dtype": "uint8", "shape": [None, *shape]},
        "output": {"name": "probabilities", "dtype": "float32", "shape": [None, classes]},
    }
    record = {"unit": "probability", "largest": parity, "allowed": 1e-4, "top1_agreement": 1.0}
    recorded = {"split": "val", "images": IMAGES, "files": {"model.onnx": record}}
    export = {"model_sha256": sha256, "dataset": "shapes", "parity": recorded}
    write_json(folder / "export.json", export | ends)
    identity = {
        "fingerprint": hashlib.sha256(f"{network} {kind} {seed}".encode()).hexdigest(),
        "params": {"family": "classifier", "weights": "none", "network_of": kind},
        "compute": {"device": "cpu"},
        "data": {"name": "shapes", "train": splits["train"], "val": splits["val"], "augmented": "c" * 64} | data,
        "code": {},
        "versions": {"torch": "1"},
    }
    write_json(folder / "fingerprint.json", identity)
    write_json(folder / "architecture.json", {"family": "classifier"})
    accuracy = 1 - len(WRONG[kind]) / IMAGES
    measured = {"test_accuracy": accuracy, "test_accuracy_low": accuracy - 0.02, "test_accuracy_high": accuracy + 0.02}
    write_json(folder / "evaluation.json", measured)
    (folder / "history.csv").write_text("epoch,train_loss\n1,2.5\n")
    return int(re.search(r"version (\d+)", register(network))[1])


def aliases(network: str) -> dict[str, int]:
    """Where this network's aliases stand."""
    return {alias: int(found.version) for alias, found in aliases_of(store.open_store(), network).items()}


def failed(outcome: Outcome) -> list[str]:
    return [row.condition for row in outcome.conditions if not row.passed]


def stored_file(network: str, number: int) -> Path:
    client = store.open_store()
    model = client.get_model_version(network, str(number)).source.removeprefix("models:/")
    return folder_of(client.get_logged_model(model).artifact_location) / "model.onnx"


def forget_splits(network: str, number: int) -> None:
    """Make the record of a version's lineage one from before registrations recorded the digests of the splits."""
    run = store.open_store().get_run(store.open_store().get_model_version(network, str(number)).run_id)
    file = folder_of(run.info.artifact_uri) / RECORD
    lineage = read_json(file)
    assert lineage.pop("splits").keys() == {"train", "val", "test"}
    write_json(file, lineage)


def champion_and(network: str, kind: str, **more: object) -> int:
    """A good champion, and a candidate of this kind; its version."""
    version(network, "good")
    assert promote(network).done
    return version(network, kind, **more)
