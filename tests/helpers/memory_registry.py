"""A registry of promotions in memory, with versions whose accuracies are written in their files."""

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convzoo.data.arrays import Split
from convzoo.errors import ConvzooError
from convzoo.files import sha256_of
from convzoo.promotion import gate, ledger, outcome, promote
from convzoo.promotion.comparison import Difference
from convzoo.promotion.measuring import Measurement
from convzoo.promotion.splits import current_splits
from convzoo.tracking.aliases import Alias
from convzoo.tracking.locks import Lock
from convzoo.tracking.registered import SHA256
from helpers.promotions import write_data, write_params

NETWORK = "shapes-classifier"
PARITY = {"unit": "probability", "largest": 1e-5, "allowed": 1e-4, "top1_agreement": 1.0}


class Scores:
    """An evaluator of files that hold their accuracies on val and test; intervals reach 0.02 to either side."""

    main = "accuracy"

    def measure(self, model: Any, split: Split) -> Measurement:
        value = float(model.path.read_text().split()[split == "test"])
        return Measurement({"accuracy": value, "class_recall": 0.9, "calibration_error": 0.1}, np.array([]))

    def compare(self, candidate: Measurement, champion: Measurement) -> Difference:
        gain = round(candidate.values["accuracy"] - champion.values["accuracy"], 6)
        return Difference(gain, gain - 0.02, gain + 0.02)


class Registry:
    """Versions, aliases and verdicts in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.aliases, self.versions, self.verdicts, self.locks = folder, {}, {}, [], []
        self.by_hand: set[str] = set()

    def add(self, scores: str, **changes: Any) -> int:
        number = len(self.versions) + 1
        file = self.folder / f"{number}.onnx"
        file.write_text(scores)
        splits = current_splits("shapes")
        identity = {"data": {"name": "shapes", "val": splits["val"]}, "params": {"weights": "none"}}
        self.versions[str(number)] = SimpleNamespace(
            client=self,
            version=SimpleNamespace(name=NETWORK, version=str(number), tags={SHA256: f"sha256 of {number}"}),
            lineage={"identity": identity, "model_sha256": sha256_of(file)},
            fingerprint=f"fingerprint {number}",
            splits=splits,
            download=lambda folder: file if file.exists() else None,
            export=lambda: {"parity": {"files": {"model.onnx": PARITY | changes}}},
        )
        self.aliases["candidate"] = str(number)
        return number

    def find(self, name: str) -> Any:
        network, _, reference = name.partition("@")
        assert network == NETWORK
        number = reference[1:] if reference[1:].isdigit() else self.aliases[reference]
        if "broken" in self.versions[number].fingerprint:
            raise ConvzooError(f"{name}: has no lineage")
        return self.versions[number]

    def get_model_version(self, name: str, number: str) -> Any:
        assert name == NETWORK
        return self.versions[number].version

    def all_aliases(self, client: Any, network: str) -> dict[str, Alias]:
        assert (client, network) == (self, NETWORK)
        return {alias: Alias(number, alias in self.by_hand) for alias, number in self.aliases.items()}

    def set_alias(self, client: Any, network: str, alias: str, number: str) -> None:
        assert (client, network, type(number)) == (self, NETWORK, str)
        self.aliases[alias] = number

    def restore(self, client: Any, network: str, alias: str, before: Alias | None) -> None:
        self.aliases.pop(alias, None)
        if before:
            self.set_alias(client, network, alias, before.version)


@pytest.fixture
def registry(tmp_path, monkeypatch) -> Registry:
    monkeypatch.chdir(tmp_path)
    write_data()
    write_params(NETWORK, ceilings={"calibration_error": 0.9, "latency": None, "file_size": 1})
    found = Registry(tmp_path)
    for name, replacement in {
        "find_version": found.find,
        "aliases_of": found.all_aliases,
        "version_in_models": lambda client, network: None,
        "set_alias": found.set_alias,
        "restore_alias": found.restore,
        "check_run_is_active": lambda version: version.fingerprint.startswith("deleted") and pytest.fail("a check"),
        "record_verdict": lambda *given: found.verdicts.append(given),
        "folder_until_exit": lambda: tmp_path,
        "evaluator_for": lambda family, settings, meta, weights: {("classifier", "shapes", "none"): Scores()}[
            family, meta["dataset"], weights
        ],
        "Model": lambda file: SimpleNamespace(path=file),
        "locked": lambda network, purpose: contextlib.nullcontext(found.locks.append(purpose) or Lock()),
    }.items():
        for module in (promote, outcome):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, replacement)
    failures = contextlib.nullcontext()
    fake_store = SimpleNamespace(
        use_store=lambda: found,
        tracking_uri=lambda: "memory",
        failures_raised_as=lambda message, remedy: failures,
        TrackingError=promote.store.TrackingError,
    )
    monkeypatch.setattr(promote, "store", fake_store)
    monkeypatch.setattr(gate, "load_split", lambda folder: folder.name)
    monkeypatch.setattr(ledger, "project_root", lambda: tmp_path)
    monkeypatch.setattr(ledger.commits, "head", lambda: "c0ffee")
    monkeypatch.setattr(ledger.commits, "git", lambda *command: "Ada")
    monkeypatch.setattr(ledger, "now", lambda: "2026-01-02T03:04:05Z")
    return found
