"""Compares the log of one version with the reference that was exported with it, for `convzoo drift`."""

import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from convzoo.errors import ConvzooError, did_you_mean
from convzoo.serving.sources import Folder, Registry, Release, networks_of, wanted
from convzoo.shipping.reference import CLASS, REFERENCE, Reference, read_reference
from convzoo.watching.drift import LEAST_ROWS, compare
from convzoo.watching.rows import DAY, Rows, counts_of, read_rows

PERIOD = re.compile(r"([0-9]{1,5})([dhm])")
UNITS = {"d": "days", "h": "hours", "m": "minutes"}
MODELS = Path("models")


class WatchedVersion(NamedTuple):
    """The version whose log is examined."""

    network: str
    title: str
    sha256: str
    version: int | None
    reference: Reference


def period(text: str) -> timedelta:
    """The duration that a text such as 7d, 12h or 30m stands for. Raises ConvzooError for any other text."""
    match = PERIOD.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ConvzooError(
            f"--since: got {text!r}, expected days, hours or minutes from 1 to 99999, as in 7d, 12h or 30m"
        )
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def find_watched(name: str) -> WatchedVersion:
    """The version that NETWORK[@ALIAS] stands for: without an alias @champion, else @candidate, else models/NETWORK.

    Raises ConvzooError if there is none, or if it has no reference.
    """
    release = _release(name)
    with tempfile.TemporaryDirectory(prefix="convzoo-drift-") as folder:
        if release.fetch(Path(folder)) is None or release.sha256 is None:
            raise ConvzooError(
                f"{name}: the file of {release.title} is missing or was registered by hand, expected one that convzoo "
                "registered; choose another version, see: convzoo models"
            )
        try:
            reference = read_reference(Path(folder) / "parts" / REFERENCE, release.sha256)
        except ConvzooError as error:
            raise ConvzooError(f"{name}: {release.title}: {error}") from error
    return WatchedVersion(release.network, release.title, release.sha256, release.version, reference)


def examine(
    watched: WatchedVersion, log: Path, since: str, level: float, least_distance: float, now: datetime | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Compare the log with the reference; return what was found, and the logged measurements.

    Raises ConvzooError for a log that is missing, damaged, of other versions, or too short.
    """
    start = (now or datetime.now(UTC)) - period(since)
    rows = read_rows(log, watched.network, watched.sha256, start)
    if len(rows.table) < LEAST_ROWS:
        others = f" (and {sum(rows.others.values())} of other versions)" if rows.others else ""
        raise ConvzooError(
            f"{log / watched.network}: has {len(rows.table)} images of {watched.title} since {start:%Y-%m-%d %H:%M} "
            f"UTC{others}, expected at least {LEAST_ROWS}; wait for more, or look further back: --since 30d"
        )
    reference = watched.reference
    logged = {name: _column(rows, name, reference) for name in reference.columns}
    comparisons = [row._asdict() for row in compare(reference, logged, level, least_distance)]
    times = rows.table["time"]
    first, last = times[0].as_py(), times[-1].as_py()
    found = {
        "network": watched.network,
        "title": watched.title,
        "version": watched.version,
        "sha256": watched.sha256,
        "since": since,
        "first": f"{first:%Y-%m-%d %H:%M} UTC",
        "last": f"{last:%Y-%m-%d %H:%M} UTC",
        "images": len(times),
        "days": counts_of(pc.strftime(times, format=DAY)),
        "others": rows.others,
        "split": reference.about["split"],
        "reference_images": reference.about["images"],
        "level": level,
        "least_distance": least_distance,
        "drifted": [row["name"] for row in comparisons if row["drifted"]],
        "missing": [name for name, values in logged.items() if not len(values)],
        "comparisons": comparisons,
    }
    return found, logged


def _column(rows: Rows, name: str, reference: Reference) -> np.ndarray:
    """A measurement of the log as the reference has it: classes as their index."""
    values = rows.column(name)
    if name != CLASS:
        return values
    index: Mapping[str, int] = {known: number for number, known in enumerate(reference.about["classes"])}
    return np.array([index[value] for value in values], np.int32)


def _release(name: str) -> Release:
    network, _, alias = name.partition("@")
    snapshot = Registry().snapshot()
    if release := wanted(snapshot.releases.get(network, {}), alias or None):
        return release
    if not alias and MODELS.is_dir():
        exported = Folder(MODELS).snapshot().releases
        if release := wanted(exported.get(network, {}), None):
            return release
    known = networks_of(snapshot)
    if network in snapshot.releases:
        raise ConvzooError(
            f"{name}: no version has the alias {alias or 'champion or candidate'}, expected one; see: convzoo models "
            f"{network}"
        )
    raise ConvzooError(
        f"{name}: there is no such network, {did_you_mean(network, known)}expected a registered one: "
        f"{', '.join(known) or 'none yet'}; see: convzoo models"
    )
