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
from convzoo.tracking.aliases import CANDIDATE, SET_BY_CONVZOO, aliases_of
from convzoo.tracking.live import tracking_is_off
from convzoo.tracking.reader import Reader, UnansweredError
from convzoo.tracking.registered import SHA256, is_by_hand, versions_of

if TYPE_CHECKING:
    from mlflow import MlflowClient


def request_registrations(networks: Iterable[str]) -> list[str]:
    """Make DVC run the stage `register`, which moves the alias, for each network that needs it; a line about each.

    Removes models/NETWORK/registration.json, which that stage writes again. Does nothing within an experiment, without
    tracking, for a tracking server, and to an alias that was moved or removed by hand.
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
        f"{name}: models/{name} holds version {version}, which is not the {CANDIDATE}: register runs again"
        for name, version in found.items()
    ]


def version_in_models(client: MlflowClient | Reader, network: str) -> str | None:
    """The version with the file of models/NETWORK, if it is registered and not the candidate; else None."""
    try:
        sha256 = read_json(Path("models", network, "export.json"), "model_sha256")["model_sha256"]
    except (OSError, ValueError):
        return None
    versions = [version for version in versions_of(client, network) if not is_by_hand(version)]
    same = [str(version.version) for version in versions if version.tags[SHA256] == sha256]
    candidate = aliases_of(client, network).get(CANDIDATE)
    return same[-1] if same and (candidate is None or candidate.version not in same) else None


def _to_register(reader: Reader, network: str) -> str | None:
    candidate = aliases_of(reader, network).get(CANDIDATE)
    if candidate and candidate.by_hand:
        return None
    version = version_in_models(reader, network)
    is_removed = candidate is None and version and SET_BY_CONVZOO + CANDIDATE in reader.models[network].tags
    return None if is_removed else version
