"""MLflow's store: its location, opening and locking it, and what its failures raise.

MLflow is imported by the functions that need it: most commands only read the sqlite database, which takes no time
compared with that import.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

# MLflow reads these when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# A server that is down should cost seconds; by default MLflow retries for four minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")  # seconds

from filelock import FileLock, Timeout

from convzoo.errors import STORE_PACKAGES, ConvzooError, first_line
from convzoo.files import project_root
from convzoo.tracking.addresses import (
    FOLDER,
    NOT_OF_MLFLOW,
    ROOT,
    SCHEME,
    missing_driver,
    problem_with,
    remedy_for,
    sqlite_path,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

# It prints the traceback of a database error before it raises that error.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

DATABASE_WAIT = 20  # seconds to wait while another program holds the database, as MLflow does
LOCK_WAIT = 120  # seconds to wait for a process that creates a database, registers or promotes a model
MESSAGE_LENGTH = 200  # characters of an error's first line that a message quotes

PROJECT = ("params.yaml", "dvc.yaml", "models")  # one of these is in every project's folder
# Error codes of what is not in the store; the last one is that of an ID that no store could have.
MISSING = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE")


class TrackingError(ConvzooError):
    """The tracking store failed."""


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI if set, else mlruns/mlflow.db in the clone. Paths of sqlite files are absolute."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip() or "sqlite:///mlruns/mlflow.db"
    file = database_file(uri)
    return _sqlite_uri(file) if file else uri


def database_file(uri: str) -> Path | None:
    """The file of a sqlite URI; relative paths start at the clone's folder. None for any other URI."""
    file = sqlite_path(uri)
    return project_root() / file if file else None


def is_shared() -> bool:
    """Whether the registry is one that clones on other machines can use: a server, or a database other than sqlite."""
    return database_file(os.environ.get("MLFLOW_REGISTRY_URI", "").strip() or tracking_uri()) is None


def artifact_root(uri: str) -> str:
    """The location of all artifacts: beside a sqlite database, for other databases in the clone."""
    return ROOT if database_file(uri) else (project_root() / "mlruns" / FOLDER).as_uri()


def local_folder(location: str, uri: str) -> Path | None:
    """The folder of an artifact location of the store `uri`; None if it is not on this machine."""
    if not location.startswith(("file:", f"{SCHEME}:")):
        return None
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    repository = get_artifact_repository(location, tracking_uri=uri)
    return Path(repository.artifact_dir) if isinstance(repository, LocalArtifactRepository) else None


def _sqlite_uri(file: Path) -> str:
    return "sqlite:///" + str(file).replace("%", "%25").replace("?", "%3F")


def beside_database(name: str) -> Path:
    """A file next to the sqlite database, so that clones that share a database share the file; else in mlruns/."""
    return (database_file(tracking_uri()) or default_file()).with_name(name)


def default_file() -> Path:
    """The database that is used unless MLFLOW_TRACKING_URI names another."""
    return project_root() / "mlruns" / "mlflow.db"


def is_project() -> bool:
    """Whether this is a project's folder, so that a missing database is an empty one."""
    return any((project_root() / name).exists() for name in (*PROJECT, default_file()))


def open_store() -> MlflowClient:
    """A client of the store. Creates the database if it is missing.

    Raises TrackingError.
    """
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repository_registry import get_registered_artifact_repositories

    from convzoo.tracking.locations import repository

    # MLflow finds it by its entry point, unless the environment was set up by an older convzoo.
    get_registered_artifact_repositories()[SCHEME] = repository
    uri = tracking_uri()
    file = database_file(uri)
    if problem := problem_with(uri):
        raise TrackingError(f"{uri}: {problem}")
    if file == default_file() and not is_project():
        raise TrackingError(f"{project_root()}: has no params.yaml, expected the project's folder; run this from there")
    try:
        if file:
            with locked(file):
                if not file.exists() or not file.stat().st_size:
                    _create(file)
                if file == default_file():  # a database elsewhere is the user's own
                    _convert(file)
        client = MlflowClient(tracking_uri=uri)
        if not file:
            _check_answer(client)  # fails here, with one message, if there is no server
        return client
    except ImportError as error:
        raise TrackingError(f"{uri}: {missing_driver(error)}") from error
    except Exception as error:
        if not is_failure(error) and not isinstance(error, ValueError):  # SQLAlchemy cannot read the address
            raise
        expected = "expected a database that is free and can be written to"
        remedy = "make room, fix its folder's permissions, or end the process that holds it"
        if not file:
            expected, remedy = "expected an MLflow server or a database", "correct MLFLOW_TRACKING_URI"
        remedy = remedy_for(error) or remedy
        raise TrackingError(f"{uri}: cannot be opened ({describe(error)}), {expected}; {remedy}") from error


