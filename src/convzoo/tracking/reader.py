"""Answers questions about registered versions from MLflow's sqlite database, without importing MLflow.

That import takes several times as long as everything else that `convzoo predict` and its like do. The database is read
each time, so a change that the MLflow UI or another program makes is seen.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from convzoo.files import read_json
from convzoo.tracking import store
from convzoo.tracking.addresses import FOLDER, artifact_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCHEMA = "dc11669786a5"  # the revision of MLflow's tables that the queries below were written for
WAIT = 2  # seconds for another program that holds the database; MLflow waits longer, and says what is wrong
# What these queries do not cover: artifacts elsewhere, MLflow's workspaces, and its prompts, which are models to it.
UNCOVERED = """
    SELECT 1 FROM experiments
    WHERE (experiment_id = 0 OR name LIKE 'convzoo/%') AND artifact_location NOT LIKE 'convzoo:/%'
    UNION SELECT 1 FROM registered_models WHERE workspace <> 'default'
    UNION SELECT 1 FROM registered_model_tags WHERE key = 'mlflow.prompt.is_prompt'
"""
MODELS = "SELECT name FROM registered_models"
ALIASES = "SELECT name, alias, version FROM registered_model_aliases"
MODEL_TAGS = "SELECT name, key, value FROM registered_model_tags"
VERSIONS = """
    SELECT name, version, source, run_id, creation_time AS creation_timestamp, storage_location
    FROM model_versions WHERE current_stage <> 'Deleted_Internal'
"""
VERSION_TAGS = "SELECT name, version, key, value FROM model_version_tags"
RUN = "SELECT run_uuid AS run_id, name AS run_name, status, start_time, artifact_uri FROM runs WHERE run_uuid = ?"
RUN_TAGS = "SELECT key, value FROM tags WHERE run_uuid = ?"

Result = TypeVar("Result")


class UnansweredError(Exception):
    """Only MLflow can answer this question."""


class MissingError(Exception):
    """Something is not in the database; has the error code of MLflow's own error."""

    error_code = "RESOURCE_DOES_NOT_EXIST"


class Page(list):
    """All results of a search; MLflow returns them in pages."""

    token = None


def ask(
    question: Callable[[Reader | MlflowClient], Result], opened: Callable[[], MlflowClient] = store.use_store
) -> Result:
    """The result of `question` with a Reader of the database or, if that cannot answer it, with MLflow's client.

    `opened` returns that client. Raises TrackingError if MLflow's store cannot be opened.
    """
    try:
        with closing(Reader()) as reader:
            return question(reader)
    except (UnansweredError, OSError, sqlite3.Error):
        pass  # MLflow answers, or says what is wrong
    return question(opened())


class Reader:
    """The methods of MlflowClient that looking up a version needs, on the sqlite database of the project.

    Raises UnansweredError for a tracking server, and for a database of another schema or with artifacts elsewhere. A
    database that does not exist yet is empty.
    """

    def __init__(self) -> None:
        file = store.database_file(store.tracking_uri())
        is_elsewhere = file is None or "MLFLOW_REGISTRY_URI" in os.environ
        if is_elsewhere or (file == store.default_file() and not store.is_project()):
            raise UnansweredError
        self.folder, exists = file.parent, file.exists()
        address = f"file:{quote(str(file))}?mode=ro" if exists else ":memory:"
        self.database = sqlite3.connect(address, uri=True, timeout=WAIT)
        self.database.row_factory = sqlite3.Row
        self.models: dict[str, SimpleNamespace] = {}
        self.versions: dict[tuple[str, str], SimpleNamespace] = {}
        try:
            if exists:
                self.database.execute("BEGIN")  # all of it as of one moment
                self._read()
                self.database.rollback()
        except BaseException:
            self.close()  # or MLflow would wait for this transaction
            raise

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def _read(self) -> None:
        schemas = [schema for (schema,) in self._rows("SELECT version_num FROM alembic_version")]
        if schemas != [SCHEMA] or self._rows(UNCOVERED) or not (self.folder / FOLDER).is_dir():
            raise UnansweredError
        for (name,) in self._rows(MODELS):
            self.models[name] = SimpleNamespace(name=name, aliases={}, tags={})
        for name, alias, version in self._rows(ALIASES):
            self.models[name].aliases[alias] = str(version)
        for name, key, value in self._rows(MODEL_TAGS):
            self.models[name].tags[key] = value
        for row in self._rows(VERSIONS):
            version = SimpleNamespace(**dict(row) | {"version": str(row["version"])}, tags={})
            self.versions[version.name, version.version] = version
        for name, number, key, value in self._rows(VERSION_TAGS):
            if (name, str(number)) in self.versions:  # tags of a deleted version stay
                self.versions[name, str(number)].tags[key] = value

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        return self.database.execute(query, values).fetchall()

    def search_registered_models(self, **_: Any) -> Page:
        """All registered models."""
        return Page(self.models.values())

    def search_model_versions(self, **_: Any) -> Page:
        """All versions, of every model."""
        return Page(self.versions.values())

    def get_registered_model(self, name: str) -> SimpleNamespace:
        """A registered model with its aliases and tags."""
        return _existing(self.models, name)

    def get_model_version(self, name: str, version: str) -> SimpleNamespace:
        """A version by its number."""
        return _existing(self.versions, (name, str(int(version))))

    def get_model_version_by_alias(self, name: str, alias: str) -> SimpleNamespace:
        """The version that has an alias."""
        if alias.lower() == "latest":  # one of MLflow's own
            raise UnansweredError
        return self.get_model_version(name, _existing(self.get_registered_model(name).aliases, alias))

    def get_run(self, run_id: str) -> SimpleNamespace:
        """A run with its tags, which may be deleted."""
        rows = self._rows(RUN, run_id)
        if not rows:
            raise MissingError
        tags = dict(map(tuple, self._rows(RUN_TAGS, run_id)))
        return SimpleNamespace(info=SimpleNamespace(**dict(rows[0])), data=SimpleNamespace(tags=tags))

    def download(self, version: SimpleNamespace, name: str, folder: Path) -> Path | None:
        """A copy in `folder` of an artifact of a version; None if it is lost."""
        file = self._artifact(version.storage_location, name)
        return Path(shutil.copyfile(file, folder / file.name)) if file.is_file() else None

    def read_json(self, run: SimpleNamespace, name: str) -> dict[str, Any] | None:
        """The object in a JSON artifact of a run; None if it is lost or holds something else."""
        try:
            return read_json(self._artifact(run.info.artifact_uri, name))
        except (OSError, ValueError):
            return None

    def _artifact(self, location: str | None, name: str) -> Path:
        try:
            return self.folder / artifact_path(location or "") / name
        except ValueError:
            raise UnansweredError from None


def _existing(found: dict[Any, Any], key: Any) -> Any:
    if key not in found:
        raise MissingError
    return found[key]
