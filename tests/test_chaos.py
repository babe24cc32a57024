"""Trainings of every family, killed at random moments: nothing is lost, nothing half-written stands under a final name."""

import importlib
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
from killing import FAMILIES, finish, made, start, until

KILLS = int(os.environ.get("CONVZOO_KILLS", "5"))  # of each family; `make chaos` asks for more


def project(family: str, folder: Path) -> Path:
    module, function = FAMILIES[family].project.split(".")
    folder.mkdir()
    return getattr(importlib.import_module(module), function)(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_killed_at_random_moments_a_training_ends_with_the_bytes_of_one_left_alone(family, tmp_path):
    quiet = project(family, tmp_path / "left alone")
    process = start(family, quiet)
    until((quiet / "told.txt").exists)
    begun = time.monotonic()
    finish(process, quiet)
    took = time.monotonic() - begun
    expected = made(quiet)
    assert "models" in next(iter(expected))

    chance = random.Random(f"{family} {KILLS}")
    folder = project(family, tmp_path / "killed")
    killed, resumed = 0, 0
    while killed < KILLS:
        (folder / "told.txt").unlink(missing_ok=True)
        kept = list((folder / ".checkpoints").rglob("last.safetensors"))
        process = start(family, folder)
        until((folder / "told.txt").exists)
        process.join(chance.uniform(0, took))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
        told = (folder / "told.txt").read_text()
        assert "Traceback" not in told
        resumed += bool(re.search("resuming .* at epoch", told))
        assert bool(kept) or "resuming" not in told
        found = made(folder)
        assert found.items() <= expected.items(), "what has its final name is whole"
        if process.exitcode == 0:  # it was faster than the kill: anew, so that there is something to kill
            assert found == expected
            for file in found:
                (folder / file).unlink()

    (folder / "told.txt").unlink()
    kept = list((folder / ".checkpoints").rglob("last.safetensors"))
    told = finish(start(family, folder), folder)
    assert bool(kept) == bool(re.search(f"resuming {FAMILIES[family].network} at epoch", told))
    assert made(folder) == expected
    assert not list((folder / ".checkpoints").iterdir())
    left = [file for file in (folder / "models").rglob(".*")]
    assert left == [], "nothing half-written stays behind a training that ended well"
    print(f"{family}: {killed} kills, {resumed} times resumed")
