"""The benchmark of images in shards runs all its stages, and measures what it says."""

import json
import mmap
import os
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT

from benchmarks.shards import DATASET, NETWORK, anonymous_bytes, draw, measured, small_params
from convzoo.settings.compute import compute_settings
from convzoo.settings.data import data_settings
from convzoo.settings.networks import network_settings


def test_a_stage_runs_under_the_limit_and_is_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    draw(tmp_path / "data/raw" / DATASET, 2000, 32)
    row = measured(tmp_path, "prepare", False, 32)
    counts = json.loads((tmp_path / "data/prepared" / DATASET / "meta.json").read_text())["counts"]
    assert counts["read"] == counts["train"] + counts["val"] + counts["test"] == 2000, "all images differ"
    assert (tmp_path / "data/prepared" / DATASET / "train/index.json").is_file()
    assert 0 < row["anonymous"] < row["resident"] < 2e9 and row["cpu"] > 0


@pytest.mark.parametrize("side", [32, 224])
def test_the_settings_of_all_stages_are_valid(side):
    params = small_params("shards", side)
    assert data_settings(params, DATASET).prepare.storage == "shards"
    assert network_settings(params, "networks", NETWORK).batch_size >= 32 and compute_settings(params).threads == 1


def test_anonymous_memory_is_what_a_process_wrote_and_not_the_files_it_maps():
    before = anonymous_bytes(os.getpid())
    # Not from the heap, which may hold memory that earlier tests freed.
    held = np.frombuffer(mmap.mmap(-1, 50_000_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)
    held[:] = 1
    assert 45_000_000 < anonymous_bytes(os.getpid()) - before < 60_000_000 and held[0] == 1
    assert anonymous_bytes(2**22 + 1) == 0, "no such process"
    assert Path("/proc/self/status").is_file()
