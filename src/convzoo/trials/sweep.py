"""Runs the trials of a sweep: trainings with values that Optuna chooses, judged on val only."""

import contextlib
import csv
import hashlib
import json
import math
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from convzoo.cards.family import family_card
from convzoo.checks.code import stage_code
from convzoo.errors import ConvzooError, SettingsError
from convzoo.files import read_json
from convzoo.settings.load import Params
from convzoo.settings.networks import family_of
from convzoo.settings.search import Choices, Searched, searched_settings, with_values
from convzoo.settings.whole import check_all
from convzoo.tracking.sweeps import SweepRun
from convzoo.trials.study import (
    DROPPED,
    ERROR,
    Attempt,
    Study,
    Values,
    counted_trials,
    described,
    is_finished,
    open_study,
)
from convzoo.trials.trainings import Steps, StoppedError, last_lines, run_step, send, write_copy

FOLDER = Path(".sweeps")  # the studies, and a copy of the project per trial that runs
STUDIES = "studies.db"
FAILURES = 3  # trainings in a row, after which the sweep stops
STOP_WAIT = 10  # seconds that a pruned training has to end by itself
INTERRUPTED = 130  # exit code of a training after Ctrl-C


class Search(NamedTuple):
    """What a sweep searches, and by which metric."""

    network: str
    params: Params
    searched: list[Searched]
    metric: str  # of the history, such as val_accuracy
    higher_is_better: bool
    study: str  # the name of the study: the same for all workers with the same settings, data and code


def plan(network: str, params: Params) -> Search:
    """The search of params.yaml for a network. Raises SettingsError if there is none.

    The study's name contains a digest of all that the trials have in common, so that a study holds only trials that can
    be compared.
    """
    searched = searched_settings(params, network)
    family = family_of(params, network)
    card = family_card(family)
    metric = card.main_metrics[0].replace("test_", "val_", 1)
    settings = with_values(params, network, {setting.path: None for setting in searched}).values["networks"][network]
    common = {
        "settings": settings,
        "search": params.values["search"][network],
        "compute": params.values["compute"],
        "data": read_json(Path("data/validated", f"{settings['data']}.json")),
        "code": stage_code("train", family)["modules"],
    }
    digest = hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:10]
    name = f"{network}-{params.values['profile']}-{digest}"
    return Search(network, params, searched, metric, card.higher_is_better, name)


def study_of(search: Search, storage: str | None, prunes: bool = True) -> Study:
    """The study of a search, in `storage` or in the clone's own database. Raises ConvzooError."""
    storage = storage or f"sqlite:///{FOLDER.absolute() / STUDIES}"
    return open_study(search.study, storage, search.searched, search.higher_is_better, prunes)


def sweep(search: Search, study: Study, wanted: int, jobs: int) -> None:
    """Run trials until the study has `wanted` ones, `jobs` side by side; prints a line for each.

    Raises ConvzooError if several trainings in a row fail.
    """
    steps, run = Steps(), SweepRun(search.network, search.study, {s.name: _space(s) for s in search.searched})
    worker = Worker(search, study, steps, run)
    status = "KILLED"
    run.open()
    try:
        with ThreadPoolExecutor(jobs) as executor:
            try:
                for finished in as_completed([executor.submit(worker.work, wanted) for _ in range(jobs)]):
                    finished.result()
            except BaseException:  # also of an interrupt: the other trainings would continue
                steps.stop()
                raise
        status = "FINISHED"
    finally:
        best = study.best()
        tags = (
            {"convzoo.best_trial": str(best.number), "convzoo.best_values": described(values_of(best))} if best else {}
        )
        run.close(status, tags)


