"""The clone in which a version is rebuilt: what it leaves out, and where the user's own files come from."""

import hashlib
import json
from pathlib import Path

import pytest
from helpers.project import ROOT
from ruamel.yaml import YAML

from convzoo.lineage.clones import prepare_clone
from convzoo.settings.load import read_params
from convzoo.settings.whole import check_all

PARAMS = """\
sources:
  photos: {kind: folder, path: ../photos, layout: "{class}/*"}
  others: {kind: synthetic}
weights: {none: {kind: none}}
data:
  pets: {source: photos}
  other: {source: others}
networks:
  cats: {data: pets, weights: none}
  other: {data: other, weights: none}
"""
PIPELINE = """\
stages:
  download:
    foreach: ${data}
    do:
      cmd: python pipeline/download.py ${key}
"""


def write(folder: Path, params: str) -> Path:
    """A folder with the two files that a rebuild changes."""
    folder.mkdir()
    (folder / "params.yaml").write_text(params)
    (folder / "dvc.yaml").write_text(PIPELINE)
    return folder


@pytest.mark.parametrize("network", ["mnist-dcgan", "flowers-transfer"])
def test_the_params_of_a_rebuild_are_valid_and_hold_one_network(network, tmp_path):
    clone = write(tmp_path / "clone", (ROOT / "params.yaml").read_text())
    whole = read_params(ROOT / "params.yaml").values
    assert prepare_clone(clone, network, {}) == []
    params = read_params(clone / "params.yaml")
    check_all(params)
    settings = whole["networks"][network]
    for section, name in {"networks": network, "data": settings["data"], "weights": settings["weights"]}.items():
        assert params.values[section] == {name: whole[section][name]}
    assert YAML(typ="safe").load(clone / "dvc.yaml") == YAML(typ="safe").load(PIPELINE)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project whose DVC cache has the folder data/raw/pets; the md5 in its lock file."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    monkeypatch.chdir(root)
    return root


def cached(project: Path, content: bytes, suffix: str = "") -> str:
    """Put a file into DVC's cache; its md5."""
    md5 = hashlib.md5(content).hexdigest()
    file = project / ".dvc/cache/files/md5" / md5[:2] / f"{md5[2:]}{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return f"{md5}{suffix}"


@pytest.fixture
def stages(project) -> dict:
    """The part of dvc.lock that led to a version."""
    entry = {"md5": cached(project, b"packed pictures"), "relpath": "images/0.bin"}
    md5 = cached(project, json.dumps([entry]).encode(), ".dir")
    return {"download@pets": {"outs": [{"path": "data/raw/pets", "md5": md5}]}}


def test_pictures_of_a_folder_are_those_of_the_training(project, stages, tmp_path):
    clone = write(tmp_path / "clone", PARAMS)
    (line,) = prepare_clone(clone, "cats", stages)
    assert line.startswith("data/raw/pets: restored from DVC's cache as registered (md5 ")
    assert (clone / "data/raw/pets/images/0.bin").read_bytes() == b"packed pictures"
    pipeline, params = (YAML(typ="safe").load(clone / name) for name in ("dvc.yaml", "params.yaml"))
    assert pipeline["stages"]["download"]["do"]["frozen"] is True
    assert [*params["data"]] == ["pets"] and [*params["networks"]] == ["cats"]


@pytest.mark.parametrize("damage", ["missing", "changed", "never locked"])
def test_pictures_that_the_cache_lost_are_read_from_the_folder_again(damage, project, stages, tmp_path):
    file = next(file for file in (project / ".dvc/cache").rglob("*") if file.is_file() and file.suffix != ".dir")
    file.unlink() if damage == "missing" else file.write_bytes(b"else")
    clone = write(tmp_path / "clone", PARAMS)
    (line,) = prepare_clone(clone, "cats", {} if damage == "never locked" else stages)
    assert "DVC's cache does not have what the version was trained on" in line
    assert read_params(clone / "params.yaml").values["sources"]["photos"]["path"] == f"{project}/../photos"
    assert YAML(typ="safe").load(clone / "dvc.yaml") == YAML(typ="safe").load(PIPELINE)
    assert not (clone / "data/raw/pets").exists()
