"""The study of a sweep in Optuna's storage, which several workers on several machines may share.

Each set of values gets one outcome. A trial is a chain of attempts: one whose worker died has no outcome and gets a new
attempt with the same values. Of trials with the same values, and of those that are too many, the later ones, by the
number of their first attempt, are dropped before they train: all workers decide alike, without a lock.
"""

import contextlib
import datetime
import json
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from convzoo.errors import ConvzooError, first_line, without_account
from convzoo.processes import end_process, is_alive, is_here, process_name
from convzoo.settings.search import Choices, Searched
from convzoo.tracking.addresses import missing_driver, sqlite_path
from convzoo.trials.storage import FAILURES, open_storage

HEARTBEAT, GRACE = 15, 60  # seconds between heartbeats, and without one until a worker counts as dead
END_WAIT = 10  # seconds until a training whose worker died is killed
POLL = 0.05  # seconds between two checks of trials that were just started
DIGITS = 4  # significant ones of a value
DUPLICATES = 100  # in a row, after which all values count as tried

# User attributes of a trial.
VALUES = "values"  # by dotted name
FIRST, RETRY_OF = "first", "retry_of"  # numbers of trials: the first attempt, and the one before
WORKER, TRAINING = "worker", "training"  # the processes that run it
DROPPED = "dropped"  # why it never trained
ERROR = "error"  # why its training failed

Values = dict[str, Any]


class DroppedError(Exception):
    """A trial that must not train."""


class FailedError(Exception):
    """A training that failed."""


class Attempt(NamedTuple):
    """A trial that trains now."""

    trial: optuna.Trial
    values: Values
    retry_of: int | None

    @property
    def number(self) -> int:
        return self.trial.number

    def trains_as(self, process: int) -> None:
        """Remember the training's process ID, so that it can be ended if this worker dies."""
        self.trial.set_user_attr(TRAINING, process_name(process))

    def report(self, epoch: int, value: float) -> None:
        """Report the metric of a judged epoch."""
        self.trial.report(value, epoch)

    def should_stop(self) -> bool:
        """Whether the training is worse than the others were at its last judged epoch."""
        return self.trial.should_prune()

    def failed(self, reason: str) -> FailedError:
        """The error to raise if the training failed."""
        self.trial.set_user_attr(ERROR, reason)
        return FailedError(reason)


class Study:
    """The trials of one search, in the database at `address`."""

    def __init__(self, study: optuna.Study, searched: Sequence[Searched], address: str) -> None:
        self.study, self.searched, self.address = study, searched, address
        self.is_exhausted = False
        self.duplicates = 0
        self.lock = threading.Lock()

    def run_one(self, wanted: int, objective: Callable[[Attempt], float]) -> FrozenTrial | None:
        """Run a trial if there are fewer than `wanted`, or one that a worker left; return it, or None if there is none.

        `objective` trains and returns the metric; it raises optuna.TrialPruned or the error of `Attempt.failed`.
        Any other error of `objective` is raised, and the trial gets a new attempt at the next call.
        """
        self.recover()
        counted = counted_trials(self.trials())
        if self.is_exhausted or (len(counted) >= wanted and not any(map(_is_waiting, counted.values()))):
            return None
        started: list[int] = []
        errors: list[Exception] = []

        def run(trial: optuna.Trial) -> float:
            started.append(trial.number)
            try:
                return self._run(trial, wanted, objective)
            except (ValueError, AssertionError) as error:
                errors.append(error)
                raise

        try:
            self.study.optimize(run, n_trials=1, catch=(DroppedError, FailedError, UpdateFinishedTrialError))
        except (ValueError, AssertionError):
            # Optuna raises one if another worker took this one for dead meanwhile, and gave the trial a new attempt.
            if errors or not started or not _is_lost(self.trials()[started[0]]):
                raise
        trial = self.trials()[started[0]]
        is_duplicate = trial.user_attrs.get(DROPPED, "").startswith("same values")
        self.duplicates = self.duplicates + 1 if is_duplicate else 0
        self.is_exhausted = self.duplicates >= DUPLICATES
        return trial

    def trials(self) -> list[FrozenTrial]:
        """All attempts, by number."""
        return sorted(self.study.get_trials(deepcopy=False), key=lambda trial: trial.number)

    def best(self) -> FrozenTrial | None:
        """The completed trial with the best metric; of several the first. None if there is none."""
        sign = -1 if self.study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
        completed = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        return min(completed, key=lambda trial: (sign * trial.value, trial.number), default=None)

    def recover(self) -> None:
        """Give trials a new attempt whose worker died on this machine, or sent no heartbeat on another one."""
        with self.lock:  # or two threads would add one each, of which the second is then dropped
            self._recover()

    def _recover(self) -> None:
        for trial in self.trials():
            if trial.state == TrialState.RUNNING and _is_dead(trial):
                if training := trial.user_attrs.get(TRAINING):
                    end_process(training, END_WAIT)
                with contextlib.suppress(UpdateFinishedTrialError, ValueError):  # another worker was faster
                    self.study.tell(trial.number, state=TrialState.FAIL)
        with warnings.catch_warnings(action="ignore"):  # that it is experimental
            optuna.storages.fail_stale_trials(self.study)
        for first, trial in counted_trials(self.trials()).items():
            if _is_lost(trial):
                attributes = {FIRST: first, RETRY_OF: trial.number, VALUES: trial.user_attrs[VALUES]}
                again = optuna.create_trial(
                    state=TrialState.WAITING,
                    params=trial.params,
                    distributions=trial.distributions,
                    user_attrs=attributes,
                )
                self.study.add_trial(again)

    def _run(self, trial: optuna.Trial, wanted: int, objective: Callable[[Attempt], float]) -> float:
        trial.set_user_attr(WORKER, process_name())  # raises an error if another worker gave it up
        values = trial.user_attrs.get(VALUES) or {setting.name: _drawn(trial, setting) for setting in self.searched}
        trial.set_user_attr(VALUES, values)
        if reason := self._reason_to_drop(trial, values, wanted):
            trial.set_user_attr(DROPPED, reason)
            raise DroppedError
        return objective(Attempt(trial, values, trial.user_attrs.get(RETRY_OF)))

    def _reason_to_drop(self, trial: optuna.Trial, values: Values, wanted: int) -> str | None:
        """Why a trial must not train; None if it may."""
        first = trial.user_attrs.get(FIRST, trial.number)
        while True:
            trials = self.trials()
            earlier = {number: other for number, other in counted_trials(trials).items() if number < first}
            if all(VALUES in other.user_attrs for other in earlier.values()):
                break
            time.sleep(POLL)  # another worker just started it, and is about to draw its values
            self.recover()
        attempts = [other for other in trials if _first(other) == first and other.number < trial.number]
        if any(not _is_lost(other) for other in attempts):
            return f"a second attempt of trial {first}"
        if len(earlier) >= wanted:
            return "one more than wanted"
        same = [number for number, other in earlier.items() if other.user_attrs[VALUES] == values]
        return f"same values as trial {same[0]}" if same else None


