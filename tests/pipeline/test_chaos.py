"""Trainings of every family, killed at random moments: nothing is lost, nothing half-written has a final name."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from helpers.killing import finish, made, start, until
from helpers.small import FAMILIES

KILLS = int(os.environ.get("CONVZOO_KILLS", "5"))  # of each family; `make chaos` asks for more


def told_in(folder: Path) -> str:
    file = folder / "told.txt"
    return file.read_text() if file.exists() else ""


def begun(family: str, folder: Path):
    """A training that has got as far as its data."""
    (folder / "told.txt").unlink(missing_ok=True)
    process = start(family, folder)
    until(lambda: "begins" in told_in(folder) or not process.is_alive())
    return process


@pytest.mark.parametrize("family", FAMILIES)
def test_killed_at_random_moments_a_training_ends_with_the_bytes_of_one_left_alone(family, tmp_path):
    quiet, folder = tmp_path / "left alone", tmp_path / "killed"
    quiet.mkdir(), folder.mkdir()
    process, began = begun(family, quiet), time.monotonic()
    finish(process, quiet)
    took, expected = time.monotonic() - began, made(quiet)
    assert any(file.endswith("weights.safetensors") for file in expected)

    chance = random.Random(f"{family} {KILLS}")
    killed = resumed = 0
    while killed < KILLS:
        kept = list((folder / ".checkpoints").rglob("last.safetensors"))
        process = begun(family, folder)
        process.join(chance.uniform(0, took))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
        assert "Traceback" not in told_in(folder)
        assert kept or "resuming" not in told_in(folder)
        resumed += "resuming" in told_in(folder)
        found = made(folder)
        assert found.items() <= expected.items(), "what has its final name is whole"
        if process.exitcode == 0:  # faster than the kill: anew, so that there is something to kill
            assert found == expected
            for file in found:
                (folder / file).unlink()

    kept = list((folder / ".checkpoints").rglob("last.safetensors"))
    told = finish(begun(family, folder), folder)
    assert bool(kept) == ("resuming" in told)
    assert made(folder) == expected
    assert not list((folder / ".checkpoints").iterdir())
    assert not list((folder / "models").rglob(".*")), "nothing half-written stays behind a training that ended well"
    print(f"{family}: {killed} kills, {resumed} times resumed before the last training")
