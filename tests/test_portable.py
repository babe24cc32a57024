"""The environment with which processors compute the same bits, and how a process gets it."""

import json
import os
import subprocess
import sys

import pytest
from helpers.project import ROOT

from convzoo import portable
from convzoo.portable import LEVERS, has_levers, missing_features

RESTARTED = """
import json, os, sys
from convzoo.portable import LEVERS, restart_with_levers
print("started", flush=True)
restart_with_levers()
print(json.dumps([sys.argv[1:], {name: os.environ.get(name) for name in LEVERS}, os.environ["KEPT"], os.getpid()]))
"""


def run(code: str, *arguments: str, **more: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name not in LEVERS} | more
    environment["PYTHONPATH"] = str(ROOT / "src")
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()


def test_a_process_without_the_variables_starts_again_with_them_and_its_arguments():
    *starts, result = run(RESTARTED, "one two", "--three", KEPT="kept", OMP_NUM_THREADS="7")
    assert starts == ["started", "started"]
    assert json.loads(result)[:3] == [["one two", "--three"], LEVERS, "kept"]


def test_a_process_that_has_them_goes_on():
    *starts, result = run(RESTARTED, KEPT="", **LEVERS)
    assert starts == ["started"] and json.loads(result)[1] == LEVERS


def test_each_of_the_variables_is_needed():
    assert has_levers(LEVERS | {"MORE": "1"})
    for name in LEVERS:
        assert not has_levers(LEVERS | {name: "other"})
        assert not has_levers({other: value for other, value in LEVERS.items() if other != name})


@pytest.mark.parametrize(
    ("flags", "problem"),
    [("sse2 avx2 fma avx512f", ""), ("sse2 fma", "this processor lacks avx2"), ("sse2", "lacks avx2 and fma")],
)
def test_a_processor_without_the_instructions_is_named(tmp_path, monkeypatch, flags, problem):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: A processor\nflags\t\t: {flags}\n")
    monkeypatch.setattr(portable, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(portable.platform, "machine", lambda: "x86_64")
    assert problem in missing_features() and bool(problem) == bool(missing_features())
    assert portable.processor() == "A processor"


def test_another_architecture_is_named(monkeypatch):
    monkeypatch.setattr(portable.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert missing_features() == "this machine is darwin on arm64, not Linux on x86-64"


def test_the_processor_has_a_name():
    assert portable.processor().strip()
