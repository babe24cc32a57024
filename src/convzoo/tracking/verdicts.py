"""What a promotion leaves with a version in mlflow: tags, a section of its description, and artifacts of its run."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convzoo.tracking import store  # before mlflow: what it reads when it is imported is set there

# isort: split
import mlflow
from mlflow.exceptions import MlflowException

from convzoo.cards.card import LIMIT, PROMOTION, RESERVED
from convzoo.tracking.models import model_of
from convzoo.tracking.versions import Version

SECTION = "## Promotion"  # begins the last part of a version's description; what stands above is the card
TAG = "convzoo.promotion."


def record(found: Version, tags: Mapping[str, str], whole: str, brief: str, values: Mapping[str, Any]) -> None:
    """Write a verdict: `tags` of the version, Markdown in its description, `values` as JSON with its run.

    The description gets the `brief` one where the `whole` one leaves no room for the card.
    """
    client, name, number = found.client, found.version.name, str(found.version.version)
    for key, value in tags.items():
        client.set_model_version_tag(name, number, TAG + key, value)
    with store.locked(store.beside("register")):  # which writes the card above it
        before = client.get_model_version(name, number).description or ""
        card = PROMOTION.split(before, 1)[0].rstrip()
        room = max(RESERVED, LIMIT - len(card)) - len(SECTION) - 4
        told = whole if len(whole) <= room else brief[:room]
        client.update_model_version(name, number, f"{card}\n\n{SECTION}\n\n{told}".lstrip())
    place = f"promotion/version-{number}-{values['when'].replace(':', '')}"
    client.log_dict(found.run.info.run_id, dict(values), f"{place}.json")
    client.log_text(found.run.info.run_id, f"{SECTION}\n\n{whole}\n", f"{place}.md")


def export_of(found: Version) -> dict[str, Any]:
    """export.json of a version's file: kept beside it, or with its run if that is of the same file; else empty."""
    location = found.client.get_logged_model(model_of(found.version)).artifact_location
    for uri in (f"{location}/extra_files/export.json", f"{found.run.info.artifact_uri}/evaluation/export.json"):
        with TemporaryDirectory() as folder:
            try:
                text = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)).read_text()
            except (MlflowException, OSError):
                continue
            told = json.loads(text)
            if told.get("model_sha256") == found.descent["model_sha256"]:
                return told
    return {}
