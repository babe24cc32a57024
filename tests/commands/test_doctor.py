"""`convzoo doctor` in a project with one thing wrong at a time."""

import contextlib
import json
import os
import shutil
import socket
import sqlite3
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from helpers.project import ROOT, git
from typer.testing import CliRunner

from convzoo.checks import installation
from convzoo.checks.installation import OK, PROBLEM, WARNING, Finding
from convzoo.cli import app
from convzoo.commands import doctor
from convzoo.settings.load import read_params


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project in which nothing is wrong, and which is the current folder."""
    folder = tmp_path / "my project"
    folder.mkdir()
    for name in ("src", "pipeline"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "params.yaml", folder)
    git(folder, "init", "-q")
    (folder / ".dvc").mkdir()
    for network in read_params(ROOT / "params.yaml").values["networks"]:
        (folder / "models" / network).mkdir(parents=True)
        (folder / "models" / network / "model.onnx").touch()
    monkeypatch.chdir(folder)
    for name in ("CONVZOO_MIRROR", "CONVZOO_TRACKING", "DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "check_ports", lambda: ())
    monkeypatch.setattr(doctor, "device_check", lambda: contextlib.nullcontext(lambda: Finding(OK, "device", "cpu")))
    monkeypatch.setattr(doctor, "CLONE", folder)
    return folder


def diagnosed(expected: int) -> dict[str, list[dict]]:
    """The findings by status."""
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == expected, result.output
    findings: dict[str, list[dict]] = {OK: [], WARNING: [], PROBLEM: []}
    for finding in json.loads(result.output):
        findings[finding["status"]].append(finding)
    return findings


def test_a_project_in_order_has_no_problem_and_no_warning(project):
    findings = diagnosed(0)
    assert findings[WARNING] == findings[PROBLEM] == []
    assert {"Python", "packages", "project", "disk", "DVC", "MLflow", "mirror", "device"} == {
        finding["topic"] for finding in findings[OK]
    }
    assert CliRunner().invoke(app, ["doctor"]).output.endswith("\n\nEverything is fine.\n")
    assert not (project / "mlruns").exists() and not (project / "data").exists()


def broken_params(project: Path, _: pytest.MonkeyPatch) -> None:
    file = project / "params.yaml"
    file.write_text(file.read_text().replace("epochs: ", "epochs: ten # ", 1))


def not_a_database(project: Path, _: pytest.MonkeyPatch) -> None:
    (project / "mlruns").mkdir()
    (project / "mlruns/mlflow.db").write_text("no database" * 99)


def variable(name: str, value: str):
    return lambda _, monkeypatch: monkeypatch.setenv(name, value)


def without_package(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == "mlxtend":
            raise PackageNotFoundError(package)
        return "0.1" if package == "torch" else known(package)

    known = installation.version
    monkeypatch.setattr(installation, "version", version)


def kaggle(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project / "params.yaml"
    text = file.read_text()
    source = next(name for name, source in read_params(file).values["sources"].items() if source["kind"] == "kaggle")
    used = read_params(file).values["data"]["anime"]["source"]
    file.write_text(text.replace(f"source: {used}", f"source: {source}"))
    monkeypatch.setattr(doctor, "installed_version", lambda _: None)


def shards(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project / "params.yaml"
    file.write_text(file.read_text().replace("storage: arrays", "storage: shards", 1))
    monkeypatch.setattr(doctor, "installed_version", lambda _: None)


@pytest.mark.parametrize(
    ("damage", "topic", "text", "remedy"),
    [
        (broken_params, "project", "params.yaml:", ""),
        (lambda project, _: shutil.rmtree(project / ".git"), "project", "is not in a git repository", ""),
        (lambda project, _: shutil.rmtree(project / ".dvc"), "DVC", "no folder .dvc", "git checkout .dvc"),
        (lambda project, _: (project / "dvc.lock").write_text("a: ["), "DVC", "dvc.lock: is not a lock file", ""),
        (not_a_database, "MLflow", "is not a database of MLflow", "convzoo sync"),
        (variable("MLFLOW_TRACKING_URI", "localhost:5000"), "MLflow", "has no scheme", "set MLFLOW_TRACKING_URI=http"),
        (variable("MLFLOW_TRACKING_URI", "http://127.0.0.1:9"), "MLflow", "does not answer", "start the server"),
        (variable("CONVZOO_MIRROR", "no such folder"), "mirror", "is not a folder", "set CONVZOO_MIRROR to a folder"),
        (without_package, "packages", "not installed: mlxtend", "make setup"),
        (without_package, "packages", "wrong version: torch 0.1 (expected >=", "make setup"),
        (kaggle, "packages", "kagglehub is not installed, which the source", "pip install -e '.[kaggle]'"),
        (shards, "packages", "webdataset is not installed, which data.mnist.prepare", "pip install -e '.[stream]'"),
        (
            lambda _, monkeypatch: monkeypatch.setattr(
                shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 9)
            ),
            "disk",
            "0.0 GB free",
            "make room",
        ),
    ],
)
def test_a_problem_is_named_with_its_remedy_and_ends_with_exit_code_1(
    project, monkeypatch, damage, topic, text, remedy
):
    damage(project, monkeypatch)
    found = diagnosed(1)[PROBLEM]
    assert any(
        finding["topic"] == topic and text in finding["text"] and remedy in finding["remedy"] for finding in found
    ), found
    output = CliRunner().invoke(app, ["doctor"]).output
    assert output.splitlines()[-1].startswith(f"{len(found)} problem")


def unbuilt(project: Path, _: pytest.MonkeyPatch) -> None:
    shutil.rmtree(project / "models/mnist-dcgan")


def other_versions(project: Path, _: pytest.MonkeyPatch) -> None:
    (project / "models/mnist-dcgan/fingerprint.json").write_text('{"versions": {"numpy": "1.0"}}')


def locked(project: Path, _: pytest.MonkeyPatch) -> None:
    (project / ".dvc/tmp").mkdir()
    entry = f'{{"pid": {os.getpid()}, "cmd": "dvc repro"}}'
    (project / ".dvc/tmp/rwlock").write_text(
        f'{{"read": {{"params.yaml": [{entry}]}}, "write": {{"models": {entry}}}}}'
    )


def damaged_lock(project: Path, _: pytest.MonkeyPatch) -> None:
    (project / ".dvc/tmp").mkdir()
    (project / ".dvc/tmp/rwlock").write_text('{"read": {"params.yaml"')


@pytest.mark.parametrize(
    ("damage", "topic", "text", "remedy"),
    [
        (unbuilt, "DVC", "7 of 8 networks are built", "convzoo repro"),
        (locked, "DVC", "another DVC command is running (process {pid})", "wait for it"),
        (damaged_lock, "DVC", "rwlock is damaged", "remove .dvc/tmp/rwlock"),
        (other_versions, "versions", "mnist-dcgan trained with 1.0", "pip install numpy==1.0"),
        (variable("CONVZOO_TRACKING", "off"), "MLflow", "CONVZOO_TRACKING is off", "unset it"),
        (
            lambda _, monkeypatch: monkeypatch.setattr(doctor, "CLONE", ROOT),
            "project",
            "runs the code of",
            "PYTHONPATH",
        ),
    ],
)
def test_a_warning_leaves_the_exit_code_at_0(project, monkeypatch, damage, topic, text, remedy):
    damage(project, monkeypatch)
    [finding] = diagnosed(0)[WARNING]
    text = text.format(pid=os.getpid())  # not among the parameters: test processes must collect the same names
    assert finding["topic"] == topic and text in finding["text"] and remedy in finding["remedy"], finding


KILLED = '{"pid": 2147483647, "cmd": "dvc repro"}'  # no system has so many processes


@pytest.mark.parametrize(
    "left",
    [
        "",
        "{}",
        '{"write": {}}',
        '{"write": {}, "read": {}}',
        f'{{"write": {{"a": {KILLED}}}, "read": {{"b": [{KILLED}]}}}}',
    ],
)
def test_what_a_finished_or_killed_dvc_command_leaves_is_no_lock(project, left):
    (project / ".dvc/tmp").mkdir()
    (project / ".dvc/tmp/rwlock").write_text(left)
    assert diagnosed(0)[WARNING] == []


def test_a_database_is_counted(project):
    (project / "mlruns").mkdir()
    with contextlib.closing(sqlite3.connect(project / "mlruns/mlflow.db")) as database:
        database.executescript("CREATE TABLE runs(a); CREATE TABLE model_versions(a); INSERT INTO runs VALUES (1), (2)")
    texts = [finding["text"] for finding in diagnosed(0)[OK]]
    assert "mlruns/mlflow.db has 2 runs and 0 model versions" in texts


def test_outside_a_project_only_the_installation_is_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [finding] = diagnosed(1)[PROBLEM]
    assert finding["topic"] == "project" and finding["text"] == f"{tmp_path} is not in a convzoo project"


def test_a_port_in_use_comes_with_a_command_for_another(monkeypatch):
    with socket.socket() as server, socket.socket() as free:
        server.bind(("127.0.0.1", 0))
        server.listen()
        free.bind(("127.0.0.1", 0))
        ports = server.getsockname()[1], free.getsockname()[1]
        free.close()
        monkeypatch.setattr(installation, "PORTS", dict.fromkeys(ports, "convzoo ui --port 1"))
        used, unused = installation.check_ports()
    assert used.status == WARNING and "convzoo ui --port 1" in used.remedy and unused.status == OK


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        ('print(\'{"device": "cpu", "precision": "bf16", "threads": 3}\')', OK, "on cpu in bf16, 3 threads"),
        ('print(\'{"device": "cpu", "precision": "bf16", "threads": 1}\')', OK, "on cpu in bf16, 1 thread"),
        ("raise SystemExit('ImportError: libtorch.so is missing')", PROBLEM, "ImportError: libtorch.so is missing"),
        ("import os; os.kill(os.getpid(), 9)", PROBLEM, "exit code -9"),
    ],
)
def test_the_device_is_that_of_trainings_and_a_broken_torch_is_a_problem(monkeypatch, code, status, text):
    monkeypatch.setattr(installation, "DEVICE", code)
    with installation.device_check() as answer:
        finding = answer()
    assert finding.status == status and finding.text.endswith(text), finding
