"""A model and an identity as the stages write them, made small."""

import socket
from pathlib import Path

import numpy as np

from convzoo.tracking import runs, store
from convzoo.tracking.registered import EXPORTED, SERVED
from helpers.onnx_files import save_linear_classifier

CLASSES = 3
SIDE = 4


def write_model(file: Path, seed: int) -> None:
    """A real classifier of uint8 (B, 4, 4, 1): a linear layer and softmax."""
    weights = np.random.default_rng(seed).normal(size=(SIDE * SIDE, CLASSES))
    save_linear_classifier(file, weights / 255, (SIDE, SIDE, 1))


def identity_of(seed: int) -> dict:
    """What fingerprint.json says of the training with this seed."""
    params = {"family": "classifier", "architecture": "fast", "optimizer": "sgd", "learning_rate": 0.1, "seed": seed}
    blocks = {"fast": {"widths": [4, 8], "dirac": True}, "reference": {"dense": 100}}
    return {
        "fingerprint": f"{seed:064x}",
        "params": params | blocks,
        "compute": {"device": "cpu", "precision": "fp32", "threads": 2},
        "data": {"name": "shapes", "train": "a" * 64, "val": "b" * 64, "augmented": "c" * 64},
        "code": {},
        "versions": {},
    }


def runs_of(network: str) -> list:
    client = store.open_store()
    return client.search_runs([runs.experiment_of(client, network)])


def versions_of(network: str) -> list:
    return sorted(store.open_store().search_model_versions(f"name = '{network}'"), key=lambda found: int(found.version))


def candidate_of(network: str) -> int:
    return int(store.open_store().get_model_version_by_alias(network, "candidate").version)


def artifacts_of(run) -> list[str]:
    client, found, folders = store.open_store(), [], [None]
    while folders:
        for entry in client.list_artifacts(run.info.run_id, folders.pop()):
            (folders if entry.is_dir else found).append(entry.path)
    return sorted(found)


def pictures_of(run) -> list[str]:
    """What mlflow's image grid shows of a run, by name and epoch."""
    found = [path for path in artifacts_of(run) if path.startswith("images/") and path.endswith(".png")]
    return [path.removeprefix("images/").partition("+timestamp+")[0] for path in found]


def stored_file(version) -> Path:
    client = store.open_store()
    location = client.get_logged_model(version.source.removeprefix("models:/")).artifact_location
    exported = folder_of(location) / EXPORTED
    return exported if exported.exists() else folder_of(location) / SERVED


def folder_of(location: str) -> Path:
    """Where the artifacts of a location lie."""
    return store.local_folder(location, store.tracking_uri())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
