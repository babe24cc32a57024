"""The runs of a sweep in MLflow: a parent run, and the runs of its trainings as children."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from convzoo.errors import without_account
from convzoo.processes import process_name
from convzoo.tracking import store
from convzoo.tracking.labels import git_state, origin
from convzoo.tracking.live import tracking_is_off

SWEEP, TRIAL, RETRY_OF, OUTCOME = "convzoo.sweep", "convzoo.trial", "convzoo.retry_of", "convzoo.outcome"
PARENT = "mlflow.parentRunId"


class SweepRun:
    """The parent run of a sweep. After the first failure of the store it prints a warning and does nothing more.

    Every worker of a sweep uses the same one if they share MLflow's store.
    """

    def __init__(self, network: str, study: str, searched: Mapping[str, str]) -> None:
        self.network, self.study, self.searched = network, study, searched
        self.run_id: str | None = None
        self.client: Any = None

    def open(self) -> None:
        """Create the run, or set it to RUNNING again."""
        if not tracking_is_off():
            self._try(self._open)

    def child(self, number: int, retry_of: int | None, values: str) -> dict[str, str]:
        """The environment with which the run of a training becomes a child; without a parent, it is not tracked."""
        parent = self.run_id  # another thread may lose the store at any moment
        if parent is None:
            return {"CONVZOO_TRACKING": "off"}
        commit, dirty = git_state()
        tags = {PARENT: parent, TRIAL: str(number), "convzoo.made_by": f"convzoo sweep, trial {number}"}
        tags |= {"convzoo.dirty": f"{dirty}, params.yaml ({values})" if dirty != "clean" else f"params.yaml ({values})"}
        tags |= {"mlflow.source.git.commit": commit} if commit else {}
        tags |= {RETRY_OF: str(retry_of)} if retry_of is not None else {}
        name = f"trial {number} {values}"
        labels = json.dumps({"name": name, "tags": tags})
        return {"CONVZOO_TRIAL": labels, "MLFLOW_TRACKING_URI": store.tracking_uri()}

    def ended(self, number: int, outcome: str, value: float | None, best: float | None) -> None:
        """Record how a trial ended, with its metric, and the best metric so far."""
        if self.run_id is not None:
            self._try(self._ended, number, outcome, value, best)

    def close(self, status: str, best: Mapping[str, str]) -> None:
        """Set the status, FINISHED or KILLED, and record the best trial."""
        if self.run_id is not None:
            self._try(self._close, status, best)

    def _open(self) -> None:
        from convzoo.tracking import runs  # imports MLflow, which the help should not wait for

        self.client = store.use_store()
        experiment = runs.experiment_of(self.client, self.network)
        runs.mark_dead_runs(self.client, experiment)
        existing = self.client.search_runs(
            [experiment],
            filter_string=f"tags.`{SWEEP}` = '{self.study}'",
            order_by=["attributes.start_time ASC"],
            max_results=1,
        )
        tags = origin() | {SWEEP: self.study, runs.PROCESS: process_name(), "convzoo.made_by": "convzoo sweep"}
        if existing:
            run = existing[0]
            self.client.update_run(run.info.run_id, status="RUNNING")
            runs.add_tags(self.client, run, tags)
        else:
            run = runs.create_run(self.client, experiment, tags, f"sweep {self.study}")
        runs.add_params(self.client, run, {f"search.{name}": text for name, text in self.searched.items()})
        self.run_id = run.info.run_id

    def _ended(self, number: int, outcome: str, value: float | None, best: float | None) -> None:
        from convzoo.tracking import runs

        experiment = self.client.get_run(self.run_id).info.experiment_id
        filter_string = f"tags.`{PARENT}` = '{self.run_id}' AND tags.`{TRIAL}` = '{number}'"
        for run in self.client.search_runs([experiment], filter_string=filter_string):
            runs.add_tags(self.client, run, {OUTCOME: outcome})
            if value is not None:
                runs.add_metrics(self.client, run.info.run_id, {0: {"objective": value}})
        if best is not None:
            runs.add_metrics(self.client, self.run_id, {number: {"best_objective": best}})

    def _close(self, status: str, best: Mapping[str, str]) -> None:
        from convzoo.tracking import runs

        runs.add_tags(self.client, self.client.get_run(self.run_id), best)
        self.client.set_terminated(self.run_id, status)

    def _try(self, step: Any, *arguments: Any) -> None:
        try:
            step(*arguments)
        except Exception as error:
            if not store.is_failure(error) and not isinstance(error, store.TrackingError):
                raise
            self.run_id = None
            print(
                f"warning: {self.network}: continues without MLflow ({without_account(store.describe(error))})",
                file=sys.stderr,
                flush=True,
            )
