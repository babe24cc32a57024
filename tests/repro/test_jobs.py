"""Networks side by side, with a script in the place of DVC."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.killing import until
from helpers.project import ROOT, environment
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.commands import check, repro
from convzoo.repro import jobs
from convzoo.repro.durations import save_durations

PIPELINE = """
stages:
  check: {cmd: check, always_changed: true, outs: [code: {persist: true}]}
  prepare: {cmd: prepare, deps: [code/prepare.json], outs: [data]}
  train:
    foreach: ${networks}
    do: {cmd: "train ${key}", deps: [data], params: ["networks.${key}"], outs: ["models/${key}/weights"]}
  register:
    foreach: ${networks}
    do: {cmd: "register ${key}", deps: ["models/${key}/weights"], outs: ["models/${key}/registration"]}
  report: {cmd: report, deps: [models], outs: [report]}
"""
NETWORKS = ("long", "short", "new")
STAGES = ["check", "prepare", *(f"{verb}@{name}" for verb in ("train", "register") for name in NETWORKS), "report"]
COMPUTE = (
    "{portable: false, device: cpu, devices: 1, nodes: 1, strategy: auto, precision: fp32, threads: 1, "
    "deterministic: true}"
)
# In the place of DVC: prints what DVC prints about the stages that it is called with, or about all. A stage waits for a
# file STAGE.go if the test left STAGE.waits, and fails if there is STAGE.fails. Each call is a line in calls.txt.
DVC = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
arguments = sys.argv[1:]
targets = [word for word in arguments if not word.startswith("-") and word != "repro"]
with open("calls.txt", "a") as file:
    print(json.dumps([os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES"), arguments]), file=file)
def stop(number, frame):
    print("net: epoch 3 is kept\\nstopped\\nERROR: interrupted by the user", file=sys.stderr, flush=True)
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
for name in targets or STAGES:
    if Path(f"{name}.done").exists() and name != "check":
        print(f"Stage '{name}' didn't change, skipping", flush=True)
        continue
    print(f"Running stage '{name}':\\n> a command", flush=True)
    if name.startswith("train"):
        print(f"{name} epoch 1/2 train_loss 1.5 (0.1 s)", flush=True)
    if Path(f"{name}.child").exists():
        subprocess.Popen([sys.executable, "-c", CHILD])
        while not Path("child.begun").exists():
            time.sleep(0.01)
    if Path(f"{name}.waits").exists():
        Path(f"{name}.begun").touch()
        while not Path(f"{name}.go").exists():
            time.sleep(0.01)
    if Path(f"{name}.fails").exists():
        print(f"error: {name}: a line", file=sys.stderr)
        print(f"and another of {name}", file=sys.stderr)
        print(f"ERROR: failed to reproduce '{name}'", file=sys.stderr)
        sys.exit(255)
    Path(f"{name}.done").touch()
"""

