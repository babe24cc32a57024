"""A training's run in mlflow, told from a thread of its own: it never delays a step and never ends a training."""

import getpass
import os
import platform
import queue
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from convzoo.errors import SettingsError, without_account
from convzoo.lineage import commits
from convzoo.settings.load import read_params
from convzoo.tracking.names import changed_params, flat, run_name

TIME_LIMIT = 20  # seconds that the end of a training waits for the store
TIME_LIMIT_STOPPED = 3  # the same after Ctrl-C


class Epoch(NamedTuple):
    """A row of the history."""

    number: int
    metrics: dict[str, float]


class End(NamedTuple):
    """The last thing in the queue."""

    status: str


class LiveRun:
    """The run of one training; its identity is the content of fingerprint.json.

    An unfinished run with the same fingerprint is continued. The first failure prints a warning, and nothing more is
    sent. Nothing is done at all where `enabled` is false or CONVZOO_TRACKING is `off`.
    """

    def __init__(self, network: str, identity: Mapping[str, Any], tags: Mapping[str, str], enabled: bool = True):
        self.network = network
        self.identity = identity
        self.tags = dict(tags)
        self._queue: queue.SimpleQueue[Epoch | End] = queue.SimpleQueue()
        self._given_up = threading.Event()
        self._thread = None
        if enabled and not tracking_is_off():
            self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
            self._thread.start()

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Hand over an epoch's metrics (epochs count from 1); returns at once."""
        if self._thread and not self._given_up.is_set():
            self._queue.put(Epoch(epoch, dict(metrics)))

    def close(self, status: str = "FINISHED") -> None:
        """Send what is left and set the run's status: FINISHED, FAILED or KILLED. Waits for a limited time."""
        if self._thread is None:
            return
        self._queue.put(End(status))
        limit = TIME_LIMIT_STOPPED if status == "KILLED" else TIME_LIMIT
        self._thread.join(limit)
        if self._thread.is_alive():
            self._give_up(f"no answer for {limit} s", goes_on=status != "KILLED")
        self._thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close("FINISHED")
        else:
            self.close("KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")

    def _work(self) -> None:
        try:
            self._follow()
        except Exception as error:
            self._give_up(textwrap.shorten(reason(error), 300, placeholder=" ..."))

    def _give_up(self, why: str, goes_on: bool = True) -> None:
        if self._given_up.is_set():
            return
        self._given_up.set()
        print(
            f"warning: {self.network}: tracking stopped ({without_account(why)}); "
            f"{'training goes on, and ' if goes_on else ''}`convzoo sync` will bring this run in afterwards",
            file=sys.stderr,
            flush=True,
        )

    def _follow(self) -> None:
        from convzoo.tracking import store  # here: it takes seconds, and training shall start at once

        commit, dirty = git_state()
        tags = self.tags | origin() | {"convzoo.dirty": dirty}
        if commit:
            tags["mlflow.source.git.commit"] = commit
        name = run_name(self.network, _changed(self.network), (commit or "")[:7], os.environ.get("DVC_EXP_NAME"))

        client = store.open_store()
        tags[store.PROCESS] = store.this_process()
        run = store.open_run(client, self.network, self.identity["fingerprint"], tags, name)
        store.add_params(client, run, run_params(self.identity))
        store.add_data(client, run, self.identity["data"])
        run_id, known = run.info.run_id, store.steps_of(client, run, set(run.data.metrics))
        load = store.machine_load(client, run_id)
        sample = max((step for key, step in known if key.startswith("system/")), default=-1) + 1
        started = time.monotonic()
        while not self._given_up.is_set():
            try:
                message = self._queue.get(timeout=2 if time.monotonic() - started < 60 else 10)  # seconds
            except queue.Empty:
                message = None
            if isinstance(message, Epoch):  # one that a continued run has already is not told twice
                row = {key: value for key, value in message.metrics.items() if (key, message.number) not in known}
                store.add_metrics(client, run_id, {message.number: row})
            else:
                store.add_metrics(client, run_id, {sample: load()})
                sample += 1
            if isinstance(message, End):
                client.set_terminated(run_id, message.status)
                return


def reason(error: BaseException) -> str:
    """What an error says, in one line, without what sqlalchemy says first."""
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result of")]
    return lines[0] if lines else type(error).__name__


def tracking_is_off() -> bool:
    """Whether the user turned mlflow off with CONVZOO_TRACKING=off."""
    return os.environ.get("CONVZOO_TRACKING", "").lower() == "off"


def run_params(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The flat params of a run: of the training, without architectures that were not chosen, and of the machine."""
    found = flat(identity["params"], identity["params"].get("architecture"))
    return found | {key: value for key, value in identity["compute"].items() if key not in found}


def git_state() -> tuple[str | None, str]:
    """The commit, and what of params and code differs from it: `clean`, paths, or `unknown` without git."""
    commit, changed = commits.head(), commits.changes()
    if commit is None or changed is None:
        return None, "unknown"
    paths = [path for _, path in changed]
    more = f" and {len(paths) - 20} more" if len(paths) > 20 else ""
    return commit, ", ".join(paths[:20]) + more if paths else "clean"


def origin() -> dict[str, str]:
    """Tags for who and what made a run: user, machine, entry, and `made_by`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    found = {
        "mlflow.user": user,
        "mlflow.source.name": Path(sys.argv[0]).name,
        "mlflow.source.type": "LOCAL",
        "convzoo.machine": f"{platform.node()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    return found | made_by()


def made_by() -> dict[str, str]:
    """Tags for the command that made a run: `dvc repro` or `dvc exp run` with name and baseline, and its stage."""
    stage, experiment = os.environ.get("DVC_STAGE"), os.environ.get("DVC_EXP_NAME")
    baseline = os.environ.get("DVC_EXP_BASELINE_REV")
    command = "dvc repro" if stage else "by hand, without DVC"
    if experiment:
        command = f"dvc exp run, experiment {experiment} on {(baseline or 'unknown')[:7]}"
    found = {
        "convzoo.made_by": command,
        "convzoo.stage": stage,
        "convzoo.dvc_experiment": experiment,
        "convzoo.dvc_baseline": baseline,
    }
    return {key: value for key, value in found.items() if value}


def _changed(network: str) -> dict[str, Any]:
    try:
        return changed_params(network, read_params().values)
    except (SettingsError, LookupError):  # params.yaml changed since the training began
        return {}