def open_study(
    name: str, storage: str, searched: Sequence[Searched], higher_is_better: bool, prunes: bool = True
) -> Study:
    """Open the study with this name in a storage, given as a SQLAlchemy URL; create it if there is none.

    Raises ConvzooError if the storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = sqlite_path(storage)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        stored = open_storage(storage, is_file=file is not None, heartbeat=HEARTBEAT, grace=GRACE)
        study = optuna.create_study(
            study_name=name,
            storage=stored,
            direction="maximize" if higher_is_better else "minimize",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(),  # without a seed: each worker draws other values
            pruner=optuna.pruners.MedianPruner() if prunes else optuna.pruners.NopPruner(),
        )
    except ImportError as error:
        driver = missing_driver(error).partition(", or unset")[0]
        raise ConvzooError(f"{without_account(storage)}: {driver}") from error
    except (*FAILURES, ValueError, OSError) as error:
        raise ConvzooError(
            f"{without_account(storage)}: cannot be opened ({first_line(error.__cause__ or error)}), expected a "
            "database that can be written to, such as sqlite:///sweeps.db or postgresql+psycopg://USER@HOST/NAME; "
            "correct --storage, or start the server"
        ) from error
    return Study(study, searched, storage)


def counted_trials(trials: Iterable[FrozenTrial]) -> dict[int, FrozenTrial]:
    """For each trial that was not dropped, the attempt that counts, by the number of the first attempt.

    A trial that died before it had values does not count.
    """
    chains: dict[int, list[FrozenTrial]] = defaultdict(list)
    for trial in trials:
        chains[_first(trial)].append(trial)
    counted = {}
    for first, attempts in chains.items():
        standing = [trial for trial in attempts if not _is_lost(trial) and DROPPED not in trial.user_attrs]
        trial = standing[0] if standing else attempts[-1]
        if DROPPED not in trial.user_attrs and (VALUES in trial.user_attrs or not _is_lost(trial)):
            counted[first] = trial
    return counted


def is_finished(trial: FrozenTrial) -> bool:
    """Whether a trial has an outcome: completed, pruned, or a training that failed."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or ERROR in trial.user_attrs


def described(values: Mapping[str, Any]) -> str:
    """Values for a message, as in `learning_rate=0.1 batch_size=64`."""
    return " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()
    )


def _drawn(trial: optuna.Trial, setting: Searched) -> Any:
    """A value that Optuna draws, rounded to DIGITS digits so that it is readable in params.yaml."""
    space = setting.space
    if isinstance(space, Choices):  # as JSON, since Optuna's storage has no lists
        return json.loads(trial.suggest_categorical(setting.name, [json.dumps(value) for value in space.choices]))
    if setting.is_whole:
        return trial.suggest_int(setting.name, int(space.low), int(space.high), log=space.log)
    value = trial.suggest_float(setting.name, space.low, space.high, log=space.log)
    return min(max(float(f"{value:.{DIGITS}g}"), space.low), space.high)


def _first(trial: FrozenTrial) -> int:
    return trial.user_attrs.get(FIRST, trial.number)


def _is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial ended without an outcome, because its worker was killed or stopped."""
    return trial.state == TrialState.FAIL and not {DROPPED, ERROR} & trial.user_attrs.keys()


def _is_waiting(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.WAITING


def _is_dead(trial: FrozenTrial) -> bool:
    """Whether the worker of a running trial died on this machine, or no worker ever picked the trial up."""
    worker = trial.user_attrs.get(WORKER)
    if worker is None:
        age = datetime.datetime.now() - (trial.datetime_start or datetime.datetime.now())
        return age.total_seconds() > GRACE
    return is_here(worker) and not is_alive(worker)
