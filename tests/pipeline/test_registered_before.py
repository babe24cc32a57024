"""A version registered before stages found their code by themselves: it traces, predicts, promotes and rebuilds."""

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from helpers.project import ROOT, convzoo, environment, git
from PIL import Image

NETWORK = "mnist-classifier"
BEFORE = f"{NETWORK}@v1"
FIXTURES = ROOT / "tests/fixtures"


@pytest.fixture
def old(clone) -> Path:
    """The rebuilt project with the tracking database of that time, in which it registers its own network as well."""
    shutil.rmtree(clone / "mlruns/artifacts")
    with tarfile.open(FIXTURES / "registered-before.tar.xz") as archive:
        options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.0 to 3.11.3 lack it
        archive.extractall(clone / "mlruns", **options)
    git(clone, "fetch", "-q", str(FIXTURES / "registered-before.bundle"), "before")
    return clone


def test_it_traces_predicts_is_compared_and_promotes(old):
    trace = json.loads(convzoo(old, "trace", BEFORE, "--json"))
    assert {f"train@{NETWORK}", "prepare@mnist", "versions", "settings"} <= trace["stages"].keys()
    assert trace["code"]["modules"]["convzoo/training/classifier.py"]
    Image.new("L", (28, 28)).save(old / "black.png")
    printed = convzoo(old, "predict", BEFORE, "black.png", "--json")
    [row], _ = json.JSONDecoder().raw_decode(printed[printed.index("[\n") :])
    assert 0 < row["probability"] <= 1

    assert f"{NETWORK}: version 2 registered, alias candidate moved here from version 1" in convzoo(
        old, "sync", NETWORK
    )
    assert "fast.widths" in convzoo(old, "compare", BEFORE, f"{NETWORK}@v2")
    convzoo(old, "promote", NETWORK, "--version", "1", "--force", "--reason", "it was there first")
    printed = convzoo(old, "promote", NETWORK, "--version", "2")
    for split in ("val", "test"):
        [line] = [line for line in printed.splitlines() if line.startswith(f"same {split} images")]
        assert line.endswith("yes"), "the images that the old version was measured on are known"
    assert f"{NETWORK}@v2" in printed or "version 2" in printed
    assert "version 1" in convzoo(old, "rollback", NETWORK)


@pytest.mark.prove
def test_it_is_rebuilt_from_its_commit(old):
    """Another processor than the one that trained it then may give other bits, which is the verdict's to say."""
    command = [sys.executable, "-m", "convzoo.cli", "reproduce", BEFORE]
    done = subprocess.run(command, cwd=old, env=environment(), capture_output=True, text=True, timeout=540)
    assert f"{NETWORK} epoch 2/2" in done.stdout and "weights.safetensors: " in done.stdout, done.stderr
    identical = "verdict: identical bytes" in done.stdout
    assert done.returncode == (0 if identical else 1)
    assert identical or "verdict: DIFFERENT" in done.stdout


def test_a_version_of_now_needs_no_dvc_cache_to_be_promoted(clone):
    """The digests of its images are registered with it; they used to be looked up in the cache."""
    shutil.rmtree(clone / ".dvc/cache")
    printed = convzoo(clone, "promote", NETWORK)
    [line] = [line for line in printed.splitlines() if line.startswith("same test images")]
    assert line.endswith("yes")
