"""Sweeps: what they try, how they judge it, and what they change."""

import contextlib
import difflib
import json
import re
import sqlite3
import sys
from pathlib import Path

import pytest
from helpers.project import ROOT, query
from helpers.sweeping import NETWORK, RANGE, trainings, write_project
from typer.testing import CliRunner

from convzoo import trials
from convzoo.cli import app
from convzoo.trials import study, sweep
from convzoo.trials.trainings import Steps


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project to sweep in, which is the current folder."""
    folder = write_project(tmp_path / "con zoo")
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    monkeypatch.setenv("TRAININGS", str(tmp_path / "trainings.txt"))
    monkeypatch.setattr(sweep, "stage_code", lambda stage, family: {"modules": {}})  # takes seconds
    monkeypatch.chdir(folder)
    return folder


def run(*arguments: str, expected: int = 0) -> str:
    """What `convzoo sweep` prints."""
    result = CliRunner().invoke(app, ["sweep", NETWORK, *arguments])
    assert result.exit_code == expected, result.output
    return result.output


def attempts() -> list:
    """All attempts in the project's studies, by number."""
    storage = f"sqlite:///{Path('.sweeps/studies.db').absolute()}"
    [name] = study.optuna.get_all_study_names(storage)
    return study.optuna.load_study(study_name=name, storage=storage).trials


def test_a_sweep_finds_the_best_values_and_writes_them_into_params(project, tmp_path):
    before = Path("params.yaml").read_text()
    printed = run("--trials", "4", "--jobs", "2")
    told = trainings(tmp_path / "trainings.txt")
    rates = [float(rate) for what, rate, _ in told if what == "finished"]
    assert len(rates) == len(set(rates)) == 4 and all(0.01 <= rate <= 0.9 for rate in rates)
    values = {trial.user_attrs["values"]["learning_rate"]: trial.value for trial in attempts()}
    assert values.keys() == set(rates)
    best = max(values, key=values.__getitem__)
    assert "4 of 4 trials: 4 completed, 0 pruned, 0 failed" in printed
    assert f"  networks.{NETWORK}.learning_rate: 0.2 -> {best}" in printed
    assert Path("params.yaml").read_text() == before, "a sweep changes nothing by itself"
    assert not list(Path(".sweeps").glob("*/*/")), "what the trials wrote is removed"

    assert "params.yaml now has these values" in run("--apply")
    changed = [
        line
        for line in difflib.unified_diff(before.splitlines(), Path("params.yaml").read_text().splitlines(), n=0)
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    assert changed == ["-    learning_rate: 0.2   # of sgd", f"+    learning_rate: {best}   # of sgd"]
    assert len(trainings(tmp_path / "trainings.txt")) == len(told), "and nothing was trained"


def test_a_second_run_adds_what_is_missing_and_other_settings_are_another_study(project, tmp_path):
    run("--trials", "2")
    assert "2 of 2 trials" in run("--trials", "2") and len(attempts()) == 2
    assert "3 of 3 trials" in run("--trials", "3") and len(attempts()) == 3
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("    weight_decay: 0.0005", "    weight_decay: 0.001", 1))
    run("--trials", "1")
    assert len(study.optuna.get_all_study_names(f"sqlite:///{Path('.sweeps/studies.db').absolute()}")) == 2


def test_the_value_of_a_trial_is_that_of_the_kept_epoch():
    rows = [
        {"epoch": 1, "phase": 1, "val_kid": 0.1},
        {"epoch": 2, "phase": 2, "val_kid": 0.4},
        {"epoch": 3, "phase": 2, "val_kid": None},
        {"epoch": 4, "phase": 2, "val_kid": 0.7},
    ]
    kept = {
        keep: sweep.kept_value(rows, "val_kid", {"keep": keep}, higher_is_better=False) for keep in ("best", "last")
    }
    assert kept == {"best": 0.4, "last": 0.7}
    assert sweep.kept_value(rows, "val_kid", {"keep": "best"}, higher_is_better=True) == 0.7
    assert sweep.kept_value(rows[:3], "val_kid", {"keep": "last"}, higher_is_better=True) is None


