"""What a run ends with."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convzoo.files import sha256_of, write_json
from convzoo.repro.plan import Plan, Stage
from convzoo.repro.progress import Progress
from convzoo.repro.summary import summary

PARAMS = {
    "networks": {"good": {}, "poor": {}, "collapsed": {}},
    "promotion": {"good": {"floors": {"accuracy": 0.9}}, "poor": {"floors": {"psnr": 30}}},
}
NETWORKS = {
    "good": ("classifier", {"test_accuracy": 0.95}),
    "poor": ("autoencoder", {"test_psnr": 22.5}),
    "collapsed": ("dcgan", {"test_kid": 3.25, "test_precision": 0.0}),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Three networks, evaluated on drawn digits, and a committed dvc.lock."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    for network, (family, metrics) in NETWORKS.items():
        folder = Path("models", network)
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"a model")
        (folder / "history.csv").write_text("epoch,train_loss\n1,2.5\n")
        write_json(folder / "architecture.json", {"family": family})
        identity = {"fingerprint": "1", "data": {}, "params": {}, "code": {}, "versions": {}}
        write_json(folder / "fingerprint.json", identity)
        export = {"model_sha256": sha256_of(folder / "model.onnx"), "dataset": "digits", "input": {}, "output": {}}
        write_json(folder / "export.json", export)
        write_json(folder / "evaluation.json", metrics)
    write_json(Path("data/prepared/digits/meta.json"), {"source": {"kind": "synthetic"}})
    Path("dvc.lock").write_text("stages: {}\n")
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    analytics = false\n")
    for arguments in (
        ["init", "-q"],
        ["add", "dvc.lock", "models"],
        ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm1"],
    ):
        subprocess.run(["git", *arguments], check=True)
    return tmp_path


@pytest.fixture
def progress():
    """Of a run that trained one network and took another one from the cache."""
    times = [0.0]
    progress = Progress(Plan({}, {}, {}, []), {}, {}, lambda: times[-1])
    work = progress.begin()
    for seconds, line in (
        (0, "Running stage 'train@good':"),
        (70, "Running stage 'register@good':"),
        (70, "good: version 2 registered, alias candidate moved here from version 1"),
        (75, "Stage 'train@poor' is cached - skipping run, checking out outputs"),
        (80, "Running stage 'register@poor':"),
        (80, "poor: already registered as version 1, alias candidate"),
        (80, "warning: poor: not registered (the store is down); the pipeline continues"),
        (85, "Stage 'report' didn't change, skipping"),
    ):
        times.append(seconds)
        progress.read(line, work)
    return progress


def lines_of(progress: Progress, *lock_lines: str) -> list[str]:
    return "\n".join(summary(progress, PARAMS, list(lock_lines), [])).splitlines()


def section(lines: list[str], title: str) -> list[str]:
    """The lines below a title."""
    if title not in lines:
        return []
    below = lines[lines.index(title) + 1 :]
    return [line.strip() for line in below[: below.index("") if "" in below else None]]


def test_the_table_has_each_network_with_its_main_metric_against_its_limit(project, progress):
    lines = lines_of(progress)
    assert lines[0] == "5 stages in 1 min 25 s: 3 ran, 1 restored from DVC's cache, 1 unchanged"
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[2:6]]
    assert cells == [
        ["network", "data", "main metric", "target", "rating", "time"],
        ["good", "digits (drawn)", "accuracy 95.00 %", "at least 90.00 %", "good", "1 min 15 s"],
        ["poor", "digits (drawn)", "PSNR 22.50 dB", "at least 30.00 dB", "weak", "5 s"],
        ["collapsed", "digits (drawn)", "KID 3.25", "-", "FAILED", "-"],
    ]
    assert section(lines, "Failed trainings, by their measurements:") == [
        "collapsed: precision 0: none of its images is like a real one"
    ]


def test_only_what_is_new_in_mlflow_is_listed(project, progress):
    assert section(lines_of(progress), "New in MLflow:") == [
        "good: version 2 registered, alias candidate moved here from version 1"
    ]


def test_why_the_lock_changed_is_said(project, progress):
    assert section(lines_of(progress, "other settings: train@good"), "Changed in dvc.lock:") == [
        "other settings: train@good"
    ]
    assert "Changed in dvc.lock:" not in lines_of(progress)


def test_which_models_are_those_of_the_commit_stands_below_the_table(project, progress):
    lines = "\n".join(summary(progress, PARAMS, [], ["2 of 3 models are those", "  c: differs"])).splitlines()
    assert lines[lines.index("2 of 3 models are those") - 1] == "" and "  c: differs" in lines


def test_a_network_without_files_has_no_row_but_a_reason(project, progress):
    shutil.rmtree("models/poor")
    lines = lines_of(progress)
    assert not any(line.startswith("poor ") for line in lines)
    (reason,) = section(lines, "Without a result:")
    assert reason.startswith("models/poor/architecture.json: is missing")


def commands(progress: Progress) -> list[str]:
    return [line.partition("#")[0].strip() for line in section(lines_of(progress), "Next:")]


def test_the_next_commands_are_those_that_help_now(project, progress):
    assert commands(progress) == ["convzoo ui", "convzoo promote good", "convzoo predict good photo.png"]
    Path("dvc.lock").write_text("stages: {check: {}}\n")
    assert commands(progress) == ["git add dvc.lock && git commit -m 'Results'", "convzoo ui", "convzoo promote good"]
    Path("params.yaml").touch()
    Path("models/good/metrics.json").touch()
    assert commands(progress)[0] == "git add dvc.lock params.yaml models && git commit -m 'Results'"
    Path("promotions.jsonl").touch()
    assert commands(progress)[0] == "git add dvc.lock params.yaml models promotions.jsonl && git commit -m 'Results'"
    for file in ("params.yaml", "models/good/metrics.json", "promotions.jsonl"):
        Path(file).unlink()
    Path(".dvc/config.local").write_text("['remote \"store\"']\n    url = ../store\n")
    assert commands(progress) == ["git add dvc.lock && git commit -m 'Results'", "dvc push", "convzoo ui"]


def test_a_network_without_a_new_version_is_not_proposed_for_promotion(project, progress):
    progress.messages.clear()
    assert commands(progress) == ["convzoo ui", "convzoo predict good photo.png", "convzoo models"]


def test_no_network_that_failed_is_proposed_for_promotion(project, progress):
    shutil.rmtree("models/good")
    assert commands(progress) == ["convzoo ui", "convzoo models"]


def test_a_network_without_conditions_is_not_proposed_for_promotion(project, progress, monkeypatch):
    monkeypatch.setitem(PARAMS, "promotion", {})
    assert commands(progress) == ["convzoo ui", "convzoo predict good photo.png", "convzoo models"]


def test_after_a_run_without_the_stage_report_the_next_command_adds_the_network_to_it(project, progress):
    stages = {name: Stage("x", [], [], [], False) for name in ("register@good", "report")}
    progress.plan = Plan(stages, {}, {}, ["register@good"])
    assert commands(progress)[0] == "convzoo repro"
    progress.plan = Plan(stages, {}, {}, [])
    assert commands(progress)[0] == "convzoo ui"


def test_outside_an_active_environment_commands_have_their_path(project, progress, monkeypatch):
    monkeypatch.delenv("VIRTUAL_ENV")
    monkeypatch.setattr(sys, "executable", str(project / ".venv/bin/python"))
    assert commands(progress)[0] == "convzoo ui", "there is no such script"
    Path(".venv/bin").mkdir(parents=True)
    Path(".venv/bin/convzoo").touch()
    assert commands(progress)[0] == ".venv/bin/convzoo ui"
