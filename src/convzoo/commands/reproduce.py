"""Rebuild a version from its commit and compare the two.

Runs every stage that leads to it in a temporary clone; pictures from a folder of yours are restored from DVC's cache.
The exit code is 1 if weights, model or metrics differ. If another processor trained the version and compute.portable
was false, bits cannot be compared; the exit code is then 1 if a metric is outside the registered interval.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import typer

from convzoo.commands import shared
from convzoo.errors import ConvzooError
from convzoo.files import project_root, read_json, sha256_of
from convzoo.lineage import commits
from convzoo.lineage.clones import make_clone, prepare_clone
from convzoo.portable import processor
from convzoo.settings.compute import CONTINUE_FROM
from convzoo.shipping.graph import tensors_of
from convzoo.tracking.versions import Version, find_version

EXAMPLES = ("convzoo reproduce mnist-classifier", "convzoo reproduce mnist-classifier@v3")
# Variables of the caller's clone, besides all DVC_EXP_*.
CLEARED = ("DVC_ROOT", "DVC_STAGE", "MLFLOW_TRACKING_URI", CONTINUE_FROM)
SHOWN = 10  # tensors that differ, at most


class Verdict(NamedTuple):
    """The outcome of a comparison, and lines that explain it."""

    identical: bool
    lines: list[str]
    within: bool = False  # bits cannot be compared, but all metrics with an interval are in it

    @property
    def text(self) -> str:
        """As `reproduce` prints it."""
        if self.within:
            return "other bits, as expected of another processor; the metrics are within their intervals"
        return "identical bytes" if self.identical else "DIFFERENT"


def command(network: shared.Version) -> None:
    """Print the comparison."""
    verdict = reproduce(network)
    print(f"\n{network}:", *verdict.lines, sep="\n")
    print(f"verdict: {verdict.text}")
    if not verdict.identical and not verdict.within:
        raise typer.Exit(1)


def reproduce(name: str) -> Verdict:
    """Rebuild the version that NETWORK[@ALIAS] stands for, with its code and params, and compare the two.

    Forces every stage that leads to it, without checkpoints and without tracking, in a temporary clone; the checkout,
    data and cache of the caller do not change. Pictures from a folder are those that the version was trained on, if
    DVC's cache still has them. Raises ConvzooError if there is no such version, if it was continued from
    another training, if no commit holds its code and params, and if a stage fails.
    """
    version = find_version(name)
    if parent := version.lineage["identity"].get("parent"):
        raise ConvzooError(
            f"{version.name}: was continued from a checkpoint of the training {parent['fingerprint'][:16]}, expected "
            "one that began from the start, which alone can be rebuilt; train it without --continue-from"
        )
    commit, network = _commit_of(version), version.version.name
    with tempfile.TemporaryDirectory(prefix="convzoo-") as folder:
        clone = Path(folder, "clone")
        make_clone(commit, clone)
        own_files = prepare_clone(clone, network, version.lineage["stages"])
        _repro(clone, network)
        rebuilt = clone / "models" / network
        verdict = _compare(version.lineage, version.download(Path(folder)), rebuilt)
        if not verdict.identical:
            verdict = _on_this_processor(verdict, version, _results(rebuilt))
        return verdict._replace(lines=own_files + verdict.lines)


def _commit_of(version: Version) -> str:
    """The commit that holds the code and params of a version's training."""
    snapshot = commits.snapshot_of(version.fingerprint)
    if snapshot:
        return snapshot
    tags = version.run.data.tags
    commit, changes = tags.get("mlflow.source.git.commit"), tags.get("convzoo.dirty", "unknown")
    if not commit:
        raise ConvzooError(
            f"{version.name}: its run names no commit, expected one; it was trained outside git, or registered from "
            "files alone: train it in a git clone"
        )
    if changes != "clean":
        raise ConvzooError(
            f"{version.name}: was trained from {commit[:7]} with changes ({changes}), and the snapshot "
            f"{commits.REFS}/{version.fingerprint[:16]}... is not in this clone; fetch it from the clone that trained "
            f"it: git fetch OTHER-CLONE '+{commits.REFS}/*:{commits.REFS}/*'"
        )
    if commits.git("cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise ConvzooError(f"{version.name}: this clone does not have its commit {commit}; run: git fetch --all")
    return commit


def _repro(clone: Path, network: str) -> None:
    environment = {
        key: value for key, value in os.environ.items() if key not in CLEARED and not key.startswith("DVC_EXP_")
    }
    environment |= {"CONVZOO_TRACKING": "off", "DVC_NO_ANALYTICS": "1"}
    # The stages call `python`: it must be the interpreter of this command.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    mirror = environment.get("CONVZOO_MIRROR", "")
    if mirror and "://" not in mirror:
        environment["CONVZOO_MIRROR"] = str(project_root() / mirror)
    command = [sys.executable, "-m", "dvc", "repro", "--force", f"evaluate@{network}"]
    if subprocess.run(command, cwd=clone, env=environment, check=False).returncode:
        raise ConvzooError(f"{network}: `dvc repro --force evaluate@{network}` failed in its commit, see above")


def _compare(lineage: Mapping[str, Any], registered: Path | None, rebuilt: Path) -> Verdict:
    """Compare the registered files, by `lineage` and the model if the store has it, with the folder models/NETWORK."""
    lines, identical = [], True
    for name, key in (("weights.safetensors", "weights_sha256"), ("model.onnx", "model_sha256")):
        sha256 = sha256_of(rebuilt / name)
        if sha256 == lineage[key]:
            lines.append(f"{name}: identical, sha256 {sha256}")
        else:
            lines.append(f"{name}: DIFFERENT, sha256 {sha256}, registered {lineage[key] or 'unknown'}")
            identical = False
    metrics = _results(rebuilt)
    changed = _differences(lineage["metrics"], {key: metrics.get(key) for key in lineage["metrics"]})
    lines += [f"metrics: {len(changed)} of {len(lineage['metrics'])} DIFFERENT" if changed else "metrics: identical"]
    lines += changed
    if changed or not identical:
        causes = _differences(lineage["identity"], read_json(rebuilt / "fingerprint.json"))
        lines += _tensors(registered, rebuilt / "model.onnx")
        lines += ["what else differs:", *(causes or ["  nothing that is recorded"])]
    return Verdict(identical and not changed, lines)


def _results(rebuilt: Path) -> dict[str, Any]:
    """All metrics, which older commits have in metrics.json."""
    results = rebuilt / "evaluation.json"
    return read_json(results if results.is_file() else rebuilt / "metrics.json")


def _on_this_processor(verdict: Verdict, version: Version, metrics: Mapping[str, Any]) -> Verdict:
    """Add a comparison by intervals if another kind of processor trained the version, and not with portable bits."""
    before, now = version.run.data.tags.get("convzoo.processor"), processor()
    if version.lineage["identity"].get("compute", {}).get("portable") or before in (None, now):
        return verdict
    registered, lines, inside = version.lineage["metrics"], [], []
    for key, value in registered.items():
        low, high = registered.get(f"{key}_low"), registered.get(f"{key}_high")
        if low is not None and high is not None:
            inside.append(low <= metrics.get(key, float("nan")) <= high)
            where = "within" if inside[-1] else "OUTSIDE"
            lines.append(f"  {key}: registered {value:.6g}, now {metrics.get(key)}, {where} {low:.6g} to {high:.6g}")
    head = (
        f"bits cannot be compared: this version was trained on {before}, this processor is {now}, and "
        "compute.portable was not true; compared by intervals instead:"
    )
    return Verdict(False, [*verdict.lines, head, *lines], bool(inside) and all(inside))


def _differences(registered: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> list[str]:
    """A line per value that differs. The fingerprint is left out because it is the digest of the others."""
    before, after = _flat(registered), _flat(rebuilt)
    return [
        f"  {key}: registered {before.get(key)!r}, now {after.get(key)!r}"
        for key in sorted(before | after)
        if before.get(key) != after.get(key) and key != "fingerprint"
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _tensors(registered: Path | None, rebuilt: Path) -> list[str]:
    """Which weights of the two models differ, the largest difference first."""
    if registered is None:
        return ["tensors: not compared, because the store has lost the registered model"]
    before, after = tensors_of(registered), tensors_of(rebuilt)
    lines = [f"  {name}: only in one of the models" for name in sorted(before.keys() ^ after.keys())]
    differences = []
    for name in before.keys() & after.keys():
        a, b = before[name], after[name]
        if a.shape != b.shape:
            lines.append(f"  {name}: shape {a.shape}, now {b.shape}")
        elif a.tobytes() != b.tobytes():
            a, b = a.astype(np.float64), b.astype(np.float64)
            differences.append((float(np.abs(a - b).max()), float(np.abs(a).max()), name))
    differences.sort(reverse=True)
    lines += [f"  {name}: up to {gap:.3g} apart, values up to {most:.3g}" for gap, most, name in differences[:SHOWN]]
    if len(differences) > SHOWN:
        lines.append(f"  and {len(differences) - SHOWN} more")
    return [f"tensors of model.onnx: {len(differences)} of {len(before)} differ", *lines]
