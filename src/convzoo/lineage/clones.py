"""A temporary clone in which the stages that lead to one version can run again, on the data that it was trained on."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from convzoo.errors import ConvzooError
from convzoo.files import new_folder, project_root
from convzoo.lineage import commits

EDITED = ("params.yaml", "dvc.yaml")
NETWORK_SECTIONS = ("networks", "export", "evaluation", "promotion", "search")
# The stages that read files of the user's: the section of params.yaml of their blocks, and the kind that does.
OWN_FILES = {"download": ("sources", "folder"), "weights": ("weights", "file")}


def make_clone(commit: str, folder: Path) -> None:
    """Clone the project, which shares its objects, and check out `commit`. Raises ConvzooError if git cannot."""
    root = project_root()
    if commits.git("clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder)) is None:
        raise ConvzooError(f"{root}: git cannot clone it to {folder}; is it the top folder of a git repository?")
    if commits.git("-C", str(folder), "checkout", "--quiet", "--detach", commit) is None:
        raise ConvzooError(f"{folder}: git cannot check out {commit}; is the disk full?")


def prepare_clone(folder: Path, network: str, stages: Mapping[str, Any]) -> list[str]:
    """Make a clone rebuild `network` alone, and from the user's own files as they were; a line about each of those.

    Other networks and data sets leave its params.yaml: `validate` would need all of them. What a stage packed from a
    folder of pictures is restored from DVC's cache, by the md5 in `stages`, the part of dvc.lock that led to the
    version; if the cache lacks it, the stage reads the folder again.
    """
    yaml = YAML(typ="safe")
    params, pipeline = (yaml.load(folder / name) for name in EDITED)
    names = _keep_only(params, network)
    lines = []
    for stage, name in names.items():
        section, kind = OWN_FILES[stage]
        block = params[section][params["data"][name]["source"] if section == "sources" else name]
        if block["kind"] != kind:
            continue
        out = next(iter(stages.get(f"{stage}@{name}", {}).get("outs", ())), None)
        if out and _restore(out["md5"], folder / out["path"]):
            pipeline["stages"][stage]["do"]["frozen"] = True  # its output stays as it is, even with --force
            lines.append(f"{out['path']}: restored from DVC's cache as registered (md5 {out['md5']})")
        else:
            if not block["path"].startswith("~"):
                block["path"] = str(project_root() / block["path"])
            lines.append(
                f"data of {stage}@{name}: DVC's cache does not have what the version was trained on, so "
                f"{block['path']} was read again; files that changed since make the version differ"
            )
    for name, values in zip(EDITED, (params, pipeline), strict=True):
        yaml.dump(values, folder / name)
    # For git they are unchanged, so that the training keeps no snapshot of them.
    commits.git("-C", str(folder), "update-index", "--assume-unchanged", *EDITED)
    return lines


def _keep_only(params: dict[str, Any], network: str) -> dict[str, str]:
    """Remove the blocks that other networks need; the name of this network's block for each stage in OWN_FILES."""
    settings = params["networks"][network]
    for section in NETWORK_SECTIONS:
        _remove_others(params.get(section), network)
    _remove_others(params["data"], settings["data"])
    _remove_others(params["weights"], settings["weights"])
    return {"download": settings["data"], "weights": settings["weights"]}


def _remove_others(blocks: dict[str, Any] | None, name: str) -> None:
    for other in [key for key in blocks or () if key != name]:
        del blocks[other]


def _restore(md5: str, target: Path) -> bool:
    """Copy a folder out of DVC's cache; False if the cache lacks a part of it."""
    from dvc.exceptions import DvcException  # here: importing DVC takes a while
    from dvc.repo import Repo

    try:
        with Repo(str(project_root())) as repo, new_folder(target) as temporary:
            path_of = repo.cache.local.oid_to_path
            for entry in json.loads(_read(path_of(md5), md5)):
                file = temporary / entry["relpath"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(_read(path_of(entry["md5"]), entry["md5"]))
    except (DvcException, OSError, ValueError):  # a file in the cache is missing or damaged
        return False
    return True


def _read(file: str | Path, md5: str) -> bytes:
    """The bytes of a file. Raises ValueError if they are not those that its name in the cache stands for."""
    content = Path(file).read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5.removesuffix(".dir"):
        raise ValueError(f"{file}: is damaged")
    return content
