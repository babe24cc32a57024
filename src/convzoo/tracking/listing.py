"""The registry at a glance: networks, versions, aliases, the measure that counts, and when each was registered."""

import datetime
from typing import Any

from convzoo.text import in_columns
from convzoo.tracking import store
from convzoo.tracking.aliases import aliases_of
from convzoo.tracking.answering import answering
from convzoo.tracking.models import none_found
from convzoo.tracking.verdicts import TAG

MAIN = ("test_accuracy", "test_psnr", "test_kid")  # the first of these that a version has


def listing(network: str | None = None) -> list[dict[str, Any]]:
    """A row for each registered version, newest first within its network; `network` keeps to that one.

    Raises ConvzooError where there is none, and TrackingError for a store that fails.
    """
    client, rows = store.use_store(), []
    with answering(f"{store.tracking_uri()}: cannot be listed"):
        for model in sorted(client.search_registered_models(), key=lambda model: model.name):
            if network not in (None, model.name):
                continue
            aliases = aliases_of(client, model.name)
            found = client.search_model_versions(f"name = '{model.name}'")
            for version in sorted(found, key=lambda version: -int(version.version)):
                here = [alias.named(name) for name, alias in aliases.items() if alias.version == str(version.version)]
                rows.append(_row(model.name, version, here))
    if not rows:
        raise none_found(client, network or "the registry")
    return rows


def when(milliseconds: int) -> str:
    """A time of mlflow's, UTC, to the minute."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def _row(network: str, version: Any, aliases: list[str]) -> dict[str, Any]:
    main = next((key for key in MAIN if key in version.tags), None)
    return {
        "network": network,
        "version": int(version.version),
        "aliases": aliases,
        "measure": main,
        "value": float(version.tags[main]) if main else None,
        "registered": when(version.creation_timestamp),
        "promotion": version.tags.get(f"{TAG}verdict"),
    }


def as_text(rows: list[dict[str, Any]]) -> str:
    """The rows for a terminal."""
    table = [["network", "version", "aliases", "measure", "registered (UTC)", "promotion"]]
    for row in rows:
        measure = f"{row['measure']} {row['value']:.4g}" if row["measure"] else "-"
        aliases, promotion = ", ".join(row["aliases"]) or "-", row["promotion"] or "-"
        table.append([row["network"], str(row["version"]), aliases, measure, row["registered"], promotion])
    return in_columns(table)
