"""A registered version made again from its commit, in a clone of its own, and held against what was registered."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.errors import ConvzooError
from convzoo.files import project_root, read_json, sha256_of
from convzoo.lineage import commits
from convzoo.shipping.onnx import tensors_of
from convzoo.tracking.versions import Version, find_version

CLEARED = ("DVC_ROOT", "DVC_STAGE", "MLFLOW_TRACKING_URI")  # of the caller's clone; and all of DVC_EXP_
SHOWN = 10  # tensors that differ, at most


class Verdict(NamedTuple):
    """What came of it, in lines."""

    identical: bool
    lines: list[str]


def reproduce(name: str) -> Verdict:
    """Make the version that NETWORK[@ALIAS] stands for again: its code and params, all stages that lead to it, run by
    force, without checkpoints and without tracking. The caller's checkout, data and cache are left alone.

    Raises ConvzooError where there is no such version, where no commit holds what trained it, and where a stage fails.
    """
    found = find_version(name)
    commit = _commit_of(found)
    network = found.version.name
    with tempfile.TemporaryDirectory(prefix="convzoo-") as folder:
        clone = Path(folder, "clone")
        _clone(commit, clone)
        _repro(clone, network)
        registered = found.download(Path(folder))
        return _compare(found, clone / "models" / network, registered)


def _commit_of(found: Version) -> str:
    tags = found.run.data.tags
    commit, changed = tags.get("mlflow.source.git.commit"), tags.get("convzoo.dirty", "unknown")
    kept = commits.snapshot_of(found.fingerprint)
    if kept:
        return kept
    if not commit:
        raise ConvzooError(
            f"{found.name}: its run names no commit, expected one; it was trained outside git, or brought into MLflow "
            "from files alone: train it in a git clone to be able to reproduce it"
        )
    if changed != "clean":
        raise ConvzooError(
            f"{found.name}: was trained from {commit[:7]} with changes ({changed}), and the snapshot "
            f"{commits.REFS}/{found.fingerprint[:16]}... is not in this clone; fetch it from the clone that trained: "
            f"git fetch OTHER-CLONE '+{commits.REFS}/*:{commits.REFS}/*'"
        )
    if commits.git("cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise ConvzooError(f"{found.name}: this clone does not have its commit {commit}; run: git fetch --all")
    return commit


def _clone(commit: str, clone: Path) -> None:
    root = project_root()
    if commits.git("clone", "--quiet", "--shared", "--no-checkout", str(root), str(clone)) is None:
        raise ConvzooError(f"{root}: git cannot clone it to {clone}; is it the top folder of a git repository?")
    if commits.git("-C", str(clone), "checkout", "--quiet", "--detach", commit) is None:
        raise ConvzooError(f"{clone}: git cannot check out {commit}; is there room on the disk?")


def _repro(clone: Path, network: str) -> None:
    environment = {
        key: value for key, value in os.environ.items() if key not in CLEARED and not key.startswith("DVC_EXP_")
    }
    environment |= {"CONVZOO_TRACKING": "off", "DVC_NO_ANALYTICS": "1"}
    # The stages call `python`: it must be the one that this command runs on.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    mirror = environment.get("CONVZOO_MIRROR", "")
    if mirror and "://" not in mirror:
        environment["CONVZOO_MIRROR"] = str(project_root() / mirror)
    command = [sys.executable, "-m", "dvc", "repro", "--force", f"evaluate@{network}"]
    if subprocess.run(command, cwd=clone, env=environment, check=False).returncode:
        raise ConvzooError(f"{network}: `dvc repro --force evaluate@{network}` of its commit failed, see above")


def _compare(found: Version, made: Path, registered: Path | None) -> Verdict:
    descent, identity = found.lineage, read_json(made / "fingerprint.json")
    pairs = [
        ("weights.safetensors", descent["weights_sha256"], sha256_of(made / "weights.safetensors")),
        ("model.onnx", descent["model_sha256"], sha256_of(made / "model.onnx")),
    ]
    lines = [
        f"{file}: {'identical' if before == now else 'DIFFERENT'}, sha256 {now}"
        + ("" if before == now else f", registered {before or 'unknown'}")
        for file, before, now in pairs
    ]
    metrics = _numbers(read_json(made / "metrics.json"))
    moved = {key: (value, metrics.get(key)) for key, value in descent["metrics"].items() if metrics.get(key) != value}
    lines.append("metrics: " + (f"{len(moved)} of {len(descent['metrics'])} DIFFERENT" if moved else "identical"))
    lines += [f"  {key}: registered {before!r}, now {now!r}" for key, (before, now) in sorted(moved.items())]
    identical = not moved and all(before == now for _, before, now in pairs)
    if not identical:
        lines += _tensors(registered, made / "model.onnx")
        told = _differences(descent["identity"], identity)
        lines += ["what was otherwise:", *(f"  {line}" for line in told or ["nothing that is recorded"])]
    return Verdict(identical, lines)


def _tensors(registered: Path | None, now: Path) -> list[str]:
    """Which of the two files' weights differ, the farthest apart first."""
    if registered is None:
        return ["tensors: the registered file is not in the store any more"]
    before, after = tensors_of(registered), tensors_of(now)
    lines = [f"  {name}: only in one of the files" for name in sorted(before.keys() ^ after.keys())]
    apart = []
    for name in before.keys() & after.keys():
        a, b = before[name], after[name]
        if a.shape != b.shape:
            lines.append(f"  {name}: shape {a.shape}, now {b.shape}")
        elif a.tobytes() != b.tobytes():
            gap = np.abs(a.astype(np.float64) - b.astype(np.float64)).max()
            apart.append((float(gap), float(np.abs(a.astype(np.float64)).max()), name))
    apart.sort(reverse=True)
    lines += [f"  {name}: up to {gap:.3g} apart, values up to {most:.3g}" for gap, most, name in apart[:SHOWN]]
    lines += [f"  and {len(apart) - SHOWN} more"] if len(apart) > SHOWN else []
    return [f"tensors of model.onnx: {len(apart)} of {len(before)} differ", *lines]


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if isinstance(value, int | float)}


def _differences(before: dict[str, Any], now: dict[str, Any], place: str = "") -> list[str]:
    """Where two identities differ, as `versions.torch: 2.7.0, now 2.8.0`; their fingerprints follow from that."""
    lines = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if old == new or (not place and key == "fingerprint"):
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            lines += _differences(old, new, f"{place}{key}.")
        else:
            lines.append(f"{place}{key}: {old!r}, now {new!r}")
    return lines
