"""The gate before the alias champion: conditions, each with what was required and found, and whether it passed."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.cards.markdown import table
from convzoo.data.arrays import load_split
from convzoo.files import sha256_of
from convzoo.promotion.comparison import Difference
from convzoo.promotion.images import Images, images_of
from convzoo.promotion.measuring import Measured, Ruler, latencies
from convzoo.settings.promotion import Promotion
from convzoo.shipping.model import Model
from convzoo.shipping.parity import Parity, parity_of
from convzoo.text import in_columns

NONE = "-"


class Condition(NamedTuple):
    """A row of the verdict."""

    condition: str
    required: str
    candidate: str
    champion: str = NONE
    interval: str = NONE
    passed: bool = True


class Contender(NamedTuple):
    """A version that takes part, with its file as the registry keeps it."""

    version: str
    file: Path | None  # None where the store lost it
    descent: dict[str, Any]  # see tracking.descent
    export: dict[str, Any]  # what the export said of this file; empty where nobody kept that

    @property
    def identity(self) -> dict[str, Any]:
        return self.descent["identity"]


class Judged(NamedTuple):
    """The outcome on one split."""

    conditions: list[Condition]
    difference: Difference | None  # None for a first version
    measured: dict[str, dict[str, float]]  # candidate's and champion's values


def whole_file(contender: Contender) -> Condition:
    """Whether the registry's file is the one that the stage made."""
    expected = contender.descent["model_sha256"]
    found = sha256_of(contender.file) if contender.file else "missing"
    return Condition("file in the registry", f"sha256 {expected[:12]}", found[:12], passed=found == expected)


def fit(
    candidate: Contender, champion: Contender | None, dataset: str, now: Images, verdict: dict[str, Any]
) -> list[Condition]:
    """What must hold before anything is measured: parity, checked data, and the same images for both.

    `now` are the images on disk, `verdict` what the stage `validate` wrote of them.
    """
    rows = [_parity([*parity_of(candidate.export).values()])]
    checked = verdict["passed"] and verdict["val"] == candidate.identity["data"]["val"]
    told = "failed" if not verdict["passed"] else "passed" if checked else "other data"
    rows.append(Condition(f"data checks of {dataset}", "passed", told, passed=checked))
    theirs = images_of(candidate.descent, dataset, now)
    before = images_of(champion.descent, dataset, now) if champion else now
    for split in ("val", "test"):
        digests = [getattr(each, split) if each else "unknown" for each in (now, theirs, before)]
        shown = [digest[:12] for digest in digests]
        same = len(set(digests)) == 1
        rows.append(Condition(f"same {split} images", shown[0], shown[1], shown[2] if champion else NONE, passed=same))
    return rows


def costs(settings: Promotion, models: list[Model], folder: Path) -> list[Condition]:
    """Latency, with an image of the split in `folder`, and size of the candidate's file, beside the champion's."""
    sizes = [model.path.stat().st_size / 1e6 for model in models]
    rows = []
    if settings.ceilings.latency is not None:
        found = latencies(models, np.asarray(load_split(folder).images[:1]))
        rows.append(_ceiling("latency of one input", settings.ceilings.latency, found, "{:.2f} ms"))
    if settings.ceilings.file_size is not None:
        rows.append(_ceiling("file size", settings.ceilings.file_size, sizes, "{:.2f} MB"))
    return rows


def judge(name: str, folder: Path, ruler: Ruler, settings: Promotion, models: list[Model]) -> Judged:
    """Measure candidate and, where there is one, champion on the split `name` of the prepared set in `folder`.

    Val decides: the lower end of the interval must be above minus the margin. Test confirms: the estimate must.
    """
    split = load_split(folder / name)
    found = [ruler.measure(model, split) for model in models]
    rows = [*_limits(name, settings, found)]
    difference = ruler.compare(*found) if len(found) == 2 else None
    if difference:
        rows.append(gain(name, ruler.main, settings, found, difference))
    labels = ("candidate", "champion")
    return Judged(rows, difference, {label: each.values for label, each in zip(labels, found, strict=False)})


def _parity(files: list[Parity]) -> Condition:
    """Whether every file of the export agrees with the weights."""
    if not files:
        return Condition("parity with the weights", "as export.json says", "not recorded", passed=False)
    required = ", ".join(each.required for each in files)
    measured = ", ".join(each.measured for each in files)
    return Condition("parity with the weights", required, measured, passed=all(each.holds for each in files))


def _limits(name: str, settings: Promotion, found: list[Measured]) -> Iterator[Condition]:
    floors = getattr(settings, "floors", None)
    for key, least in floors.model_dump().items() if floors else ():
        if least is not None:
            yield _row(name, key, f">= {least:g}", found, lambda value, least=least: value >= least)
    for key, most in settings.ceilings.model_dump().items():
        if most is not None and key not in ("latency", "file_size"):
            yield _row(name, key, f"<= {most:g}", found, lambda value, most=most: value <= most)


def _row(name: str, key: str, required: str, found: list[Measured], holds: Any) -> Condition:
    values = [each.values.get(key) for each in found]
    shown = ["not measured" if value is None else f"{value:.4f}" for value in values]
    passed = values[0] is not None and holds(values[0])
    return Condition(f"{name} {key}", required, shown[0], shown[1] if len(shown) > 1 else NONE, passed=passed)


def gain(name: str, main: str, settings: Promotion, found: list[Measured], difference: Difference) -> Condition:
    """Whether the candidate is better by the rule: on val the interval decides, on test the estimate confirms."""
    bound = f"{-settings.margin:g}" if settings.margin else "0"
    deciding = name == "val"
    required = f"{'lower end' if deciding else 'estimate'} > {bound}"
    passed = (difference.low if deciding else difference.estimate) > -settings.margin
    values = [f"{each.values[main]:.4f}" for each in found]
    interval = f"{difference.estimate:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
    return Condition(f"{name} {main}: gain", required, *values, interval, passed)


def _ceiling(name: str, most: float, found: list[float], form: str) -> Condition:
    shown = [form.format(value) for value in found]
    return Condition(name, "<= " + f"{most:g}", shown[0], shown[1] if len(shown) > 1 else NONE, passed=found[0] <= most)


def as_text(rows: Iterable[Condition]) -> str:
    """The verdict for a terminal: a column a field."""
    head = [field.replace("_", " ") for field in Condition._fields]
    return in_columns([head, *([*row[:-1], "yes" if row.passed else "NO"] for row in rows)])


def as_markdown(rows: Iterable[Condition]) -> str:
    """The verdict as a table of Markdown."""
    return table(list(Condition._fields), [[*row[:-1], "yes" if row.passed else "**no**"] for row in rows])
