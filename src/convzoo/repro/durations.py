"""How long stages took, by profile, for estimates of the time left. The file may be deleted at any time."""

import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from convzoo.files import write_json

FOLDER = Path(".repro")  # ignored by git and DVC
FILE = FOLDER / "durations.json"
TRAIN = "train"


def read_durations(profile: str) -> dict[str, float]:
    """The seconds that each stage took when it last ran; none if the file is missing or damaged."""
    return _read().get(profile, {})


def save_durations(profile: str, seconds: Mapping[str, float]) -> None:
    """Add the seconds of stages to those of earlier runs."""
    stored = _read()
    stored[profile] = stored.get(profile, {}) | {name: round(value, 1) for name, value in seconds.items()}
    write_json(FILE, stored)


def estimate(names: Iterable[str], seconds: Mapping[str, float]) -> float | None:
    """The seconds that stages will take together, given those of earlier runs.

    A stage that never ran counts like the mean of its kind, such as `export`, and one of a new kind like the mean of
    all that do not train. None if that is not known either, or for a training if none ever ran.
    """
    total = 0.0
    for name in names:
        alike = [value for other, value in seconds.items() if _kind(other) == _kind(name)]
        if not alike and _kind(name) != TRAIN:
            alike = [value for other, value in seconds.items() if _kind(other) != TRAIN]
        if not alike:
            return None
        total += seconds.get(name, statistics.fmean(alike))
    return total


def _kind(name: str) -> str:
    return name.partition("@")[0]


def _read() -> dict[str, dict[str, float]]:
    try:
        stored = json.loads(FILE.read_text(encoding="utf-8"))
        return {profile: {name: float(value) for name, value in seconds.items()} for profile, seconds in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
