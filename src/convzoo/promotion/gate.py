"""The gate for the alias champion: conditions, each with the required and the measured values."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.cards.markdown import table
from convzoo.data.arrays import load_split
from convzoo.files import sha256_of
from convzoo.promotion.comparison import Difference
from convzoo.promotion.measuring import Measured, Ruler, latencies
from convzoo.promotion.splits import COMPARED, UNKNOWN, same_images
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
    """A version that is judged or compared with, and its registered file."""

    version: str
    file: Path | None  # None if the store lost it
    lineage: dict[str, Any]  # see `lineage_of`
    splits: dict[str, str]  # digests of val and test; without those unknown
    export: dict[str, Any]  # export.json of the file; empty if it was not kept

    @property
    def identity(self) -> dict[str, Any]:
        return self.lineage["identity"]


class Judged(NamedTuple):
    """The outcome on one split."""

    conditions: list[Condition]
    difference: Difference | None  # None if there is no champion
    measured: dict[str, dict[str, float]]  # the values of candidate and champion


def whole_file(contender: Contender) -> Condition:
    """Whether the registered file is the one that the stage `export` wrote."""
    expected = contender.lineage["model_sha256"]
    found = sha256_of(contender.file) if contender.file else "missing"
    return Condition("file in the registry", f"sha256 {expected[:12]}", found[:12], passed=found == expected)


def fit(
    candidate: Contender, champion: Contender | None, dataset: str, current: dict[str, str], verdict: dict[str, Any]
) -> list[Condition]:
    """What must hold before anything is measured: parity, checked data, and the same images for both versions.

    `current` are the digests of val and test on disk, `verdict` is what the stage `validate` wrote about them.
    """
    rows = [_parity([*parity_of(candidate.export).values()])]
    checked = verdict["passed"] and verdict["val"] == candidate.identity["data"]["val"]
    outcome = "failed" if not verdict["passed"] else "passed" if checked else "other data"
    rows.append(Condition(f"data checks of {dataset}", "passed", outcome, passed=checked))
    for split in COMPARED:
        contenders = [contender.splits.get(split, UNKNOWN) for contender in (candidate, champion) if contender]
        digests = [current[split], *contenders]
        rows.append(
            Condition(f"same {split} images", *(digest[:12] for digest in digests), passed=same_images(digests))
        )
    return rows


def costs(settings: Promotion, models: list[Model], folder: Path) -> list[Condition]:
    """Latency, on an image of the split in `folder`, and size of the candidate's file and the champion's."""
    sizes = [model.path.stat().st_size / 1e6 for model in models]
    rows = []
    if settings.ceilings.latency is not None:
        milliseconds = latencies(models, np.asarray(load_split(folder).images[:1]))
        rows.append(_ceiling("latency of one input", settings.ceilings.latency, milliseconds, "{:.2f} ms"))
    if settings.ceilings.file_size is not None:
        rows.append(_ceiling("file size", settings.ceilings.file_size, sizes, "{:.2f} MB"))
    return rows


def judge(name: str, folder: Path, ruler: Ruler, settings: Promotion, models: list[Model]) -> Judged:
    """Measure the candidate and the champion, if there is one, on the split `name` of the prepared set in `folder`.

    Val decides: the lower end of the interval must exceed the negative margin. Test confirms: the estimate must.
    """
    split = load_split(folder / name)
    measured = [ruler.measure(model, split) for model in models]
    rows = [*_limits(name, settings, measured)]
    difference = ruler.compare(*measured) if len(measured) == 2 else None
    if difference:
        rows.append(gain(name, ruler.main, settings, measured, difference))
    labels = ("candidate", "champion")
    return Judged(rows, difference, {label: side.values for label, side in zip(labels, measured, strict=False)})


def _parity(files: list[Parity]) -> Condition:
    """Whether every file of the export agrees with the weights."""
    if not files:
        return Condition("parity with the weights", "as export.json says", "not recorded", passed=False)
    required = ", ".join(each.required for each in files)
    measured = ", ".join(each.measured for each in files)
    return Condition("parity with the weights", required, measured, passed=all(each.holds for each in files))


def _limits(name: str, settings: Promotion, measured: list[Measured]) -> Iterator[Condition]:
    floors = getattr(settings, "floors", None)
    for key, least in floors.model_dump().items() if floors else ():
        if least is not None:
            yield _limit(name, key, f">= {least:g}", measured, lambda value, least=least: value >= least)
    for key, most in settings.ceilings.model_dump().items():
        if most is not None and key not in ("latency", "file_size"):
            yield _limit(name, key, f"<= {most:g}", measured, lambda value, most=most: value <= most)


def _limit(name: str, key: str, required: str, measured: list[Measured], holds: Callable[[float], bool]) -> Condition:
    values = [side.values.get(key) for side in measured]
    texts = ["not measured" if value is None else f"{value:.4f}" for value in values]
    passed = values[0] is not None and holds(values[0])
    return Condition(f"{name} {key}", required, *texts, passed=passed)


def gain(name: str, main: str, settings: Promotion, measured: list[Measured], difference: Difference) -> Condition:
    """Whether the candidate is better by the rule: on val the interval decides, on test the estimate confirms."""
    bound = f"{-settings.margin:g}" if settings.margin else "0"
    decides = name == "val"
    required = f"{'lower end' if decides else 'estimate'} > {bound}"
    passed = (difference.low if decides else difference.estimate) > -settings.margin
    values = [f"{side.values[main]:.4f}" for side in measured]
    interval = f"{difference.estimate:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
    return Condition(f"{name} {main}: gain", required, *values, interval, passed)


def _ceiling(name: str, most: float, values: list[float], form: str) -> Condition:
    return Condition(name, f"<= {most:g}", *map(form.format, values), passed=values[0] <= most)


def as_text(rows: Iterable[Condition]) -> str:
    """The verdict for a terminal, with a column per field."""
    head = [field.replace("_", " ") for field in Condition._fields]
    return in_columns([head, *([*row[:-1], "yes" if row.passed else "NO"] for row in rows)])


def as_markdown(rows: Iterable[Condition]) -> str:
    """The verdict as a Markdown table."""
    return table(list(Condition._fields), [[*row[:-1], "yes" if row.passed else "**no**"] for row in rows])
