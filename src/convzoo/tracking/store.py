"""The tracking store: where it is, made once, right again after its folder was moved, and what runs are made of."""

import json
import logging
import os
import platform
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

# Read by mlflow when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# A server that is down shall cost seconds; the defaults retry for four minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")  # seconds

import mlflow
import psutil
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.utils.file_utils import local_file_uri_to_path
from sqlalchemy.exc import SQLAlchemyError

from convzoo.errors import ConvzooError
from convzoo.files import project_root
from convzoo.tracking.live import reason

# It prints a traceback of what the database says, before it raises that.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

DATABASE_WAIT = 20  # seconds for another program that holds the database, as mlflow waits
LOCK_WAIT = 120  # seconds; whoever holds the lock makes a database or registers a model
DIGEST_LENGTH = 32  # of a data set in mlflow, which takes 36 characters at most
BATCH = 1000  # metrics that mlflow takes at once; 100 for params
PROCESS = "convzoo.process"  # the tag of a run that names the process which trains it
FAILURES = (OSError, sqlite3.Error, SQLAlchemyError, MlflowException)  # what a store that fails raises


class TrackingError(ConvzooError):
    """The tracking store did not do what was asked of it."""


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI where it is set, else mlruns/mlflow.db in the clone; sqlite files with absolute paths."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlruns/mlflow.db"
    file = database_file(uri)
    return f"sqlite:///{file}" if file else uri


def database_file(uri: str) -> Path | None:
    """The file behind a sqlite address, relative ones seen from the clone's folder; None for everything else."""
    scheme, _, name = uri.partition(":///")
    return project_root() / name if scheme == "sqlite" and name and name != ":memory:" else None


def beside(name: str) -> Path:
    """A file next to the sqlite database, so that clones which share that share the file; else in mlruns."""
    return (database_file(tracking_uri()) or project_root() / "mlruns" / "mlflow.db").with_name(name)


def open_store() -> MlflowClient:
    """A client of the store, whose database is there and knows where its folder is now. Raises TrackingError."""
    uri = tracking_uri()
    file = database_file(uri)
    try:
        if file:
            with locked(file):
                if not file.exists() or not file.stat().st_size:
                    _create(file)
                if file == project_root() / "mlruns" / "mlflow.db":  # somebody else's may lie as they like
                    _relocate(file)
        return MlflowClient(tracking_uri=uri)
    except FAILURES as error:
        raise TrackingError(
            f"{uri}: cannot be opened ({first_line(error)}), expected a database that is free and can be written to; "
            "make room, mend its folder's rights, or end what holds it"
        ) from error


def use_store() -> MlflowClient:
    """`open_store`, and mlflow's own functions use it too; the environment stays as the user set it."""
    client, user = open_store(), os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(client.tracking_uri)
    if user is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = user
    return client


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Only one process at a time, on this machine. Raises TrackingError after two minutes of waiting."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.with_name(f".{file.name}.lock")
    try:
        with FileLock(lock, timeout=LOCK_WAIT):
            yield
    except Timeout:
        raise TrackingError(
            f"{lock}: held by another process for {LOCK_WAIT} s, expected a moment; wait for it, or end it"
        ) from None


def experiment_of(client: MlflowClient, network: str) -> str:
    """The id of the experiment `convzoo/NETWORK`, made where there is none, brought back where it was deleted."""
    name = f"convzoo/{network}"
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=_artifact_location(client.tracking_uri, network))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # somebody else was faster
                raise
            found = client.get_experiment_by_name(name)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


def runs_of(client: MlflowClient, experiment: str, fingerprint: str) -> list[Run]:
    """The runs of a training, newest first."""
    return client.search_runs(
        [experiment],
        filter_string=f"tags.`convzoo.fingerprint` = '{fingerprint}'",
        order_by=["attributes.start_time DESC"],
    )


def open_run(client: MlflowClient, network: str, fingerprint: str, tags: Mapping[str, str], name: str) -> Run:
    """The newest run of a training where that is unfinished, running again; else a new one."""
    experiment = experiment_of(client, network)
    tags = {**tags, "convzoo.fingerprint": fingerprint}
    mark_dead_runs(client, experiment)
    found = runs_of(client, experiment, fingerprint)
    if not found or found[0].info.status == "FINISHED":
        return client.create_run(experiment, tags=tags, run_name=name)
    client.update_run(found[0].info.run_id, status="RUNNING")
    add_tags(client, found[0], tags)
    return found[0]


def this_process() -> str:
    """Machine, number and start of this process: what no other one has."""
    return f"{platform.node()} {os.getpid()} {psutil.Process().create_time():.2f}"


def mark_dead_runs(client: MlflowClient, experiment: str) -> list[Run]:
    """Set runs to KILLED whose process died on this machine before it could; those runs."""
    filter_string = f"attributes.status = 'RUNNING' AND tags.`{PROCESS}` LIKE '{platform.node()} %'"
    dead = [run for run in client.search_runs([experiment], filter_string) if not _lives(run.data.tags[PROCESS])]
    for run in dead:
        client.set_terminated(run.info.run_id, "KILLED")
    return dead