class Worker:
    """Runs trials one after another; each thread of a sweep calls `work`."""

    def __init__(self, search: Search, study: Study, steps: Steps, run: SweepRun) -> None:
        self.search, self.study, self.steps, self.run = search, study, steps, run
        self.failures = 0
        self.lock = threading.Lock()

    def work(self, wanted: int) -> None:
        """Run trials until the study has `wanted` ones. Raises ConvzooError if several trainings in a row fail."""
        while True:
            started = time.perf_counter()
            trial = self.study.run_one(wanted, self._train)
            if trial is None:
                return
            if is_finished(trial) and DROPPED not in trial.user_attrs:
                with self.lock:
                    self._finished(trial, time.perf_counter() - started)

    def _finished(self, trial: FrozenTrial, seconds: float) -> None:
        error = trial.user_attrs.get(ERROR)
        best = self.study.best()
        self.run.ended(trial.number, outcome(trial), trial.value, best.value if best else None)
        print(f"{line(trial, self.search.metric)} ({seconds:.1f} s)", flush=True)
        self.failures = self.failures + 1 if error else 0
        if self.failures == FAILURES:
            raise ConvzooError(
                f"{self.search.network}: {FAILURES} trainings in a row failed, the last one with: {error}; fix the "
                "cause, or narrow the ranges in `search` of params.yaml"
            )

    def _train(self, attempt: Attempt) -> float:
        """Train in a copy of the project, which a second attempt continues; return the metric of the kept epoch."""
        search = self.search
        text = json.dumps(attempt.values, sort_keys=True)
        folder = (FOLDER / search.study / hashlib.sha256(text.encode()).hexdigest()[:16]).absolute()
        params = with_values(search.params, search.network, by_path(attempt.values))
        try:
            check_all(params)
        except SettingsError as error:
            raise attempt.failed(str(error)) from None
        folder.mkdir(parents=True, exist_ok=True)
        write_copy(folder, params)
        epochs = params.values["networks"][search.network].get("epochs")  # none in families with several phases
        watch = Watch(attempt, folder, search.metric, epochs)
        labels = self.run.child(attempt.number, attempt.retry_of, described(attempt.values))
        status, _ = run_step(folder, "train", search.network, self.steps, labels, watch.look)
        if watch.is_pruned:
            shutil.rmtree(folder)
            raise optuna.TrialPruned
        if status:
            if self.steps.is_stopped or status < 0 or status == INTERRUPTED:  # it can continue later
                raise StoppedError(f"trial {attempt.number} was stopped; to continue, run the same command again")
            reason = last_lines(folder, "train")
            shutil.rmtree(folder)
            raise attempt.failed(reason)
        rows = history(folder / "models" / search.network / "history.csv")
        watch.report(rows)
        value = kept_value(rows, search.metric, params.values["networks"][search.network], search.higher_is_better)
        shutil.rmtree(folder)
        if value is None or math.isnan(value):
            got = "nothing" if value is None else value
            raise attempt.failed(f"history.csv has {got} as {search.metric} of the kept epoch, expected a number")
        return value


