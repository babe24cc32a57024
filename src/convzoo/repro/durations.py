"""How long stages took, by profile, for estimates of the time left.

FILE has the last runs of this clone and may be deleted at any time. REFERENCE is committed, for clones in which little
has run so far; `make durations` writes it.
"""

import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from convzoo.errors import ConvzooError, main
from convzoo.files import write_json
from convzoo.settings.load import read_params

FOLDER = Path(".repro")  # ignored by git and DVC
FILE = FOLDER / "durations.json"
REFERENCE = Path("pipeline/durations.json")
TRAIN = "train"


def read_durations(profile: str, file: Path = FILE) -> dict[str, float]:
    """The seconds that each stage took when it last ran; none if the file is missing or damaged."""
    return _read(file).get(profile, {})


def save_durations(profile: str, seconds: Mapping[str, float]) -> None:
    """Add the seconds of stages to those of earlier runs."""
    stored = _read(FILE)
    stored[profile] = stored.get(profile, {}) | {name: round(value, 1) for name, value in seconds.items()}
    write_json(FILE, stored)


def write_reference(profile: str) -> None:
    """Make the last runs of this clone the reference of a profile. Raises ConvzooError if nothing ran."""
    seconds = read_durations(profile)
    if not seconds:
        raise ConvzooError(f"{FILE}: has no durations of the profile {profile}, expected some; run: convzoo repro -f")
    write_json(REFERENCE, _read(REFERENCE) | {profile: seconds})


def scaled(reference: Mapping[str, float], seconds: Mapping[str, float]) -> dict[str, float]:
    """The seconds of the reference, scaled by those of the stages that ran here; unscaled if none of them ran."""
    both = reference.keys() & seconds.keys()
    expected = sum(reference[name] for name in both)
    factor = sum(seconds[name] for name in both) / expected if expected else 1.0
    return {name: value * factor for name, value in reference.items()}


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


def _read(file: Path) -> dict[str, dict[str, float]]:
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return {profile: {name: float(value) for name, value in seconds.items()} for profile, seconds in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


if __name__ == "__main__":
    main(lambda: write_reference(read_params().values["profile"]))
