"""Runs checks with Great Expectations, and says for each split what was found."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.data_context.types.base import DataContextConfig, ProgressBarsConfig
from great_expectations.data_context.types.base import InMemoryStoreBackendDefaults as InMemory

from convzoo.validation.observations import SPLITS, WHOLE


class Check(NamedTuple):
    """An expectation and its description."""

    title: str
    expected: str  # {} is the value of the column of expected values
    expectation: gxe.Expectation
    splits: tuple[str, ...] = (*SPLITS, WHOLE)  # to which it applies


class Table(NamedTuple):
    """Dataframes with a column `split`, and their checks."""

    name: str
    unit: str  # of one row of a dataframe
    splits: tuple[str, ...]
    frames: Iterable[pd.DataFrame]  # one, or the parts of a table of rows that is too large for one
    checks: list[Check]


class Result(NamedTuple):
    """What a check found in the rows of a split."""

    expectation: str
    checked: int
    failed: int
    shown: pd.DataFrame  # the rows that failed, of the images only the first ones
    examples: pd.DataFrame  # rows whose expected values are shown


def new_context(docs: Path) -> Any:
    """A Great Expectations context that stores only its HTML on disk, sends no analytics and shows no progress bars."""
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.resolve())},
        # Pages of results include the expectations; pages without results are left out.
        "site_section_builders": {"expectations": "None", "profiling": "None"},
    }
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    bars = ProgressBarsConfig(globally=False)
    config = DataContextConfig(store_backend_defaults=InMemory(), analytics_enabled=False, progress_bars=bars)
    context = gx.get_context(mode="ephemeral", project_config=config)
    context.add_data_docs_site("data", site)
    # One asset for all tables: adding one takes longer than most tables' checks.
    context.data_sources.add_pandas("arrays").add_dataframe_asset("table").add_batch_definition_whole_dataframe("whole")
    return context


def run_checks(context: Any, dataset: str, table: Table, listed: int) -> list[dict]:
    """Run a table's checks: one finding per check and split, each of which names at most `listed` images."""
    for check in table.checks:
        check.expectation.meta = {"check": check.title}
        check.expectation.description = f"{check.title}, expected {check.expected.format('the same')}"
    name = f"{dataset}-{table.name}"
    batch = context.data_sources.get("arrays").get_asset("table").get_batch_definition("whole")
    suite = context.suites.add(
        gx.ExpectationSuite(name=name, expectations=[check.expectation for check in table.checks])
    )
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
    pairs = [(check, split) for check in table.checks for split in table.splits if split in check.splits]
    results: dict[tuple[str, str], list[Result]] = {(check.title, split): [] for check, split in pairs}
    for frame in table.frames:
        outcome = definition.run(
            batch_parameters={"dataframe": frame},
            result_format={"result_format": "COMPLETE", "partial_unexpected_count": listed},
        )
        found = {result.expectation_config.meta["check"]: result for result in outcome.results}
        for check, split in pairs:
            results[check.title, split].append(_result(table, check, split, frame, found[check.title], listed))
    return [_finding(table, check, split, _joined(results[check.title, split], listed)) for check, split in pairs]


def _result(table: Table, check: Check, split: str, frame: pd.DataFrame, result: Any, listed: int) -> Result:
    # Great Expectations lists all indices, but only some of the values.
    places = result.result.get("unexpected_index_list") or []
    if "unexpected_count" not in result.result or result.success != (not places):
        raise RuntimeError(f"Great Expectations could not check {check.title!r}: {result.exception_info}")
    rows, failed = (part[part["split"] == split] for part in (frame, frame.loc[places]))
    shown = failed[:listed] if table.unit == "row" else failed
    examples = rows if failed.empty and table.unit != "row" else shown
    return Result(result.expectation_config.type, len(rows), len(failed), shown, examples)


def _joined(parts: list[Result], listed: int) -> Result:
    """The result for all parts of a table."""
    if len(parts) == 1:
        return parts[0]
    shown = pd.concat([part.shown for part in parts]).sort_values("named")[:listed]
    counts = (sum(part.checked for part in parts), sum(part.failed for part in parts))
    return Result(parts[0].expectation, *counts, shown, shown)


def _finding(table: Table, check: Check, split: str, result: Result) -> dict:
    actual_column, expected_column = _columns(check)
    expected = result.examples[expected_column].dropna() if expected_column else []
    return {
        "split": split,
        "check": check.title,
        "expectation": result.expectation,
        "expected": check.expected.format(" and ".join(dict.fromkeys(map(_shown, expected)))).strip(),
        "observed": list(dict.fromkeys(map(_shown, result.shown[actual_column]))),
        "passed": not result.failed,
        "unit": table.unit,
        "checked": result.checked,
        "unexpected": result.failed,
        "rows": result.shown["named"].tolist(),
    }


def _columns(check: Check) -> tuple[str, str | None]:
    """The column that is checked, and the column of expected values."""
    if "{}" in check.expected:
        return check.expectation.column_A, check.expectation.column_B
    return check.expectation.column, None


def _shown(value: Any) -> str:
    text = str(round(value, 4)) if isinstance(value, float) else str(value)
    last = text.rpartition(" ")[2]
    return f"{last[:12]}..." if len(last) == 64 else text  # a sha256
