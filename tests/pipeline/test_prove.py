"""The long proofs, on the profile that is committed (make prove): forced, in a second clone, killed at random."""

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.project import ROOT, copy_project, environment, query

from convzoo.settings.load import read_params

KILLS = int(os.environ.get("CONVZOO_KILLS", "10"))
NETWORKS = list(read_params(ROOT / "params.yaml").values["networks"])

pytestmark = pytest.mark.prove


def repro(folder: Path, *options: str) -> subprocess.Popen:
    """`dvc repro`, in a group of its own so that a kill meets its stages too; what it prints goes to told.txt."""
    with (folder / "told.txt").open("a") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro", *options],
            cwd=folder,
            env=environment(),
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def finish(process: subprocess.Popen, folder: Path) -> None:
    process.wait()
    assert process.returncode == 0, (folder / "told.txt").read_text()[-5000:]


def lock_of(folder: Path) -> str:
    return hashlib.sha256((folder / "dvc.lock").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A clone rebuilt from nothing."""
    folder = copy_project(tmp_path_factory.mktemp("first") / "clone")
    began = time.monotonic()
    finish(repro(folder), folder)
    print(f"\nfirst clone: {time.monotonic() - began:.0f} s, dvc.lock {lock_of(folder)}")
    return folder


def test_by_force_everything_runs_again_and_the_lock_stays_as_it_was(first):
    before, began = lock_of(first), time.monotonic()
    finish(repro(first, "--force"), first)
    print(f"\nforced: {time.monotonic() - began:.0f} s, dvc.lock before {before}, after {lock_of(first)}")
    assert lock_of(first) == before
    assert query(first, "SELECT count(*) FROM model_versions") == [(len(NETWORKS),)]


def test_a_second_clone_killed_at_random_moments_ends_with_the_same_lock(first, tmp_path):
    folder = copy_project(tmp_path / "elsewhere, a second clone")
    chance, killed, began = random.Random(KILLS), 0, time.monotonic()
    while killed < KILLS:
        process = repro(folder)
        try:
            process.wait(chance.uniform(1, 80))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
        else:
            assert process.returncode == 0, (folder / "told.txt").read_text()[-5000:]
            break
    finish(repro(folder), folder)
    told = (folder / "told.txt").read_text()
    resumed = re.findall(r"resuming (\S+) at epoch", told)
    print(f"\nsecond clone: {killed} kills, resumed {len(resumed)} times: {' '.join(resumed)}")
    print(f"{time.monotonic() - began:.0f} s, dvc.lock {lock_of(folder)}, of the first clone {lock_of(first)}")
    assert killed and "Traceback" not in told
    assert lock_of(folder) == lock_of(first)
    assert query(folder, "SELECT count(*) FROM model_versions") == [(len(NETWORKS),)]
    assert query(folder, "SELECT DISTINCT status FROM runs") == [("FINISHED",)]
    assert not list((folder / ".checkpoints").iterdir())