class Watch:
    """Watches a running training, and ends it if its epochs are worse than those of other trials."""

    def __init__(self, attempt: Attempt, folder: Path, metric: str, epochs: int | None) -> None:
        self.attempt, self.folder, self.metric, self.epochs = attempt, folder, metric, epochs
        self.reported, self.stamp = 0, 0
        self.process: subprocess.Popen | None = None
        self.pruned_at: float | None = None

    @property
    def is_pruned(self) -> bool:
        return self.pruned_at is not None

    def look(self, process: subprocess.Popen) -> None:
        """Report the epochs since the last call, and prune."""
        if self.process is None:
            self.process = process
            self.attempt.trains_as(process.pid)
        if self.pruned_at is not None:
            if time.monotonic() - self.pruned_at > STOP_WAIT:
                send(process, signal.SIGTERM)
            return
        if self.report(self._rows()) and self.reported != self.epochs and self.attempt.should_stop():
            self.pruned_at = time.monotonic()
            send(process, signal.SIGINT)  # so that its run in MLflow ends, too

    def report(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Report the metric of judged epochs that are new; whether there are any."""
        new = [row for row in rows if row["epoch"] > self.reported and row.get(self.metric) is not None]
        for row in new:
            self.reported = int(row["epoch"])
            self.attempt.report(self.reported, float(row[self.metric]))
        return bool(new)

    def _rows(self) -> list[dict[str, Any]]:
        """The history in the last checkpoint, if that is new."""
        for file in self.folder.glob(".checkpoints/*/last.safetensors"):
            with contextlib.suppress(OSError):  # removed meanwhile
                if (stamp := file.stat().st_mtime_ns) != self.stamp:
                    self.stamp = stamp
                    return checkpoint_history(file)
        return []


def checkpoint_history(file: Path) -> list[dict[str, Any]]:
    """The history of a training in a checkpoint, from the header of the safetensors file alone."""
    with file.open("rb") as stream:
        [length] = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    state = dict(json.loads(header["__metadata__"]["state"])["pairs"])
    return [dict(row["pairs"]) for row in state["history"]]


def history(file: Path) -> list[dict[str, Any]]:
    """The rows of history.csv; None for what was not measured."""
    with file.open(encoding="utf-8") as stream:
        return [{key: float(value) if value else None for key, value in row.items()} for row in csv.DictReader(stream)]


def kept_value(
    rows: list[dict[str, Any]], metric: str, settings: Mapping[str, Any], higher_is_better: bool
) -> float | None:
    """The metric of the epoch whose weights are kept, in the last phase; None if it was not measured."""
    last = [row for row in rows if row.get("phase") == rows[-1].get("phase")]
    if settings.get("keep") != "best":
        return last[-1].get(metric)
    values = [row[metric] for row in last if row.get(metric) is not None]
    return (max if higher_is_better else min)(values, default=None)


def by_path(values: Values) -> dict[tuple[str, ...], Any]:
    """Values by their path in the network's block."""
    return {tuple(name.split(".")): value for name, value in values.items()}


def values_of(trial: FrozenTrial) -> Values:
    """The values that a trial trained with."""
    return trial.user_attrs["values"]


def outcome(trial: FrozenTrial) -> str:
    """How a trial ended, for a message."""
    return "failed" if ERROR in trial.user_attrs else "pruned" if trial.state == TrialState.PRUNED else "completed"


def line(trial: FrozenTrial, metric: str) -> str:
    """A trial on one line: its number, how it ended, and its values."""
    ends = {
        "completed": f"{metric} {trial.value:.6g}" if trial.value is not None else "",
        "pruned": f"pruned after epoch {trial.last_step}",
        "failed": f"failed: {trial.user_attrs.get(ERROR, '')}",
    }
    retry = f" (again, was trial {trial.user_attrs['retry_of']})" if "retry_of" in trial.user_attrs else ""
    return f"trial {trial.number}{retry}: {described(values_of(trial))}: {ends[outcome(trial)]}"


def summary(search: Search, study: Study, wanted: int) -> list[str]:
    """Lines about the study: how many trials have an outcome, and what became of the others."""
    counted = counted_trials(study.trials()).values()
    finished = [trial for trial in counted if is_finished(trial)]
    parts = [
        f"{sum(outcome(trial) == kind for trial in finished)} {kind}" for kind in ("completed", "pruned", "failed")
    ]
    lines = [f"{search.study}: {len(finished)} of {wanted} trials: {', '.join(parts)}"]
    if open_ones := len(counted) - len(finished):
        lines.append(f"{open_ones} still run in other workers, or were interrupted; the same command continues them")
    elif study.is_exhausted and len(finished) < wanted:
        lines.append("all other values have been tried; widen the ranges in `search`")
    return lines


def _space(setting: Searched) -> str:
    """The values of a setting, for MLflow."""
    space = setting.space
    if isinstance(space, Choices):
        return ", ".join(json.dumps(value) for value in space.choices)
    return f"{space.low:g} to {space.high:g}" + (" (log)" if space.log else "")
