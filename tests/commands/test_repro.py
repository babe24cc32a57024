"""`convzoo repro` with a script in the place of DVC that prints what DVC prints."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.project import ROOT, environment
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.commands import check, repro
from convzoo.repro.plan import Plan

TWO_STAGES = """
import sys
print("Running stage 'check':\\n> python pipeline/check.py\\nsrc/a.py changed: train-dcgan")
print("Running stage 'train@net':\\n> python pipeline/train.py net")
print("net epoch 1/2 train_loss 1.5 (0.1 s)\\nnet: warning: epoch 1: the samples are alike")
print("a library speaks", file=sys.stderr)
print("Updating lock file 'dvc.lock'\\n\\nTo track the changes with git, run:\\n\\n\\tgit add dvc.lock")
print("Use `dvc push` to send your updates to remote storage.")
"""
FAILS = """
import sys, time
from pathlib import Path
(log,) = Path(".repro").glob("*.log")
for stream, line in (
    (sys.stdout, "Running stage 'check':"),
    (sys.stderr, "of check"),
    (sys.stdout, "Running stage 'train@net':"),
    (sys.stderr, "error: net: no such thing, expected another; do it"),
    (sys.stderr, "ERROR: failed to reproduce 'train@net'"),
):
    print(line, file=stream, flush=True)
    while "of check" in line and line not in log.read_text():  # no real stage takes as little time as this
        time.sleep(0.01)
sys.exit(255)
"""
WAITS = """
import os, signal, subprocess, sys
def stop(number, frame):
    print("net: epoch 3 is kept\\nstopped\\nERROR: interrupted by the user", file=sys.stderr)
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
print("Running stage 'train@net':", flush=True)
os.kill(os.getppid(), signal.Signals[sys.argv[1]])
signal.pause()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project without networks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check, "command", lambda: None)
    Path("src/convzoo").mkdir(parents=True)  # by which a project is found
    compute = (
        "{portable: false, device: cpu, devices: 1, nodes: 1, strategy: auto, precision: fp32, threads: 1, "
        "deterministic: true}"
    )
    Path("params.yaml").write_text(f"profile: test\ncompute: {compute}\ndata: {{}}\nweights: {{}}\nnetworks: {{}}\n")
    Path("dvc.yaml").write_text("stages: {check: {cmd: x}, train: {foreach: [net], do: {cmd: x}}}\n")
    return tmp_path


@pytest.fixture
def run(project, monkeypatch):
    """Runs `convzoo repro ARGUMENTS` with `python -c SCRIPT ARGUMENTS` in the place of DVC."""

    def run(script: str, *arguments: str):
        monkeypatch.setattr(repro, "dvc", lambda arguments: [sys.executable, "-c", script, *arguments])
        return CliRunner().invoke(app, ["repro", *arguments])

    return run


def log() -> str:
    (file,) = Path(".repro").glob("*.log")
    return file.read_text(encoding="utf-8")


def test_what_a_stage_changed_and_warned_of_is_shown_and_the_rest_is_in_the_log(run):
    result = run(TWO_STAGES)
    assert result.exit_code == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert "src/a.py changed: train-dcgan" in lines and "net: warning: epoch 1: the samples are alike" in lines
    assert "[2/2] train@net: " in result.stdout and "2 ran, 0 restored" in result.stdout
    for hidden in ("dvc push", "git add", "epoch 1/2", "a library speaks", "pipeline/"):
        assert hidden not in result.stdout and hidden in log()


def test_a_failure_shows_its_errors_unchanged_and_where_the_rest_is(run):
    result = run(FAILS)
    assert result.exit_code == 255
    *errors, last = result.stderr.splitlines()
    assert errors == ["error: net: no such thing, expected another; do it", "ERROR: failed to reproduce 'train@net'"]
    assert last == (
        f"failed: train@net; all output is in {next(Path('.repro').glob('*.log'))}; fix it and run the same command "
        "again to continue"
    )
    assert "of check" in log() and "required to promote" not in result.stdout


