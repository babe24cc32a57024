"""The lineage of a network: the stages that led to it as dvc.lock has them, the source of its data, its identity."""

from pathlib import Path
from typing import Any

from convzoo.errors import first_line
from convzoo.files import CONFLICT, DamagedFileError, sha256_of
from convzoo.lineage.dvc_lock import no_dvc_writes
from convzoo.shipping.network_files import NetworkFiles

LOCK = Path("dvc.lock")
RECORD = "descent/descent.json"  # the lineage among a run's artifacts; registered versions have it under this name
PACKAGE = "version of "
LAST_STAGES = ("train", "export", "evaluate")  # the stages before them follow from deps and outs


def lineage_of(files: NetworkFiles) -> dict[str, Any]:
    """Everything that led to models/NETWORK, without times: what `convzoo trace` shows of a version.

    Without stages if there is no dvc.lock; without source, splits and weights if their files are not there. Records
    from before `prepare` wrote digests lack `splits`.
    """
    weights = files.folder / "weights.safetensors"
    return {
        "network": files.network,
        "model_sha256": files.sha256,
        "weights_sha256": sha256_of(weights) if weights.is_file() else None,
        "metrics": files.numbers,
        "identity": files.identity,
        "source": files.source,
        "splits": files.splits,
        "stages": ancestors(locked_stages(), [f"{stage}@{files.network}" for stage in LAST_STAGES]),
    }


def identities(lineage: dict[str, Any]) -> dict[str, Any]:
    """What distinguishes two lineages besides params and data: files, and versions of packages."""
    versions = {f"{PACKAGE}{name}": version for name, version in lineage["identity"]["versions"].items()}
    return {"model sha256": lineage["model_sha256"], "weights sha256": lineage["weights_sha256"], **versions}


def locked_stages() -> dict[str, Any]:
    """The stages in dvc.lock; none if there is no such file. Raises DamagedFileError if it is not DVC's."""
    if not LOCK.is_file():
        return {}
    from ruamel.yaml import YAML  # here: looking up a version does not need it
    from ruamel.yaml.error import YAMLError

    with no_dvc_writes():
        content = LOCK.read_bytes()
    try:
        lock = YAML(typ="safe").load(content)
        return dict(lock.get("stages") or {})
    except (YAMLError, ValueError, AttributeError, TypeError) as error:
        conflict = "git left conflict markers in it" if CONFLICT.search(content) else first_line(error)
        raise DamagedFileError(
            f"{LOCK}: is not a lock file of DVC ({conflict}), expected one; restore it: git checkout {LOCK}, or remove "
            "it and run: convzoo repro"
        ) from None


def stage_params(lineage: dict[str, Any], stage: str) -> dict[str, Any]:
    """The values of params.yaml that dvc.lock has for a stage, by their dotted keys; empty if it has none."""
    return lineage["stages"].get(stage, {}).get("params", {}).get("params.yaml", {})


def training_params(lineage: dict[str, Any]) -> dict[str, Any]:
    """The values of params.yaml that dvc.lock has for the training and its data, nested as in params.yaml."""
    data, params = lineage["identity"]["data"]["name"], {}
    for stage in (f"train@{lineage['network']}", *(f"{name}@{data}" for name in ("download", "prepare", "augment"))):
        for dotted, value in stage_params(lineage, stage).items():
            *sections, last = dotted.split(".")
            block = params
            for section in sections:
                block = block.setdefault(section, {})
            block[last] = value
    return params


def ancestors(stages: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The `stages` in `names` and all whose outs they need, sorted by name."""
    stage_of = {out["path"]: name for name, stage in stages.items() for out in stage.get("outs", ())}
    visited: dict[str, Any] = {}
    pending = [name for name in names if name in stages]
    while pending:
        name = pending.pop()
        if name in visited:
            continue
        visited[name] = stages[name]
        for dep in stages[name].get("deps", ()):
            path = Path(dep["path"])
            for out, stage in stage_of.items():
                if path == Path(out) or path.is_relative_to(out) or Path(out).is_relative_to(path):
                    pending.append(stage)
    return dict(sorted(visited.items()))
