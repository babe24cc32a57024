"""Where a network comes from: the stages that led to it as dvc.lock has them, its data's sources, its identity."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from convzoo.files import sha256_of
from convzoo.shipping.network_files import Files

LOCK = Path("dvc.lock")
DESCENT = "descent/descent.json"  # among a run's artifacts
PACKAGE = "version of "
LAST = ("train", "export", "evaluate")  # whatever comes before these is found by deps and outs


def descent(files: Files) -> dict[str, Any]:
    """All that leads to models/NETWORK and holds no time: what `convzoo trace` shows of a version.

    No stages where there is no dvc.lock, no source and no weights where their files are not there.
    """
    weights = files.folder / "weights.safetensors"
    return {
        "network": files.network,
        "model_sha256": files.sha256,
        "weights_sha256": sha256_of(weights) if weights.is_file() else None,
        "metrics": files.measured,
        "identity": files.identity,
        "source": files.source,
        "stages": ancestors(locked_stages(), [f"{verb}@{files.network}" for verb in LAST]),
    }


def identities(told: dict[str, Any]) -> dict[str, Any]:
    """What tells two descents apart besides params and data: files, and versions of packages."""
    versions = {f"{PACKAGE}{name}": version for name, version in told["identity"]["versions"].items()}
    return {"model sha256": told["model_sha256"], "weights sha256": told["weights_sha256"], **versions}


def locked_stages() -> dict[str, Any]:
    """The stages of dvc.lock; none where there is no such file."""
    return YAML(typ="safe").load(LOCK).get("stages", {}) if LOCK.is_file() else {}


def locked_params(files: Files) -> dict[str, Any]:
    """What dvc.lock has of params.yaml for a training and its data, nested as there; empty where it has none."""
    stages, data = locked_stages(), files.identity["data"]["name"]
    found: dict[str, Any] = {}
    for name in (f"train@{files.network}", *(f"{verb}@{data}" for verb in ("download", "prepare", "augment"))):
        for dotted, value in stages.get(name, {}).get("params", {}).get("params.yaml", {}).items():
            *sections, last = dotted.split(".")
            block = found
            for section in sections:
                block = block.setdefault(section, {})
            block[last] = value
    return found


def ancestors(stages: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Those of `stages` called `names`, and all whose outs they need, in the order of their names."""
    made_by = {out["path"]: name for name, stage in stages.items() for out in stage.get("outs", ())}
    found: dict[str, Any] = {}
    wanted = [name for name in names if name in stages]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found[name] = stages[name]
        for dep in stages[name].get("deps", ()):
            path = Path(dep["path"])
            for out, maker in made_by.items():
                if path == Path(out) or path.is_relative_to(out) or Path(out).is_relative_to(path):
                    wanted.append(maker)
    return dict(sorted(found.items()))
