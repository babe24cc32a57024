"""The registered versions with their aliases, main metric, and time of registration."""

import datetime
from typing import Any

from convzoo.text import in_columns
from convzoo.tracking import store
from convzoo.tracking.aliases import aliases_of
from convzoo.tracking.missing import not_found
from convzoo.tracking.reader import ask
from convzoo.tracking.registered import VERDICT, registered_models, versions_of

MAIN_METRICS = ("test_accuracy", "test_psnr", "test_kid")  # a version's main metric is the first of these that it has


def listing(network: str | None = None) -> list[dict[str, Any]]:
    """A row for each registered version, newest first within its network; of one `network`, or of all.

    Raises ConvzooError if there is none, and TrackingError if the store fails.
    """

    def rows_of(client: Any) -> list[dict[str, Any]]:
        rows = []
        for model in registered_models(client):
            if network not in (None, model.name):
                continue
            aliases = aliases_of(client, model.name)
            for version in reversed(versions_of(client, model.name)):
                here = [alias.named(name) for name, alias in aliases.items() if alias.version == str(version.version)]
                rows.append(_row(model.name, version, here))
        if not rows:
            raise not_found(client, network or "the registry")
        return rows

    with store.failures_raised_as(f"{store.tracking_uri()}: cannot be listed"):
        return ask(rows_of)


def when(milliseconds: int) -> str:
    """A time of MLflow's in UTC, to the minute."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def _row(network: str, version: Any, aliases: list[str]) -> dict[str, Any]:
    values = {key: _number(version.tags.get(key)) for key in MAIN_METRICS}
    main = next((key for key, value in values.items() if value is not None), None)
    return {
        "network": network,
        "version": int(version.version),
        "aliases": aliases,
        "measure": main,
        "value": values[main] if main else None,
        "registered": when(version.creation_timestamp),
        "promotion": version.tags.get(f"{VERDICT}verdict"),
    }


def _number(text: str | None) -> float | None:
    """The value of a tag; None if there is no such tag, or if it was set by hand to something else."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def as_text(rows: list[dict[str, Any]]) -> str:
    """The rows for a terminal."""
    table = [["network", "version", "aliases", "main metric", "registered (UTC)", "promotion"]]
    for row in rows:
        measure = f"{row['measure']} {row['value']:.4g}" if row["measure"] else "-"
        aliases, promotion = ", ".join(row["aliases"]) or "-", row["promotion"] or "-"
        table.append([row["network"], str(row["version"]), aliases, measure, row["registered"], promotion])
    return in_columns(table)
