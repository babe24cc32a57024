"""The MLflow run of a training, logged from a thread that never delays a step and never ends the training."""

import json
import os
import queue
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from convzoo.errors import SettingsError, first_line, without_account
from convzoo.processes import process_name
from convzoo.settings.load import read_params
from convzoo.tracking.labels import changed_params, git_state, origin, run_name, run_params

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

TIME_LIMIT = 20  # seconds that the end of a training waits for the store
TIME_LIMIT_STOPPED = 3  # the same after Ctrl-C
LOAD_EVERY, LOAD_EVERY_LATER = 2, 10  # seconds between two measurements of the machine's load
REASON_LENGTH = 600  # characters of an error that the warning quotes, with its remedy
LATER = 60  # seconds after which LOAD_EVERY_LATER holds


class Epoch(NamedTuple):
    """A row of the history."""

    number: int
    metrics: dict[str, float]


class End(NamedTuple):
    """The last message in the queue."""

    status: str


class LiveRun:
    """The run of one training, which the content of fingerprint.json identifies.

    Continues an unfinished run with the same fingerprint. After the first failure it prints a warning and sends
    nothing more. Does nothing if `enabled` is false or CONVZOO_TRACKING is `off`.
    """

    def __init__(self, network: str, identity: Mapping[str, Any], tags: Mapping[str, str], enabled: bool = True):
        self.network = network
        self.identity = identity
        self.tags = dict(tags)
        self._queue: queue.SimpleQueue[Epoch | End] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = None
        if enabled and not tracking_is_off():
            self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
            self._thread.start()

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Queue an epoch's metrics (epochs count from 1); returns at once."""
        if self._thread and not self._stopped.is_set():
            self._queue.put(Epoch(epoch, dict(metrics)))

    def close(self, status: str = "FINISHED") -> None:
        """Send what is queued and set the run's status: FINISHED, FAILED or KILLED. Waits for a limited time."""
        if self._thread is None:
            return
        self._queue.put(End(status))
        limit = TIME_LIMIT_STOPPED if status == "KILLED" else TIME_LIMIT
        self._thread.join(limit)
        if self._thread.is_alive():
            self._stop(f"no answer for {limit} s", training_continues=status != "KILLED")
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
            self._send()
        except Exception as error:
            self._stop(textwrap.shorten(first_line(error), REASON_LENGTH, placeholder=" ..."))

    def _stop(self, reason: str, training_continues: bool = True) -> None:
        if self._stopped.is_set():
            return
        self._stopped.set()
        print(
            f"warning: {self.network}: tracking stopped ({without_account(reason)}); "
            f"{'training continues; ' if training_continues else ''}to add this run to MLflow afterwards, run: "
            "convzoo sync",
            file=sys.stderr,
            flush=True,
        )

    def _send(self) -> None:
        from convzoo.tracking import runs  # imports MLflow, which takes seconds that the training should not wait for

        client, run = self._open()
        run_id, logged = run.info.run_id, runs.logged_steps(client, run, set(run.data.metrics))
        load = runs.machine_load(client, run_id)
        sample = max((step for key, step in logged if key.startswith("system/")), default=-1) + 1
        started = time.monotonic()
        while not self._stopped.is_set():
            try:
                interval = LOAD_EVERY if time.monotonic() - started < LATER else LOAD_EVERY_LATER
                message = self._queue.get(timeout=interval)
            except queue.Empty:
                message = None
            if isinstance(message, Epoch):  # without what the run has from before it was continued
                row = {key: value for key, value in message.metrics.items() if (key, message.number) not in logged}
                runs.add_metrics(client, run_id, {message.number: row})
            else:
                runs.add_metrics(client, run_id, {sample: load()})
                sample += 1
            if isinstance(message, End):
                client.set_terminated(run_id, message.status)
                return

    def _open(self) -> tuple["MlflowClient", "Run"]:
        """The store and the run, with its name, tags, params and data."""
        from convzoo.tracking import runs, store

        commit, dirty = git_state()
        tags = self.tags | origin() | {"convzoo.dirty": dirty, runs.PROCESS: process_name()}
        if commit:
            tags["mlflow.source.git.commit"] = commit
        name = run_name(_differences(self.network), os.environ.get("DVC_EXP_NAME"), (commit or "")[:7])
        if trial := os.environ.get("CONVZOO_TRIAL"):  # of a sweep, which knows more about it
            name, tags = json.loads(trial)["name"], tags | json.loads(trial)["tags"]
        client = store.open_store()
        run = runs.open_run(client, self.network, self.identity["fingerprint"], tags, name)
        runs.add_params(client, run, run_params(self.identity))
        runs.add_data(client, run, self.identity["data"])
        return client, run


def tracking_is_off() -> bool:
    """Whether the user turned MLflow off with CONVZOO_TRACKING=off."""
    return os.environ.get("CONVZOO_TRACKING", "").lower() == "off"


def _differences(network: str) -> dict[str, Any]:
    try:
        return changed_params(network, read_params().values)
    except (SettingsError, LookupError):  # params.yaml changed since the training began
        return {}