def test_a_training_worse_than_the_median_is_ended_after_a_judged_epoch(project, tmp_path, monkeypatch):
    monkeypatch.setattr(study.optuna.pruners, "MedianPruner", lambda: pruner())
    monkeypatch.setenv("EPOCH_SECONDS", "0.4")

    def pruner():
        return study.optuna.pruners.ThresholdPruner(lower=0.8)  # so the learning rate alone decides

    Path("params.yaml").write_text(Path("params.yaml").read_text().replace(RANGE, "{choices: [0.1, 0.001]}"))
    printed = run("--trials", "2")
    assert "learning_rate=0.001: pruned after epoch 1" in printed and "1 completed, 1 pruned" in printed
    finished = [rate for what, rate, _ in trainings(tmp_path / "trainings.txt") if what == "finished"]
    assert finished == ["0.1"]


def test_a_training_that_fails_is_named_and_has_an_outcome(project, tmp_path):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace(RANGE, "{choices: [0.1, 0.95]}"))
    printed = run("--trials", "2")
    assert "learning_rate=0.95: failed: mnist-classifier: the loss is not finite" in printed
    assert "2 of 2 trials: 1 completed, 0 pruned, 1 failed" in printed
    assert len(trainings(tmp_path / "trainings.txt")) == 3, "a second run has nothing to do"
    run("--trials", "2")
    assert len(trainings(tmp_path / "trainings.txt")) == 3


def test_several_failures_in_a_row_end_the_sweep(project, tmp_path):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("low: 0.01, high: 0.9", "low: 0.91, high: 0.99"))
    printed = run("--trials", "9", expected=1)
    assert (
        "error: mnist-classifier: 3 trainings in a row failed, the last one with: mnist-classifier: the loss" in printed
    )


def test_a_database_that_fails_in_the_middle_is_named_with_what_to_do(project, monkeypatch):
    def lose(*arguments) -> float:
        with contextlib.closing(sqlite3.connect(".sweeps/studies.db")) as database:
            for table in ("trials", "trial_values", "trial_user_attributes"):
                database.execute(f"DROP TABLE {table}")
        return 0.5

    monkeypatch.setattr(sweep, "kept_value", lose)
    printed = run("--trials", "1", expected=1)
    assert f"error: sqlite:///{Path('.sweeps/studies.db').absolute()}: the database of the study failed (" in printed
    assert "no such table" in printed and "run the same command again to continue" in printed


def test_what_a_watcher_ends_is_no_longer_among_the_running_commands():
    steps = Steps()

    def watch(process) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        steps.run([sys.executable, "-c", "import time; time.sleep(60)"], watch)
    assert steps.running == set()


def test_a_metric_that_is_no_number_is_a_failure_and_not_tried_again(project, monkeypatch):
    for value, got in ((float("nan"), "nan"), (None, "nothing")):
        monkeypatch.setattr(sweep, "kept_value", lambda *arguments, value=value: value)
        printed = run("--trials", "1" if value else "2", expected=1)
        assert f"failed: history.csv has {got} as val_accuracy of the kept epoch" in printed
    assert len(attempts()) == 2


def test_values_that_were_all_tried_end_the_sweep(project, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "DUPLICATES", 15)
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace(RANGE, "{choices: [0.1, 0.2]}"))
    assert "all other values have been tried" in run("--trials", "3")
    assert len(trainings(tmp_path / "trainings.txt")) == 4


