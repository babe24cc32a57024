"""What the tests of every family need: a small project, the family's stages in it, and what they must leave."""

import contextlib
import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from convzoo.data.arrays import Split, digest
from convzoo.families.find import family_module
from convzoo.files import sha256_of, write_json
from convzoo.settings.compute import ComputeSettings
from helpers.project import ROOT

COMPUTE = ComputeSettings(
    portable=False,
    device="cpu",
    devices=1,
    nodes=1,
    strategy="auto",
    precision="fp32",
    threads=1,
    deterministic=True,
)


class Port(NamedTuple):
    """What an exported file takes and gives, as `convzoo.shipping.model` names it, and the unit of its parity."""

    input: str
    output: str
    unit: str


class Family(NamedTuple):
    """A family made small. Its stages run in the current folder, which `project` has filled."""

    name: str
    network: str
    project: Callable[[Path], Path]  # fills an empty folder with what the stages before training leave
    settings: Callable[..., Any]  # of the training: those of params.yaml made small, with changes
    exporting: Any  # settings of the export
    evaluation: Any  # settings of the evaluation

    # Networks by name: the arguments of `build`, and the shapes of an input and a result without the batch.
    zoo: dict[str, tuple[tuple, tuple, tuple]]

    # Changes of the settings of the training.
    variants: list[dict[str, Any]]  # ways to train that keep different things between epochs; the first one is shipped
    short: dict[str, Any]  # the shortest training
    long: dict[str, Any]  # one with enough epochs to be stopped between them
    switches: list[dict[str, Any]]  # each gives other weights than `short` alone
    diverging: list[tuple[dict[str, Any], int]]  # rates that make the loss infinite, and in which epoch
    rate: str  # a pattern of the setting to lower then

    # What the stages leave.
    columns: list[str]  # of history.csv
    extra: set[str]  # files in extra/
    files: dict[str, Port]  # exported files
    evaluated: set[str]  # exported files that the evaluation reads
    metrics: set[str]  # keys of evaluation.json
    plots: set[str]  # files in plots/
    summary: str  # a pattern in what the evaluation prints

    # On a GPU.
    on_cuda: list[dict[str, Any]]  # trainings whose results are compared with those of the CPU
    difference: Callable[[np.ndarray], float]  # of those results, from absolute differences
    tolerance: float

    @property
    def folder(self) -> Path:
        return Path("models", self.network)

    @property
    def prepared(self) -> Path:
        return Path("data/prepared", self.settings().data)

    def train(self, compute: dict[str, Any] | None = None, **changes: Any) -> str:
        """Train; return the sha256 of the weights."""
        device = COMPUTE.model_copy(update=compute or {})
        family_module(self.name, "train").train(self.network, self.settings(**changes), device, "test")
        return sha256_of(self.folder / "weights.safetensors")

    def export(self, **changes: Any) -> None:
        family_module(self.name, "export").export(self.network, self.exporting.model_copy(update=changes))

    def evaluate(self, **changes: Any) -> dict[str, Any]:
        settings = self.evaluation.model_copy(update=changes)
        return family_module(self.name, "evaluate").evaluate(self.network, settings)

    def history(self) -> list[dict[str, str]]:
        with (self.folder / "history.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))

    def outputs(self) -> dict[str, str]:
        """The sha256 of each file of the network, hidden ones too."""
        files = sorted(file for file in self.folder.rglob("*") if file.is_file())
        return {file.relative_to(self.folder).as_posix(): sha256_of(file) for file in files}


def write_project(folder: Path, dataset: str, splits: dict[str, Split], classes: list[str], **meta: Any) -> Path:
    """Write params.yaml, and the data as the stages before training leave them; return `folder`.

    `splits` are train, augmented, val and test; `meta` is more of train/meta.json.
    """
    shutil.copy(ROOT / "params.yaml", folder)
    prepared = folder / "data/prepared" / dataset
    for name, split in splits.items():
        path = folder / "data/augmented" / dataset if name == "augmented" else prepared / name
        path.mkdir(parents=True)
        np.save(path / "images.npy", split.images)
        np.save(path / "labels.npy", split.labels)
    rows = "".join(f"test-{number:03d},0\n" for number in range(len(splits["test"].labels)))
    (prepared / "test/manifest.csv").write_text(f"id,label\n{rows}")
    shape = list(splits["train"].images.shape[1:])
    about = {"dataset": dataset, "classes": classes, "shape": shape, "resize": "none"}
    write_json(prepared / "train/meta.json", about | meta)
    source = {"kind": "synthetic", "name": "drawn"}
    write_json(prepared / "meta.json", about | {"source": source})
    write_json(folder / "data/raw" / dataset / "source.json", source)
    digests = {name: digest(split) for name, split in splits.items() if name != "test"}
    write_json(folder / "data/validated" / f"{dataset}.json", {"dataset": dataset, "passed": True} | digests)
    return folder


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[Path]:
    """Make `folder`, a project, the current one, without MLflow."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("CONVZOO_TRACKING", "off")
        patched.delenv("DVC_ROOT", raising=False)
        yield folder
    torch.use_deterministic_algorithms(False)
