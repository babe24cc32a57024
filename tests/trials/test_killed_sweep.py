"""Sweeps that are killed: every set of values has one outcome in the end, and none is trained to the end twice."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from helpers.killing import until
from helpers.project import convzoo, copy_project, dvc, environment
from helpers.sweeping import NETWORK, trainings, write_project
from optuna.trial import TrialState

from convzoo.trials import study
from convzoo.trials.study import DROPPED, RETRY_OF, VALUES


def worker(folder: Path, trials: int, **more: str) -> subprocess.Popen:
    """A sweep with two jobs in a process of its own."""
    command = [sys.executable, "-m", "convzoo", "sweep", NETWORK, "--trials", str(trials), "--jobs", "2"]
    with (folder / "told.txt").open("ab") as told:
        return subprocess.Popen(
            command, cwd=folder, env=environment(**more), stdout=told, stderr=told, start_new_session=True
        )


def attempts(folder: Path) -> list:
    """All attempts, by number."""
    storage = f"sqlite:///{folder / '.sweeps/studies.db'}"
    [name] = study.optuna.get_all_study_names(storage)
    return study.optuna.load_study(study_name=name, storage=storage).trials


def check(folder: Path, wanted: int) -> list[int]:
    """Compare what the study says with what must be; the numbers of the attempts that were lost."""
    trials = attempts(folder)
    counted = study.counted_trials(trials)
    assert len(counted) == wanted and all(map(study.is_finished, counted.values()))
    values = [str(trial.user_attrs[VALUES]) for trial in counted.values()]
    assert len(set(values)) == wanted, "each set of values has one outcome"
    lost = {trial.number: trial for trial in trials if study._is_lost(trial) and VALUES in trial.user_attrs}
    retries = {trial.user_attrs[RETRY_OF]: trial for trial in trials if RETRY_OF in trial.user_attrs}
    assert retries.keys() == lost.keys(), "each lost attempt is a new trial, tagged with the old number"
    for number, trial in lost.items():
        assert retries[number].user_attrs[VALUES] == trial.user_attrs[VALUES]
    assert not [trial for trial in trials if trial.user_attrs.get(DROPPED, "").startswith("a second attempt")]
    return sorted(lost)


def test_a_sweep_killed_twice_loses_no_trial_and_runs_none_twice(tmp_path):
    folder, log = write_project(tmp_path / "project"), tmp_path / "trainings.txt"
    more = {"CONVZOO_TRACKING": "off", "TRAININGS": str(log), "EPOCH_SECONDS": "1"}

    def finished() -> int:
        return sum(what == "finished" for what, _, _ in trainings(log))

    for kills in (1, 2):
        process = worker(folder, 6, **more)
        until(lambda kills=kills: finished() >= kills and _running(log), seconds=120)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    process = worker(folder, 6, **more)
    assert process.wait(200) == 0, (folder / "told.txt").read_text()
    assert check(folder, 6), "the kills met trials that ran"
    ended = Counter(rate for what, rate, _ in trainings(log) if what == "finished")
    pruned = {
        str(trial.user_attrs[VALUES]["learning_rate"]) for trial in attempts(folder) if trial.state == TrialState.PRUNED
    }
    begun = {rate for _, rate, _ in trainings(log)}
    assert begun == ended.keys() | pruned
    if sys.platform == "linux":  # where a training ends with its worker
        epochs = Counter((what, rate) for what, rate, _ in trainings(log, True) if what.startswith("epoch"))
        assert set(epochs.values()) == {1}, "no epoch is trained twice"
    assert any(what == "resumed" for what, _, _ in trainings(log)), "a new attempt continues from the checkpoint"


def _running(log: Path) -> bool:
    """Whether a training has begun an epoch that it did not finish."""
    told = trainings(log)
    ended = {process for what, _, process in told if what == "finished"}
    return bool({process for _, _, process in told} - ended)


@pytest.mark.prove
def test_a_real_sweep_of_20_trials_killed_twice_loses_none_and_runs_none_twice(tmp_path):
    """The profile `test` with one epoch."""
    folder = copy_project(tmp_path / "project")
    convzoo(folder, "profile", "test")
    text = (folder / "params.yaml").read_text()
    start = text.index("\nnetworks:\n")
    (folder / "params.yaml").write_text(text[:start] + _one_epoch(text[start:]))
    dvc(folder, "repro", "validate")
    for finished in (5, 12):
        process = worker(folder, 20)
        until(lambda finished=finished: _outcomes(folder) >= finished, seconds=3600)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        print(f"killed after {_outcomes(folder)} outcomes", flush=True)
    process = worker(folder, 20)
    assert process.wait(3600) == 0, (folder / "told.txt").read_text()
    print((folder / "told.txt").read_text(), f"lost and tried again: {check(folder, 20)}")


def _one_epoch(networks: str) -> str:
    before, _, after = networks.partition("    epochs: ")
    return f"{before}    epochs: 1\n{after.partition(chr(10))[2]}"


def _outcomes(folder: Path) -> int:
    """How many trials have an outcome; looks once a second."""
    time.sleep(1)
    try:
        return sum(map(study.is_finished, attempts(folder))) if (folder / ".sweeps/studies.db").exists() else 0
    except ValueError:  # there is no study yet
        return 0