def test_the_runs_of_trials_are_below_the_run_of_the_sweep(project, tmp_path, monkeypatch):
    monkeypatch.delenv("CONVZOO_TRACKING")
    training = Path("pipeline/train.py").read_text()
    tracked = """
from convzoo.tracking import runs  # MLflow, for which the end of a run waits a limited time
from convzoo.tracking.live import LiveRun
part = {"fingerprint": str(rate), "params": {"learning_rate": rate}, "compute": {}, "data": {"name": "mnist"}}
with LiveRun("mnist-classifier", part, {}) as run:
    run.log(1, {"val_accuracy": rows[-1]["val_accuracy"]})
"""
    Path("pipeline/train.py").write_text(training + tracked)
    run("--trials", "2", "--jobs", "2")
    [(parent, status)] = query(project, "SELECT run_uuid, status FROM runs WHERE name LIKE 'sweep %'")
    tagged = f"SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId' AND value = '{parent}'"
    children = query(project, f"SELECT run_uuid, name, status FROM runs WHERE run_uuid IN ({tagged})")
    assert len(children) == 2 and {row[2] for row in children} == {status} == {"FINISHED"}
    best = query(project, f"SELECT max(value) FROM metrics WHERE run_uuid = '{parent}' AND key = 'best_objective'")
    values = query(project, "SELECT max(value), count(*) FROM metrics WHERE key = 'objective'")
    assert values == [(*best[0], 2)]
    for run_id, name, _ in children:
        tags = dict(query(project, f"SELECT key, value FROM tags WHERE run_uuid = '{run_id}'"))
        assert (
            name.startswith(f"trial {tags['convzoo.trial']} learning_rate=") and tags["convzoo.outcome"] == "completed"
        )


def test_without_optuna_the_extra_is_named(project, monkeypatch):
    for name in ("sweep", "study"):
        monkeypatch.delitem(sys.modules, f"convzoo.trials.{name}")
        monkeypatch.delattr(trials, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    printed = run(expected=1)
    assert "error: Optuna is not installed, expected the extra `sweep`; run: python -m pip install" in printed


@pytest.mark.parametrize(
    ("storage", "problem"),
    [
        ("postgresql+psycopg://me:secret@127.0.0.1:1/sweeps", "run: python -m pip install 'psycopg[binary]'"),
        ("sqlite:////proc/none/studies.db", "error: /proc/none: "),
        ("nonsense", "nonsense: cannot be opened"),
        ("firebird://host/name", "cannot be opened"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_named_without_its_password(project, storage, problem, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    printed = run("--storage", storage, expected=1)
    assert problem in printed and "secret" not in printed


def test_a_network_without_a_search_is_named(project):
    Path("data/validated/mnist.json").rename("data/kept.json")
    assert "error: data/validated/mnist.json: is missing; run: convzoo repro validate" in run(expected=1)
    Path("data/kept.json").rename("data/validated/mnist.json")
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace(f"  mnist-classifier:\n    learning_rate: {RANGE}", "  {}"))
    assert "search.mnist-classifier: is missing; there are no keys here" in run(expected=1)


def test_only_trials_import_optuna():
    statement = re.compile(r"^\s*(import|from) optuna\b", re.MULTILINE)
    files = [file for file in (ROOT / "src").rglob("*.py") if statement.search(file.read_text())]
    assert {file.parent for file in files} == {ROOT / "src/convzoo/trials"}
    assert {file.name for file in files} == {"storage.py", "study.py", "sweep.py"}


def test_a_checkpoint_of_a_real_training_has_a_history_that_can_be_read(tmp_path):
    torch = pytest.importorskip("torch")
    from convzoo.training.checkpoints import Checkpoints

    rows = [{"epoch": 1, "val_accuracy": 0.125, "val_kid": None}]
    checkpoints = Checkpoints("net", "f" * 64)
    checkpoints.file = tmp_path / "last.safetensors"
    checkpoints.save({"epoch": 1, "history": rows, "best": {"w": torch.zeros(3)}, "notes": {}, "saved_parts": []})
    assert sweep.checkpoint_history(checkpoints.file) == rows
    assert json.loads(json.dumps(rows)) == rows
