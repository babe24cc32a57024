"""The gate for the alias champion: its conditions, with required and measured values."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.cards.markdown import table
from convzoo.data.arrays import load_split
from convzoo.files import sha256_of
from convzoo.promotion.comparison import Difference
from convzoo.promotion.measuring import Evaluator, Measurement, latencies
from convzoo.promotion.splits import COMPARED, UNKNOWN, same_images
from convzoo.settings.promotion import Promotion
from convzoo.shipping.model import Model
from convzoo.shipping.parity import Parity, parity_of
from convzoo.text import in_columns

NONE = "-"
PARITY = "same outputs as the PyTorch weights"
# Metrics that are shown in percent.
SHARES = ("accuracy", "class_recall", "coarse_accuracy", "calibration_error", "precision", "recall")


class Condition(NamedTuple):
    """A row of the verdict."""

    condition: str
    required: str
    candidate: str
    champion: str = NONE
    interval: str = NONE
    passed: bool = True


class Contender(NamedTuple):
    """The candidate or the champion, and its registered file."""

    version: str
    file: Path | None  # None if the store lost it
    lineage: dict[str, Any]  # see `lineage_of`
    splits: dict[str, str]  # digests of val and test, as far as they are known
    export: dict[str, Any]  # export.json of the file; empty if it is missing

    @property
    def identity(self) -> dict[str, Any]:
        return self.lineage["identity"]


class SplitResult(NamedTuple):
    """The conditions and measurements on one split."""

    conditions: list[Condition]
    difference: Difference | None  # None if there is no champion
    measured: dict[str, dict[str, float]]  # the metrics of candidate and champion


class GateResult(NamedTuple):
    """The result of the gate."""

    conditions: list[Condition]
    splits: dict[str, str]  # digests of val and test on disk; empty if the files were refused before
    results: dict[str, SplitResult]  # by split, for those that were measured

    @property
    def failed(self) -> list[str]:
        return [row.condition for row in self.conditions if not row.passed]


def file_condition(contender: Contender) -> Condition:
    """Whether the registered file is the one that the stage `export` wrote."""
    expected = contender.lineage["model_sha256"]
    found = sha256_of(contender.file) if contender.file else "missing"
    return Condition("file in the registry", f"sha256 {expected[:12]}", found[:12], passed=found == expected)


def preconditions(
    candidate: Contender, champion: Contender | None, dataset: str, current: dict[str, str], verdict: dict[str, Any]
) -> list[Condition]:
    """The conditions before any measurement: parity, data checks, and the same images for both versions.

    `current` are the digests of val and test on disk, `verdict` is what the stage `validate` wrote about them.
    """
    rows = [_parity_condition([*parity_of(candidate.export).values()])]
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


def cost_conditions(settings: Promotion, models: list[Model], folder: Path) -> list[Condition]:
    """Latency, on an image of the split in `folder`, and size of the files of candidate and champion."""
    sizes = [model.path.stat().st_size / 1e6 for model in models]
    rows = []
    if settings.ceilings.latency is not None:
        milliseconds = latencies(models, np.asarray(load_split(folder).images[:1]))
        rows.append(_ceiling_condition("latency of one input", settings.ceilings.latency, milliseconds, "ms"))
    if settings.ceilings.file_size is not None:
        rows.append(_ceiling_condition("file size", settings.ceilings.file_size, sizes, "MB"))
    return rows


def evaluate_split(
    name: str, folder: Path, evaluator: Evaluator, settings: Promotion, models: list[Model]
) -> SplitResult:
    """Measure the candidate and the champion, if there is one, on the split `name` of the prepared set in `folder`.

    Val decides: the lower end of the interval must exceed the negative margin. Test confirms: the estimate must.
    """
    split = load_split(folder / name)
    measured = [evaluator.measure(model, split) for model in models]
    rows = [*_limit_conditions(name, settings, measured)]
    difference = evaluator.compare(*measured) if len(measured) == 2 else None
    if difference:
        rows.append(gain_condition(name, evaluator.main, settings, measured, difference))
    labels = ("candidate", "champion")
    return SplitResult(rows, difference, {label: side.values for label, side in zip(labels, measured, strict=False)})


def _parity_condition(files: list[Parity]) -> Condition:
    """Whether every file of the export agrees with the weights."""
    if not files:
        return Condition(PARITY, "as export.json says", "not recorded", passed=False)
    required = ", ".join(parity.required for parity in files)
    measured = ", ".join(parity.measured for parity in files)
    return Condition(PARITY, required, measured, passed=all(parity.holds for parity in files))


def _limit_conditions(name: str, settings: Promotion, measured: list[Measurement]) -> Iterator[Condition]:
    floors = getattr(settings, "floors", None)
    for key, least in floors.model_dump().items() if floors else ():
        if least is not None:
            yield _limit_condition(
                name, key, f">= {in_units(key, least, 'g')}", measured, lambda value, least=least: value >= least
            )
    for key, most in settings.ceilings.model_dump().items():
        if most is not None and key not in ("latency", "file_size"):
            yield _limit_condition(
                name, key, f"<= {in_units(key, most, 'g')}", measured, lambda value, most=most: value <= most
            )


def _limit_condition(
    name: str, key: str, required: str, measured: list[Measurement], holds: Callable[[float], bool]
) -> Condition:
    values = [side.values.get(key) for side in measured]
    texts = ["not measured" if value is None else in_units(key, value) for value in values]
    passed = values[0] is not None and holds(values[0])
    return Condition(f"{name} {key}", required, *texts, passed=passed)


def gain_condition(
    name: str, main: str, settings: Promotion, measured: list[Measurement], difference: Difference
) -> Condition:
    """Whether the candidate is better by the rule: the interval on val, the estimate on test."""
    bound = in_units(main, -settings.margin, "g", gain=True) if settings.margin else "0"
    decides = name == "val"
    required = f"{'whole interval' if decides else 'estimate'} above {bound}"
    passed = (difference.low if decides else difference.estimate) > -settings.margin
    values = [in_units(main, side.values[main]) for side in measured]
    estimate, low, high = (in_units(main, value, "+", gain=True) for value in difference)
    interval = f"{estimate} ({low} to {high})"
    return Condition(f"{name} {main}: gain over champion", required, *values, interval, passed)


def in_units(metric: str, value: float, form: str = "", gain: bool = False) -> str:
    """A value of a metric with its unit; gains of a metric in percent are percentage points (pp).

    `form` is "+" for a sign, "g" for as few digits as a limit in params.yaml has.
    """
    unit, digits = (" dB", 2) if metric == "psnr" else ("", 4)
    if metric in SHARES:
        value, unit, digits = 100 * value, " pp" if gain else " %", 2
    return (f"{value:g}" if form == "g" else f"{value:{form}.{digits}f}") + unit


def _ceiling_condition(name: str, most: float, values: list[float], unit: str) -> Condition:
    return Condition(
        name, f"<= {most:g} {unit}", *(f"{value:.2f} {unit}" for value in values), passed=values[0] <= most
    )


def as_text(rows: Iterable[Condition]) -> str:
    """The verdict for a terminal, with a column per field."""
    head = [field.replace("_", " ") for field in Condition._fields]
    return in_columns([head, *([*row[:-1], "yes" if row.passed else "NO"] for row in rows)])


def as_markdown(rows: Iterable[Condition]) -> str:
    """The verdict as a Markdown table."""
    return table(list(Condition._fields), [[*row[:-1], "yes" if row.passed else "**no**"] for row in rows])


def verdict_as_markdown(title: str, conditions: list[Condition], is_whole: bool) -> str:
    """The verdict with all conditions, or only with the failed ones and the gains."""
    shown = [row for row in conditions if is_whole or not row.passed or "gain" in row.condition]
    omitted = f"{len(conditions) - len(shown)} other conditions passed; the run has all of them."
    parts = [title, as_markdown(shown) if shown else "", omitted if len(shown) < len(conditions) else ""]
    return "\n\n".join(filter(None, parts))
