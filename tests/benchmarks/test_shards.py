"""The benchmark of images in shards runs all its stages, and measures what it says."""

import json
import os
from pathlib import Path

import numpy as np
from helpers.project import ROOT

from benchmarks.shards import DATASET, STAGES, anonymous_bytes, draw, measured


def test_every_stage_runs_under_the_limit_and_is_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    draw(tmp_path / "data/raw" / DATASET, 2000, 32)
    rows = {stage: measured(tmp_path, stage, False, 32) for stage in STAGES}
    counts = json.loads((tmp_path / "data/prepared" / DATASET / "meta.json").read_text())["counts"]
    assert counts["read"] == counts["train"] + counts["val"] + counts["test"] == 2000, "all images differ"
    assert (tmp_path / "models/mnist-classifier/weights.safetensors").is_file()
    for row in rows.values():
        assert 0 < row["anonymous"] < row["resident"] and row["cpu"] > 0


def test_anonymous_memory_is_what_a_process_wrote_and_not_the_files_it_maps():
    before = anonymous_bytes(os.getpid())
    held = np.ones(50_000_000, np.uint8)
    assert 45_000_000 < anonymous_bytes(os.getpid()) - before < 60_000_000 and held[0] == 1
    assert anonymous_bytes(2**22 + 1) == 0, "no such process"
    assert Path("/proc/self/status").is_file()