def _lives(process: str) -> bool:
    _, number, start = process.rsplit(" ", 2)
    try:
        return f"{psutil.Process(int(number)).create_time():.2f}" == start
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # somebody else's, but there
        return True


def add_params(client: MlflowClient, run: Run, params: Mapping[str, Any]) -> None:
    """Log the params that the run lacks (mlflow's params never change), spelled as in params.yaml."""
    missing = [Param(key, _spelled(value)) for key, value in params.items() if key not in run.data.params]
    for start in range(0, len(missing), 100):
        client.log_batch(run.info.run_id, params=missing[start : start + 100])


def add_tags(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> None:
    """Set the tags that the run lacks or has otherwise."""
    changed = [RunTag(key, value) for key, value in tags.items() if run.data.tags.get(key) != value]
    if changed:
        client.log_batch(run.info.run_id, tags=changed)


def add_metrics(client: MlflowClient, run_id: str, rows: Mapping[int, Mapping[str, float]]) -> None:
    """Log metrics by step."""
    now = int(time.time() * 1000)
    metrics = [Metric(key, float(value), now, step) for step, row in rows.items() for key, value in row.items()]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])


def steps_of(client: MlflowClient, run: Run, keys: set[str]) -> set[tuple[str, int]]:
    """Which (metric, step) the run has, of the metrics `keys`."""
    known = keys & set(run.data.metrics)
    return {(key, metric.step) for key in known for metric in client.get_metric_history(run.info.run_id, key)}


def add_data(client: MlflowClient, run: Run, data: Mapping[str, str]) -> None:
    """Log the data sets that were trained on, each split with its digest: the block `data` of fingerprint.json."""
    name = data["name"]
    known = {(tag.value, entry.dataset.digest) for entry in run.inputs.dataset_inputs for tag in entry.tags}
    inputs = []
    for split, digest in sorted(data.items()):
        if split == "name" or (split, digest[:DIGEST_LENGTH]) in known:
            continue
        folder = f"data/augmented/{name}" if split == "augmented" else f"data/prepared/{name}/{split}"
        dataset = Dataset(name, digest[:DIGEST_LENGTH], "local", json.dumps({"uri": folder}))
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", split)]))
    if inputs:
        client.log_inputs(run.info.run_id, datasets=inputs)


def machine_load(client: MlflowClient, run_id: str) -> Callable[[], dict[str, float]]:
    """A function that gives the machine's load (processor, memory, disk, network, GPU) since it was last asked."""
    watch = SystemMetricsMonitor(run_id, tracking_uri=client.tracking_uri)  # its own thread is never started

    def load() -> dict[str, float]:
        watch.collect_metrics()
        found = {f"system/{key}": value for key, value in watch.aggregate_metrics().items()}
        for monitor in watch.monitors:
            monitor.clear_metrics()
        return found

    return load


def first_line(error: BaseException) -> str:
    """What an error says and is, in one line."""
    kind, told = type(error).__name__, reason(error)
    return kind if told == kind else f"{kind}: {told[:200]}"


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _artifact_location(uri: str, network: str) -> str | None:
    if uri.startswith(("http://", "https://")):
        return None  # the server's business
    file = database_file(uri)
    folder = file.parent if file else project_root() / "mlruns"
    return (folder / "artifacts" / network).as_uri()


def _create(file: Path) -> None:
    # Under another name, so that a process that is killed half-way leaves no half database.
    temporary = file.with_name(f".{file.name}.new")
    temporary.unlink(missing_ok=True)
    store = SqlAlchemyStore(f"sqlite:///{temporary}", (file.parent / "artifacts").as_uri())
    store.engine.dispose()
    temporary.replace(file)


def _relocate(file: Path) -> None:
    """Artifacts lie beside the database: where experiments say otherwise, the folder was moved, and all with it."""
    here = file.parent.as_uri()
    with closing(sqlite3.connect(file, timeout=DATABASE_WAIT, isolation_level=None)) as database:
        found = database.execute(
            "SELECT artifact_location FROM experiments WHERE experiment_id = 0 OR name LIKE 'convzoo/%'"
        )
        moved = {location.rpartition("/artifacts/")[0] for (location,) in found if location.startswith("file:///")}
        moved -= {here, ""}
        if not moved:
            return
        database.execute("BEGIN IMMEDIATE")
        for table, column in _text_columns(database):
            for old in moved:
                _replace_start(database, table, column, old, here)
                _replace_start(database, table, column, local_file_uri_to_path(old), str(file.parent))
        database.execute("COMMIT")


def _text_columns(database: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [
        (table, column)
        for table in tables
        for _, column, kind, *_ in database.execute(f'PRAGMA table_info("{table}")').fetchall()
        if kind.upper().startswith(("VARCHAR", "TEXT"))
    ]


def _replace_start(database: sqlite3.Connection, table: str, column: str, old: str, new: str) -> None:
    database.execute(
        f'UPDATE "{table}" SET "{column}" = :new || substr("{column}", length(:old) + 1) '
        f'WHERE "{column}" = :old OR substr("{column}", 1, length(:old) + 1) = :old || \'/\'',
        {"old": old, "new": new},
    )
