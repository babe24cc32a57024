"""Check the installation and the project.

Says how to fix what is wrong, but changes and downloads nothing. The exit code is 1 if there is a problem; a warning
leaves it at 0.
"""

import itertools
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import typer

from convzoo.checks.installation import (
    OK,
    PROBLEM,
    WARNING,
    Finding,
    check_disk,
    check_packages,
    check_ports,
    check_python,
    device_check,
    installed_version,
)
from convzoo.checks.versions import version_warnings
from convzoo.commands.shared import Json, print_result
from convzoo.errors import explained, without_account
from convzoo.lineage.commits import check_repository
from convzoo.lineage.record import locked_stages
from convzoo.project import find_project, in_project
from convzoo.settings.load import Params, read_params
from convzoo.settings.whole import check_all
from convzoo.text import first_names, in_columns
from convzoo.tracking.addresses import SERVERS, problem_with, sqlite_path

EXAMPLES = ("convzoo doctor", "convzoo doctor --json")
CLONE = Path(__file__).resolve().parents[3]  # that the running code is from
SERVER_WAIT = 3  # seconds


def command(as_json: Json = False) -> None:
    """Print a line per finding."""
    findings = diagnose()
    print_result([finding._asdict() for finding in findings], as_text, as_json)
    if any(finding.status == PROBLEM for finding in findings):
        raise typer.Exit(1)


def diagnose() -> list[Finding]:
    """All findings, of the installation and, inside a project, of the project."""
    findings = [*check_python(), *check_packages()]
    if find_project() is None:
        remedy = "change to the folder of your clone, or clone the project with git"
        return [*findings, Finding(PROBLEM, "project", f"{Path.cwd()} is not in a convzoo project", remedy)]
    with in_project() as folder, device_check() as device:
        findings += _guarded("project", lambda: _project(folder))
        findings += check_disk(folder)
        findings += _guarded("DVC", _dvc)
        findings += _guarded("MLflow", _mlflow)
        findings += _mirror(folder)
        findings += check_ports()
        return [*findings, device()]


def as_text(findings: Sequence[dict[str, Any]]) -> str:
    """The findings as a table, remedies below what they fix, and a summary."""
    lines = []
    for line, finding in zip(
        in_columns([[finding["status"], finding["topic"], finding["text"]] for finding in findings]).splitlines(),
        findings,
        strict=True,
    ):
        lines += [line, f"{'':9}-> {finding['remedy']}"] if finding["remedy"] else [line]
    counts = [
        f"{count} {status}{'s' if count > 1 else ''}"
        for status in (PROBLEM, WARNING)
        if (count := sum(finding["status"] == status for finding in findings))
    ]
    return "\n".join([*lines, "", ", ".join(counts) if counts else "Everything is fine."])


def _guarded(topic: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """The findings of a check; an error that the user can fix is a problem, and the other checks go on."""
    findings = []
    try:
        for finding in check():
            findings.append(finding)
    except Exception as error:
        message = explained(error)
        if message is None:
            raise
        for line in without_account(str(message)).splitlines():
            problem, _, remedy = line.rpartition("; ")
            findings.append(Finding(PROBLEM, topic, problem or line, remedy if problem else ""))
    return findings


def _project(folder: Path) -> Iterator[Finding]:
    if not os.access(folder, os.W_OK):
        yield Finding(PROBLEM, "project", f"{folder} cannot be written to", "change its owner or mode")
    if folder != CLONE:
        text = f"this command runs the code of {CLONE}, not that of {folder}"
        yield Finding(WARNING, "project", text, "use the environment of this clone, or run: PYTHONPATH=src convzoo ...")
    check_repository()
    params = read_params()
    check_all(params)
    text = f"{folder}, params.yaml is valid (profile {params.values['profile']})"
    yield Finding(OK, "project", text)
    yield from _kaggle(params)
    yield from _shards(params)
    for warning in version_warnings():
        text, _, remedy = warning.removeprefix("warning: ").rstrip(")").partition(" (")
        yield Finding(WARNING, "versions", text, remedy)


def _shards(params: Params) -> Iterator[Finding]:
    data = params.values["data"]
    names = sorted(name for name in data if data[name]["prepare"]["storage"] == "shards")
    if names and installed_version("webdataset") is None:
        text = f"webdataset is not installed, which data.{names[0]}.prepare.storage: shards needs"
        yield Finding(PROBLEM, "packages", text, "run: pip install -e '.[stream]'")


def _kaggle(params: Params) -> Iterator[Finding]:
    sources = {params.values["data"][name]["source"] for name in params.values["data"]}
    names = sorted(name for name in sources if params.values["sources"][name]["kind"] == "kaggle")
    if names and installed_version("kagglehub") is None:
        text = f"kagglehub is not installed, which the source {first_names(names)} needs"
        yield Finding(PROBLEM, "packages", text, "run: pip install -e '.[kaggle]'")


def _lock_holders(lock: Path) -> list[int]:
    """The running processes in DVC's list of locked paths. Raises ValueError if it is damaged.

    Finished commands leave no file or empty blocks, and killed ones their entries, which DVC ignores too.
    """
    try:
        blocks = json.loads(lock.read_text(encoding="utf-8") or "{}")
        writers, readers = blocks.get("write", {}).values(), blocks.get("read", {}).values()
        pids = {int(entry["pid"]) for entry in [*writers, *itertools.chain.from_iterable(readers)]}
    except FileNotFoundError:
        return []
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"not a list of locked paths: {error}") from error
    return sorted(pid for pid in pids if psutil.pid_exists(pid))


