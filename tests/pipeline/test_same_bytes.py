"""The same bytes again: by force, in another folder, from DVC's cache alone, and after DVC was killed."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT, commit, convzoo, dvc, environment, git, python, query, ran

from convzoo.checks.code import COUNTED, FAMILY_STAGES, LEFT_OUT, is_left_out, stage_code
from convzoo.files import read_json, sha256_of, write_json
from convzoo.settings.load import read_params

NETWORK = "mnist-classifier"
PARAMS = read_params(ROOT / "params.yaml").values
NETWORKS = list(PARAMS["networks"])


def test_a_stage_loads_only_modules_that_its_file_in_data_code_lists(rebuilt):
    for stage in ran(rebuilt.output):
        verb, _, name = stage.partition("@")
        loaded = set((rebuilt.steps / f"{stage} modules").read_text().split())
        code = stage_code(verb, PARAMS["networks"][name]["family"] if verb in FAMILY_STAGES else None)
        listed = {path.removeprefix("src/").removesuffix(".py").replace("/", ".") for path in code["modules"]}
        left_out = LEFT_OUT.keys() - set(COUNTED.get(verb, ()))
        surplus = {name for name in loaded - listed if not is_left_out(name, left_out)}
        assert verb == "check" or surplus == set(), f"{stage} loads what data/code does not list"


def steps_of(folder: Path) -> dict[str, int]:
    return {network: int((folder / f"train@{network}").read_text()) for network in NETWORKS}


def test_a_training_goes_over_its_images_once_an_epoch(rebuilt):
    steps = steps_of(rebuilt.steps)
    assert min(steps.values()) > 0
    settings = read_params(rebuilt.folder / "params.yaml").values["networks"][NETWORK]
    parts = ("prepared/mnist/train", "augmented/mnist")
    images = sum(len(np.load(rebuilt.folder / f"data/{part}/images.npy")) for part in parts)
    assert steps[NETWORK] == images // settings["batch_size"] * settings["epochs"]


@pytest.mark.prove
def test_a_forced_repro_in_another_folder_trains_again_and_leaves_the_lock_as_it_was(clone, rebuilt, tmp_path):
    before, steps = (clone / "dvc.lock").read_bytes(), tmp_path / "steps"
    steps.mkdir()
    shutil.copy(ROOT / "tests/helpers/steps.py", clone / "src/sitecustomize.py")
    commit(clone, "stages are watched")
    printed = dvc(clone, "repro", "--force", STEPS=str(steps))
    assert sorted(ran(printed)) == sorted(ran(rebuilt.output)), "every stage"
    assert (clone / "dvc.lock").read_bytes() == before
    assert query(clone, "SELECT count(*) FROM model_versions") == [(len(NETWORKS),)], "the same files, no new versions"
    assert steps_of(steps) == steps_of(rebuilt.steps)


def test_a_clone_with_dvcs_cache_alone_fills_mlflow_and_twice_changes_nothing(rebuilt, tmp_path):
    clone = tmp_path / "from the cache"
    git(tmp_path, "clone", "-q", str(rebuilt.folder), str(clone))
    shutil.copytree(rebuilt.folder / ".dvc/cache", clone / ".dvc/cache")
    dvc(clone, "checkout")
    changed = re.findall(r"^(\S+):$", convzoo(clone, "status"), re.M)
    # registration.json is not cached, and the report depends on all of models/.
    assert set(changed) <= {"check", "report", *(f"register@{network}" for network in NETWORKS)}
    printed = convzoo(clone, "sync")
    for network in NETWORKS:
        assert f"{network}: version 1 registered, alias candidate" in printed
    assert "orphan" not in printed
    filled = query(clone, "SELECT count(*) FROM tags WHERE key = 'convzoo.backfilled' AND value = 'true'")
    assert filled == [(len(NETWORKS),)], "the times and the load of the machine are not those of the training"
    tables = (
        "runs",
        "metrics",
        "params",
        "tags",
        "inputs",
        "logged_models",
        "model_versions",
        "registered_model_aliases",
    )
    before = {table: query(clone, f"SELECT * FROM {table}") for table in tables}
    assert "already registered as version 1" in convzoo(clone, "sync")
    assert {table: query(clone, f"SELECT * FROM {table}") for table in tables} == before


@pytest.mark.prove
def test_killed_with_dvc_a_training_goes_on_in_the_same_run_with_the_same_bytes(clone):
    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("    epochs: 2\n", "    epochs: 6\n", 1))
    assert read_params(params).values["networks"][NETWORK]["epochs"] == 6
    stage = f"train@{NETWORK}"
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", stage],
        cwd=clone,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    for line in process.stdout:
        if f"{NETWORK} epoch 2/" in line:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (clone / "models" / NETWORK / "weights.safetensors").exists()

    assert re.search(rf"resuming {NETWORK} at epoch [3-6]", dvc(clone, "repro", stage))
    weights = sha256_of(clone / "models" / NETWORK / "weights.safetensors")
    identity = read_json(clone / "models" / NETWORK / "fingerprint.json")["fingerprint"]
    runs = query(
        clone,
        "SELECT status FROM runs JOIN tags ON runs.run_uuid = tags.run_uuid "
        f"WHERE tags.key = 'convzoo.fingerprint' AND tags.value = '{identity}'",
    )
    assert runs == [("FINISHED",)]

    printed = dvc(clone, "repro", "--force", "--single-item", stage)
    assert "resuming" not in printed and f"{NETWORK} epoch 1/6" in printed
    assert sha256_of(clone / "models" / NETWORK / "weights.safetensors") == weights


@pytest.fixture
def trained_elsewhere(clone):
    """The clone with the record of one network's training changed, as if another torch had been there."""
    file = clone / "models" / NETWORK / "fingerprint.json"
    identity = read_json(file)
    identity["versions"]["torch"] = "1.13.1"
    write_json(file, identity)
    return clone


def test_another_torch_than_a_network_was_trained_with_is_said(trained_elsewhere):
    printed = python(trained_elsewhere, "pipeline/check.py")
    assert re.search(
        rf"warning: torch \S+ is installed, but {NETWORK} trained with 1\.13\.1; .* torch==1\.13\.1", printed
    )
    assert printed.count("warning") == 1


def test_another_version_makes_what_computes_with_it_run_again(clone):
    fake = clone / "src/torch-1.13.1.dist-info/METADATA"
    fake.parent.mkdir()
    fake.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.13.1\n")
    printed = convzoo(clone, "status")
    dataset = PARAMS["networks"][NETWORK]["data"]
    assert re.search(r"train-classifier,.* run again: torch \S+ -> 1\.13\.1", printed)
    for stage in (f"train@{NETWORK}", f"export@{NETWORK}"):
        assert re.search(rf"{stage}:\s+changed deps:\s+modified:\s+data/code/", printed), printed
    assert f"evaluate@{NETWORK}:" not in printed and f"prepare@{dataset}:" not in printed, "no torch there"