# A stage that DVC started, and that outlives a DVC that is killed.
CHILD = """
import signal, sys
from pathlib import Path
def stop(number, frame):
    print("short: epoch 3 is kept", flush=True)
    Path("child.stopped").touch()
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
Path("child.begun").touch()
signal.pause()
"""
DRIVER = """
from convzoo.cli import app
from convzoo.commands import check, repro
from convzoo.repro import jobs
check.command = lambda: None
jobs.due_files = lambda params: {}
repro.visible_gpus = lambda compute: GPUS
app()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with three networks that never ran; durations are known of two."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(check, "command", lambda: None)
    monkeypatch.setattr(jobs, "due_files", lambda params: {})
    monkeypatch.setattr(repro, "visible_gpus", lambda compute: [])
    Path("src/convzoo").mkdir(parents=True)  # by which a project is found
    Path("dvc.yaml").write_text(PIPELINE)
    write_params()
    seconds = {"train@long": 90.0, "train@short": 5.0, "register@long": 2.0, "register@short": 2.0}
    save_durations("test", seconds)
    Path("fake/dvc").mkdir(parents=True)
    Path("fake/dvc/__init__.py").touch()
    Path("fake/dvc/__main__.py").write_text(DVC.replace("STAGES", repr(STAGES)).replace("CHILD", repr(CHILD)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    return tmp_path


def write_params(compute: str = COMPUTE) -> None:
    networks = "".join(f"  {name}: {{epochs: 2}}\n" for name in NETWORKS)
    Path("params.yaml").write_text(f"profile: test\ncompute: {compute}\nnetworks:\n{networks}")


def run(*arguments: str):
    return CliRunner().invoke(app, ["repro", *arguments])


def calls() -> list[tuple[str | None, list[str]]]:
    """The arguments of each process, with its CUDA_VISIBLE_DEVICES."""
    lines = [json.loads(line) for line in Path("calls.txt").read_text().splitlines()]
    return [(devices, arguments) for _, devices, arguments in lines]


def of_network(name: str) -> list[str]:
    return ["--wait-for-lock", "repro", "-s", f"train@{name}", f"register@{name}"]


def waits(*stages: str) -> None:
    for stage in stages:
        Path(f"{stage}.waits").touch()


@pytest.mark.parametrize("number", ["1", "2"])
def test_first_comes_what_the_networks_need_then_each_network_and_last_a_plain_repro(project, number):
    result = run("--jobs", number)
    assert result.exit_code == 0 and result.stderr == ""
    first, *networks, last = [arguments for _, arguments in calls()]
    assert first == ["repro", "prepare"] or first == ["repro", "check", "prepare"]
    assert sorted(networks) == sorted(of_network(name) for name in NETWORKS)
    assert number == "2" or networks == [of_network(name) for name in ("short", "new", "long")], "the shortest first"
    assert last == ["repro"]
    assert "9 stages in " in result.stdout and ": 9 ran, 0 restored" in result.stdout
    assert re.findall(r"^\[(\d)/9\] \S+: ", result.stdout, re.MULTILINE) == list("123456789"), "each stage once"


def test_as_many_networks_run_at_once_as_there_are_jobs_and_the_longest_comes_last(project):
    waits(*(f"train@{name}" for name in NETWORKS))
    process = start("--jobs", "2")
    until(lambda: len(list(Path.cwd().glob("*.begun"))) == 2)
    assert {file.stem for file in Path.cwd().glob("*.begun")} == {"train@short", "train@new"}
    Path("train@short.go").touch()
    until(lambda: Path("train@long.begun").exists())
    for name in NETWORKS:
        Path(f"train@{name}.go").touch()
    assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--jobs", "2", "train@long"], ["train@long"]),
        (["--jobs", "2", "--force"], ["--force"]),
        (["--jobs", "2", "-s", "train@long", "train@short"], ["-s", "train@long", "train@short"]),
    ],
)
def test_one_network_and_options_of_dvc_are_one_repro(project, arguments, expected):
    run(*arguments)
    assert [arguments for _, arguments in calls()] == [["repro", *expected]]


def test_with_nothing_to_do_there_is_one_repro(project):
    run("--jobs", "1")
    Path("calls.txt").unlink()
    locked = [f"  {name}:\n    cmd: {name.replace('@', ' ')}\n" for name in STAGES]
    params = [
        f"    params:\n      params.yaml:\n        networks.{name.partition('@')[2]}:\n          epochs: 2\n"
        if name.startswith("train@")
        else ""
        for name in STAGES
    ]
    Path("dvc.lock").write_text("schema: '2.0'\nstages:\n" + "".join(map("".join, zip(locked, params, strict=True))))
    for name in NETWORKS:
        for out in ("weights", "registration"):
            Path(f"models/{name}").mkdir(parents=True, exist_ok=True)
            Path(f"models/{name}/{out}").touch()
    for name in ("code", "data", "report"):
        Path(name).touch()
    assert run("--jobs", "2").exit_code == 0
    assert [arguments for _, arguments in calls()] == [["repro"]]


def test_only_networks_that_were_asked_for_run(project):
    run("--jobs", "3", "register@long", "train@short")
    _, *networks, last = [arguments for _, arguments in calls()]
    assert sorted(networks) == sorted([["--wait-for-lock", "repro", "-s", "train@short"], of_network("long")])
    assert last == ["repro", "register@long", "train@short"]


def test_a_failure_is_shown_whole_and_the_other_networks_go_on(project):
    Path("train@short.fails").touch()
    result = run("--jobs", "2")
    assert result.exit_code == 255
    (log,) = Path(".repro").glob("*.log")
    assert result.stderr.splitlines() == [
        "error: train@short: a line",
        "and another of train@short",
        "ERROR: failed to reproduce 'train@short'",
        f"failed: train@short; all output is in {log}; fix it and run the same command again to continue",
    ]
    assert all(Path(f"register@{name}.done").exists() for name in ("long", "new"))
    assert ["repro"] not in [arguments for _, arguments in calls()], "it would fail again"
    assert "short: error: train@short: a line" in log.read_text()


def test_a_failure_of_what_the_networks_need_starts_none_of_them(project):
    Path("prepare.fails").touch()
    result = run("--jobs", "2")
    assert result.exit_code == 255 and "failed: prepare; " in result.stderr and len(calls()) == 1


def test_a_killed_job_does_not_take_the_others_down_and_its_stage_is_stopped(project):
    waits("train@short", "train@long")
    Path("train@short.child").touch()
    process = start("--jobs", "3")
    until(lambda: all(Path(f"train@{name}.begun").exists() for name in ("short", "long")))
    os.kill(pid_of("train@short"), signal.SIGKILL)
    Path("train@long.go").touch()
    assert process.wait(60) == 137
    printed = Path("printed.txt").read_text()
    assert Path("child.stopped").exists()
    assert "train@short: killed by signal 9\n" in printed and "\nfailed: train@short; " in printed
    assert all(Path(f"register@{name}.done").exists() for name in ("long", "new"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_jobs_with_one_line(project, number):
    waits(*(f"train@{name}" for name in NETWORKS))
    process = start("--jobs", "2")
    until(lambda: len(list(Path.cwd().glob("*.begun"))) == 2)
    process.send_signal(number)
    assert process.wait(60) == 130
    (log,) = Path(".repro").glob("*.log")
    printed = Path("printed.txt").read_text()
    *kept, last = [line for line in printed.splitlines() if not line.startswith("[")]
    assert "failed" not in printed
    assert kept == ["net: epoch 3 is kept"] * 2
    assert last == f"stopped; run the same command again to continue; all output is in {log}"
    assert len(calls()) == 3, "none started after the signal"


def test_each_job_has_its_own_gpus(project):
    write_params(COMPUTE.replace("cpu", "cuda").replace("devices: 1", "devices: 2"))
    waits(*(f"train@{name}" for name in NETWORKS))
    process = start("--jobs", "2", gpus=("0", "1", "2", "3"))
    until(lambda: Path("calls.txt").exists() and len(calls()) >= 3)
    assert sorted(devices for devices, arguments in calls() if "-s" in arguments)[:2] == ["0,1", "2,3"]
    for name in NETWORKS:
        Path(f"train@{name}.go").touch()
    assert process.wait(60) == 0


def test_a_number_of_jobs_that_is_none_is_refused(project):
    for given in ("0", "-1", "two", "1.5"):
        result = run(f"--jobs={given}")
        assert result.exit_code == 1
        assert result.stderr == f"error: --jobs: got '{given}', expected a whole number of at least 1, or auto\n"


def start(*arguments: str, gpus: tuple[str, ...] = ()) -> subprocess.Popen:
    """`convzoo repro ARGUMENTS` in a process of its own, which prints into printed.txt."""
    Path("driver.py").write_text(DRIVER.replace("GPUS", repr(list(gpus))))
    with Path("printed.txt").open("w") as stream:
        return subprocess.Popen(
            [sys.executable, "driver.py", "repro", *arguments],
            env=environment(PYTHONPATH=f"{ROOT / 'src'}:{Path.cwd() / 'fake'}"),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )


def pid_of(stage: str) -> int:
    """The process that runs a network's stages."""
    for line in Path("calls.txt").read_text().splitlines():
        pid, _, arguments = json.loads(line)
        if stage in arguments:
            return pid
    raise AssertionError(f"{stage} did not start")