def test_a_failure_of_dvc_itself_comes_without_advice_to_run_it_again(run):
    result = run("import sys; print('ERROR: dvc.lock is broken', file=sys.stderr); sys.exit(255)")
    assert (
        result.stderr == f"ERROR: dvc.lock is broken\nfailed; all output is in {next(Path('.repro').glob('*.log'))}\n"
    )


def test_a_stage_that_does_not_exist_is_refused_before_dvc_starts(run):
    result = run("raise SystemExit(7)", "train@nett")
    assert result.exit_code == 1 and "did you mean 'train@net'? " in result.stderr and not Path(".repro").exists()


def test_a_warning_of_dvc_is_shown(run):
    result = run("import sys; print('WARNING: no cache', file=sys.stderr); print(\"Running stage 'check':\")")
    assert (result.exit_code, result.stderr) == (0, "WARNING: no cache\n") and "1 ran" in result.stdout


def test_the_results_of_the_other_stages_are_shown_after_a_failure_that_did_not_end_the_run(run):
    result = run(FAILS, "--keep-going")
    assert result.exit_code == 255 and "1 ran, 0 restored from DVC's cache, 0 unchanged" in result.stdout


def test_arguments_are_those_of_dvc(run):
    script = "import sys; print(\"Running stage 'check':\"); print('warning: ' + ' '.join(sys.argv[1:]))"
    assert "warning: train@net -f --keep-going" in run(script, "train@net", "-f", "--keep-going").stdout


def test_the_training_to_continue_from_is_named_to_the_stages(run, monkeypatch):
    monkeypatch.setenv("CONVZOO_CONTINUE_FROM", "")
    script = "import os; print(\"Running stage 'check':\"); print('warning: ' + os.environ['CONVZOO_CONTINUE_FROM'])"
    assert "warning: 4f9d2c81" in run(script, "--continue-from", "4f9d2c81").stdout


@pytest.mark.parametrize("option", ["--dry", "-i"])
def test_what_dvc_only_prints_or_asks_is_left_to_it(run, capfd, option):
    assert run("print('as DVC prints it'); import sys; sys.exit(3)", option).exit_code == 3
    assert capfd.readouterr().out == "as DVC prints it\n" and not Path(".repro").exists()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_reaches_the_stages_once_and_one_line_says_that_they_stopped(run, name, monkeypatch):
    monkeypatch.setattr(Plan, "check_targets", lambda *_: None)
    result = run(WAITS, name)
    assert result.exit_code == 130
    (file,) = Path(".repro").glob("*.log")
    assert result.stderr.splitlines() == [
        "net: epoch 3 is kept",
        f"stopped; run the same command again to continue; all output is in {file}",
    ]
    assert "ERROR: interrupted by the user" in log()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_exit_code_of_a_killed_process_is_that_of_a_shell(run):
    assert run("import os; os.kill(os.getpid(), 9)").exit_code == 137


def test_durations_are_kept_of_stages_that_ended_and_not_of_the_one_that_failed(run):
    run(FAILS)
    assert set(repro.read_durations("test")) == {"check"}


def test_the_last_logs_are_kept(run):
    Path(".repro").mkdir()
    for number in range(12):
        Path(f".repro/20200101-0000{number:02}.log").touch()
    run(TWO_STAGES)
    names = sorted(file.name for file in Path(".repro").glob("*.log"))
    assert len(names) == repro.LOGS and names[0] == "20200101-000003.log"


def test_outside_a_project_it_says_where_to_run_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["repro"])
    assert result.exit_code == 1
    assert result.stderr.endswith("run this from the project's folder\n") and not list(tmp_path.iterdir())


def test_git_and_dvc_ignore_what_a_run_keeps():
    done = subprocess.run(
        ["git", "check-ignore", ".repro/durations.json"], cwd=ROOT, env=environment(), capture_output=True
    )
    assert done.returncode == 0
    assert ".repro" in (ROOT / ".dvcignore").read_text().splitlines()