def use_store() -> MlflowClient:
    """Like `open_store`, and makes MLflow's own functions use the store too. The environment does not change."""
    import mlflow

    client, uri = open_store(), os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(client.tracking_uri)
    if uri is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = uri
    return client


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Lets only one process of this machine in at a time. Raises TrackingError after LOCK_WAIT seconds."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.with_name(f".{file.name}.lock")
    try:
        with FileLock(lock, timeout=LOCK_WAIT):
            yield
    except Timeout:
        raise TrackingError(
            f"{lock}: held by another process for {LOCK_WAIT} s, expected a moment; wait for that process, or end it"
        ) from None


@contextmanager
def failures_raised_as(problem: str, remedy: str = "fix the store, then run the same command again") -> Iterator[None]:
    """Raises TrackingError with `problem` and `remedy` if the store fails inside."""
    try:
        yield
    except Exception as error:
        if not is_failure(error):
            raise
        remedy = "; ".join(filter(None, [remedy_for(error), remedy]))
        raise TrackingError(f"{problem} ({describe(error)}), expected a working store; {remedy}") from error


def is_failure(error: BaseException) -> bool:
    """Whether an error means that the store failed."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in STORE_PACKAGES


def is_missing(error: BaseException) -> bool:
    """Whether an error says that something is not in the store, and not that the store failed."""
    return getattr(error, "error_code", None) in MISSING


def describe(error: BaseException) -> str:
    """An error's type and the first line of its message."""
    kind, message = type(error).__name__, first_line(error)
    return kind if message == kind else f"{kind}: {message[:MESSAGE_LENGTH]}"


def _check_answer(client: MlflowClient) -> None:
    """Raises MlflowException if there is no server or database that answers as MLflow does."""
    from mlflow.exceptions import MlflowException

    if client.search_experiments(max_results=1):
        return
    try:
        number = client.get_experiment("0").experiment_id
    except MlflowException as error:
        if is_missing(error):
            return
        raise
    if number != "0":  # any server that answers with JSON
        raise MlflowException(f"the response body was {NOT_OF_MLFLOW}")


def _create(file: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # Under a temporary name, so that a process that is killed leaves no incomplete database.
    temporary = file.with_name(f".{file.name}.new")
    temporary.unlink(missing_ok=True)
    store = SqlAlchemyStore(_sqlite_uri(temporary), ROOT)
    store.engine.dispose()
    temporary.replace(file)


def _convert(file: Path) -> None:
    """Change the absolute locations that an older convzoo wrote to `convzoo:/artifacts/...`; needed only once.

    The artifacts lie beside the database, so an experiment with another artifact location shows the old folder.
    """
    from mlflow.utils.file_utils import local_file_uri_to_path

    new, artifacts = file.parent.as_uri(), file.with_name(FOLDER)
    with closing(sqlite3.connect(file, timeout=DATABASE_WAIT, isolation_level=None)) as database:
        if not artifacts.is_dir() and database.execute("SELECT 1 FROM logged_models").fetchone():
            _warn_of_missing(file, artifacts)
        rows = database.execute(
            "SELECT artifact_location FROM experiments WHERE experiment_id = 0 OR name LIKE 'convzoo/%'"
        )
        starts = {location.rpartition("/artifacts/")[0] for (location,) in rows if location.startswith("file:///")}
        folders = sorted(starts - {""})
        if not folders:
            return
        database.execute("BEGIN IMMEDIATE")
        for table, column in _text_columns(database):
            for old in folders:
                for start, folder in ((old, new), (local_file_uri_to_path(old), str(file.parent))):
                    _replace_start(database, table, column, f"{start}/artifacts", ROOT)
                    _replace_start(database, table, column, start, folder)  # experiments that were created by hand
        database.execute("COMMIT")


@cache
def _warn_of_missing(file: Path, artifacts: Path) -> None:
    print(
        f"warning: {file}: has no artifacts, expected them in {artifacts}; copy them from where the database comes "
        "from, or run: convzoo sync",
        file=sys.stderr,
    )


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