def _dvc() -> Iterator[Finding]:
    if not Path(".dvc").is_dir():
        yield Finding(PROBLEM, "DVC", "there is no folder .dvc", "restore it: git checkout .dvc")
        return
    lock = Path(".dvc/tmp/rwlock")
    try:
        holders = first_names([str(pid) for pid in _lock_holders(lock)])
    except ValueError:
        yield Finding(WARNING, "DVC", f"{lock} is damaged", f"if no DVC command is running, remove {lock}")
    else:
        if holders:
            yield Finding(WARNING, "DVC", f"another DVC command is running (process {holders})", "wait for it")
    stages = locked_stages()
    networks = read_params().values["networks"]
    unbuilt = [name for name in networks if not Path("models", name, "model.onnx").is_file()]
    text = f"dvc.lock has {len(stages)} stages; {len(networks) - len(unbuilt)} of {len(networks)} networks are built"
    if unbuilt:
        yield Finding(WARNING, "DVC", text, "build them: convzoo repro (only one: convzoo repro register@NETWORK)")
    else:
        yield Finding(OK, "DVC", f"{text} (convzoo status shows which stages are out of date)")


def _mlflow() -> Iterator[Finding]:
    if os.environ.get("CONVZOO_TRACKING", "").lower() == "off":
        yield Finding(WARNING, "MLflow", "CONVZOO_TRACKING is off: nothing is logged or registered", "unset it")
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip() or "sqlite:///mlruns/mlflow.db"
    shown, file = without_account(uri), sqlite_path(uri)
    if problem := problem_with(uri):
        yield Finding(PROBLEM, "MLflow", f"{shown} {problem.partition('; ')[0]}", problem.partition("; ")[2])
    elif uri.startswith(tuple(f"{scheme}://" for scheme in SERVERS)):
        yield _server(uri, shown)
    elif file is None:
        yield Finding(OK, "MLflow", f"{shown} (not contacted)")
    elif not file.exists():
        yield Finding(OK, "MLflow", f"{file} does not exist yet; the first training creates it")
    else:
        yield _database(file)


def _server(uri: str, shown: str) -> Finding:
    import requests

    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=SERVER_WAIT)
        problem = "" if answer.ok else f"answers {answer.status_code} {answer.reason}"
    except requests.RequestException as error:
        problem = f"does not answer ({type(error).__name__})"
    if not problem:
        return Finding(OK, "MLflow", f"the server at {shown} answers")
    remedy = "start the server, correct MLFLOW_TRACKING_URI, or unset it to use mlruns/mlflow.db"
    return Finding(PROBLEM, "MLflow", f"{shown} {problem}", remedy)


def _database(file: Path) -> Finding:
    remedy = "restore it from a backup; or move it away and run: convzoo sync, which registers what is in models/"
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            [[runs]] = database.execute("SELECT count(*) FROM runs")
            [[versions]] = database.execute("SELECT count(*) FROM model_versions")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return Finding(WARNING, "MLflow", f"{file} is in use by another program", "wait for it, then check again")
        return Finding(PROBLEM, "MLflow", f"{file} cannot be read ({error})", remedy)
    except sqlite3.Error as error:
        return Finding(PROBLEM, "MLflow", f"{file} is not a database of MLflow ({error})", remedy)
    return Finding(OK, "MLflow", f"{file} has {runs} runs and {versions} model versions")


def _mirror(folder: Path) -> Iterator[Finding]:
    mirror = os.environ.get("CONVZOO_MIRROR", "").strip()
    if not mirror:
        yield Finding(OK, "mirror", "CONVZOO_MIRROR is not set; archives come from the addresses in params.yaml")
    elif mirror.startswith(("http://", "https://")):
        yield Finding(OK, "mirror", f"{without_account(mirror)} (not contacted)")
    elif os.path.isdir(folder / os.path.expanduser(mirror)):  # noqa: PTH111, PTH112 (Path raises for an unknown home)
        yield Finding(OK, "mirror", mirror)
    else:
        remedy = "set CONVZOO_MIRROR to a folder or an http(s) address, or unset it"
        yield Finding(PROBLEM, "mirror", f"CONVZOO_MIRROR: {mirror} is not a folder", remedy)
