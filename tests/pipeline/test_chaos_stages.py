"""Every stage but training, killed at a random moment: what has its final name is whole, and a new run ends as ever."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers.project import environment
from ruamel.yaml import YAML

from convzoo.files import sha256_of

KILLS = max(1, int(os.environ.get("CONVZOO_KILLS", "5")) // 5)  # of each stage; `make chaos` asks for more
OF_EACH_FAMILY = ("mnist-classifier", "cifar10-autoencoder", "mnist-dcgan", "flowers-transfer")
STAGES = [
    "check",
    "download@cifar10",
    "weights@efficientnet-lite0",
    "prepare@mnist",
    "prepare@flowers",
    "augment@anime",
    "validate",
    *(f"{verb}@{name}" for verb in ("export", "evaluate") for name in OF_EACH_FAMILY),
    "register@flowers-transfer",
    "report",
]


def outs(clone: Path, stage: str) -> list[Path]:
    locked = YAML(typ="safe").load(clone / "dvc.lock")["stages"][stage]
    return [clone / out["path"] for out in locked["outs"]]


def files(paths: list[Path], hidden: bool = False) -> dict[str, str]:
    """Those that stand under a final name, with their sha256; the pages of Great Expectations hold times."""
    found = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    final = [file for file in found if hidden or not any(part.startswith(".") for part in file.parts)]
    return {str(file): sha256_of(file) for file in final if "data_docs" not in file.parts}


def run(clone: Path, stage: str) -> subprocess.Popen:
    """The stage's own command, in a group of its own, so that a kill meets all of it."""
    command = YAML(typ="safe").load(clone / "dvc.lock")["stages"][stage]["cmd"]
    return subprocess.Popen(
        command,
        shell=True,
        cwd=clone,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_leaves_nothing_half_written_and_can_be_run_again(clone, rebuilt, stage):
    places = outs(clone, stage)
    expected, seconds = files(places), float((rebuilt.steps / f"{stage} seconds").read_text())
    assert expected
    chance = random.Random(stage)

    def clear() -> None:  # as dvc does before a stage
        for place in places:
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)

    for _ in range(KILLS):
        clear()
        process = run(clone, stage)
        time.sleep(seconds * chance.uniform(0.3, 1))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert files(places).items() <= expected.items()

    clear()
    printed = run(clone, stage).communicate(timeout=300)[0].decode()
    assert "Traceback" not in printed
    assert files(places, hidden=True) == expected, f"the same bytes, and no temporary file is left:\n{printed}"
