"""Networks whose file in models/ is a registered version, but not the one with the alias `candidate`.

`dvc exp run` leaves aliases alone, and the stage `register` does not run again for an experiment that is applied later.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from convzoo.files import read_json
from convzoo.tracking.aliases import CANDIDATE, aliases_of
from convzoo.tracking.live import tracking_is_off
from convzoo.tracking.reader import Reader, UnansweredError
from convzoo.tracking.registered import EXPERIMENT, SHA256, is_by_hand, versions_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def request_registrations(networks: Iterable[str]) -> list[str]:
    """Make DVC run the stage `register` for each network whose file in models/ is that of an applied experiment.

    Removes models/NETWORK/registration.json, which that stage writes again; returns a line for each network. Does
    nothing within an experiment, without tracking, for a tracking server, to an alias that was moved by hand, and for a
    version that has been the candidate before: with a database that clones share, another one may have moved on.
    """
    if tracking_is_off() or os.environ.get("DVC_EXP_NAME"):
        return []
    try:
        with closing(Reader()) as reader:
            found = {name: version for name in networks if (version := _to_register(reader, name))}
    except (UnansweredError, OSError, sqlite3.Error):
        return []
    for name in found:
        Path("models", name, "registration.json").unlink(missing_ok=True)
    return [
        f"{name}: version {version} is in models/{name}, but not the {CANDIDATE} yet: register makes it so"
        for name, version in found.items()
    ]


def version_in_models(client: MlflowClient | Reader, network: str) -> ModelVersion | None:
    """The version with the file of models/NETWORK, if it is registered and not the candidate; else None."""
    try:
        sha256 = read_json(Path("models", network, "export.json"), "model_sha256")["model_sha256"]
    except (OSError, ValueError):
        return None
    versions = [version for version in versions_of(client, network) if not is_by_hand(version)]
    same = {str(version.version): version for version in versions if version.tags[SHA256] == sha256}
    candidate = aliases_of(client, network).get(CANDIDATE)
    return None if not same or (candidate and candidate.version in same) else [*same.values()][-1]


def _to_register(reader: Reader, network: str) -> str | None:
    candidate = aliases_of(reader, network).get(CANDIDATE)
    version = version_in_models(reader, network)
    is_due = version and EXPERIMENT in version.tags and not (candidate and candidate.by_hand)
    return version.version if is_due else None
