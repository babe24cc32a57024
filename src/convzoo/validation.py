"""The data check: prepared and augmented images against Great Expectations, and what is said when they fail."""

import logging
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import DataContextConfig, ProgressBarsConfig
from great_expectations.data_context.types.base import InMemoryStoreBackendDefaults as InMemory

from convzoo.data import observed
from convzoo.data.arrays import digest, load_split
from convzoo.data.observed import AUGMENTED, NONE, PREPARED, split_folder
from convzoo.errors import ConvzooError
from convzoo.files import new_folder, write_json
from convzoo.settings.data import DataSettings, data_settings
from convzoo.settings.load import Params

SPLITS = (*PREPARED, AUGMENTED)

Between = gxe.ExpectColumnValuesToBeBetween
InSet = gxe.ExpectColumnValuesToBeInSet
Same = gxe.ExpectColumnPairValuesToBeEqual
Unique = gxe.ExpectColumnValuesToBeUnique

# An image file whose greatest value is 1 was scaled to 0..1 and cut to whole numbers.
LEAST_BRIGHTEST = 2


class InvalidDataError(ConvzooError):
    """Images that no network may be trained on: a line for each failure, and what to do."""


class Check(NamedTuple):
    """An expectation, in words."""

    title: str
    expected: str  # {} stands for the value of the other column
    expectation: gxe.Expectation


class Table(NamedTuple):
    """A dataframe with a column `split`, and what is expected of it."""

    name: str
    unit: str  # what a line of the table is
    splits: tuple[str, ...]
    frame: pd.DataFrame
    checks: list[Check]


def validate(params: Params, root: Path = Path()) -> dict[str, dict]:
    """Check every data set of params.yaml, recomputed from its arrays, and write what was found.

    Always writes reports/data/SET.json (the same bytes for the same data) and reports/data_docs/ (HTML, with times);
    data/validated/SET.json, which trainings wait for, only if all sets passed. Returns the verdicts by data set.
    Raises InvalidDataError with a line for each failure, and SettingsError.
    """
    settings = {dataset: data_settings(params, dataset) for dataset in params.values["data"]}
    verdicts = root / "data" / "validated"
    shutil.rmtree(verdicts, ignore_errors=True)
    failures, failed = [], []
    with new_folder(root / "reports" / "data_docs") as docs, new_folder(root / "reports" / "data") as details:
        context = _context(docs)
        for dataset, wanted in settings.items():
            report = _check_dataset(context, root, dataset, wanted)
            write_json(details / f"{dataset}.json", report)
            failures += _messages(report, wanted.validate_.rows_named)
            failed += [] if report["passed"] else [dataset]
        context.build_data_docs()
        _link_pages(docs)
    if failed:
        raise InvalidDataError("\n".join([*failures, _remedy(failed)]))
    passed = {dataset: _verdict(root, dataset) for dataset in settings}
    with new_folder(verdicts) as folder:
        for dataset, verdict in passed.items():
            write_json(folder / f"{dataset}.json", verdict)
    return passed


def _verdict(root: Path, dataset: str) -> dict:
    """Nothing in it about test: what is in test must not make a network train again."""
    folders = {split: split_folder(root, dataset, split) for split in ("train", "val", AUGMENTED)}
    digests = {split: digest(load_split(folder)) for split, folder in folders.items()}
    return {"dataset": dataset, "passed": True, **digests}


def _check_dataset(context: Any, root: Path, dataset: str, settings: DataSettings) -> dict:
    """Every check of a data set. Images are looked at only in splits whose files are sound."""
    prepare = settings.prepare
    folders = {split: split_folder(root, dataset, split) for split in SPLITS}
    shape = (prepare.height, prepare.width, prepare.channels)
    files = pd.concat([observed.observe_files(folder, split, shape) for split, folder in folders.items()])
    findings = _run(context, dataset, Table("files", "file", SPLITS, files, _file_checks()), len(files))

    broken = {finding["split"] for finding in findings if not finding["passed"]}
    if "train" in broken:
        broken.add(AUGMENTED)  # nothing to hold the variants against
    images = {split: observed.observe_images(folders[split], split) for split in SPLITS if split not in broken}
    observed.relate(images)
    sound = tuple(split for split in PREPARED if split in images)
    if sound:
        classes = observed.count_classes(images, prepare.classes)
        table = Table("classes", "class", sound, classes, _class_checks(settings))
        findings += _run(context, dataset, table, len(classes))
    for split, frame in images.items():
        table = Table(split, "row", (split,), frame, _image_checks(split, len(frame), settings))
        findings += _run(context, dataset, table, settings.validate_.rows_named)
    return {
        "dataset": dataset,
        "passed": all(finding["passed"] for finding in findings),
        "images": {split: len(frame) for split, frame in images.items()},
        "not_looked_into": [split for split in SPLITS if split in broken],
        "checks": findings,
    }


def _file_checks() -> list[Check]:
    return [
        Check("unreadable file", "a whole file", InSet(column="problem", value_set=[NONE])),
        Check("wrong type", "{}", Same(column_A="dtype", column_B="expected_dtype")),
        Check("wrong shape", "{}", Same(column_A="shape", column_B="expected_shape")),
        Check("wrong number of rows", "{}, as many as images", Same(column_A="rows", column_B="expected_rows")),
    ]


def _class_checks(settings: DataSettings) -> list[Check]:
    least = settings.validate_.min_class_share
    return [
        Check("missing class: images", "at least 1", Between(column="images", min_value=1)),
        Check("rare class: share of an even split", f"at least {least:g}", Between(column="share", min_value=least)),
    ]


def _image_checks(split: str, images: int, settings: DataSettings) -> list[Check]:
    limits, last = settings.validate_, len(settings.prepare.classes) - 1
    contrast = Between(column="std", min_value=limits.min_contrast)
    changed = "changed after it was written"
    alone = InSet(column="also_in", value_set=[NONE])
    checks = [
        Check("id used twice", "each id once", Unique(column="id")),
        Check("label out of range", f"0 to {last}", Between(column="label", min_value=0, max_value=last)),
        Check("blank image: standard deviation of grey levels", f"at least {limits.min_contrast:g}", contrast),
        Check(f"{changed}: sha256", "{} as in manifest.csv", Same(column_A="sha256", column_B="manifest_sha256")),
        Check(f"{changed}: label", "{} as in manifest.csv", Same(column_A="label", column_B="manifest_label")),
    ]
    if split == AUGMENTED:
        home = InSet(column="original_split", value_set=["train"])
        label = Same(column_A="label", column_B="original_label")
        return [
            *checks,
            Check("variant that equals a held-out image: split that holds it too", NONE, alone),
            Check("variant of an image outside train: split of its original", "train", home),
            Check("variant with another label than its original", "{} as its original", label),
        ]
    least = getattr(limits.min_images, split)
    checks += [
        Check("image in two splits: other split that holds it", NONE, alone),
        Check("same image twice: sha256", "each image once", Unique(column="sha256")),
        Check("too few images", f"at least {least}", gxe.ExpectTableRowCountToBeBetween(min_value=least)),
    ]
    if images:  # nothing is the brightest of none
        brightest = gxe.ExpectColumnMaxToBeBetween(column="max", min_value=LEAST_BRIGHTEST, max_value=255)
        checks.append(Check("grey levels scaled away: brightest of all", f"{LEAST_BRIGHTEST} to 255", brightest))
    return checks


def _context(docs: Path) -> Any:
    """A Great Expectations that keeps everything in memory but its HTML, sends nothing and draws no bars."""
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.resolve())},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    quiet = {"analytics_enabled": False, "progress_bars": ProgressBarsConfig(globally=False)}
    config = DataContextConfig(store_backend_defaults=InMemory(), **quiet)
    context = gx.get_context(mode="ephemeral", project_config=config)
    context.add_data_docs_site("data", site)
    return context


def _link_pages(docs: Path) -> None:
    """Great Expectations fills its index with scripts from the network; plain links work without."""
    pages = sorted(docs.glob("validations/**/*.html"), key=lambda page: page.stem)
    links = "".join(f'<li><a href="{page.relative_to(docs).as_posix()}">{page.stem}</a></li>' for page in pages)
    index = docs / "index.html"
    html = index.read_text(encoding="utf-8")
    index.write_text(html.replace("</body>", f"<ul>{links}</ul></body>"), encoding="utf-8")


def _run(context: Any, dataset: str, table: Table, listed: int) -> list[dict]:
    """Run a table's checks; a finding for each check and split, with at most `listed` rows in all."""
    known = context.data_sources.all()
    source = known[dataset] if dataset in known else context.data_sources.add_pandas(dataset)
    batch = source.add_dataframe_asset(table.name).add_batch_definition_whole_dataframe("whole")
    name = f"{dataset}-{table.name}"
    for check in table.checks:
        check.expectation.meta = {"check": check.title}
        check.expectation.description = f"{check.title}, expected {check.expected.format('the same')}"
    expectations = [check.expectation for check in table.checks]
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
    found = definition.run(
        batch_parameters={"dataframe": table.frame},
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": listed},
        run_id=RunIdentifier(run_name=dataset),
    )
    results = {result.expectation_config.meta["check"]: result for result in found.results}
    return [finding for check in table.checks for finding in _findings(table, check, results[check.title])]


def _findings(table: Table, check: Check, result: Any) -> list[dict]:
    values = result.result
    if not values:
        raise RuntimeError(f"Great Expectations could not check {check.title!r}: {result.exception_info}")
    if "unexpected_count" in values:
        rows, shown = values.get("partial_unexpected_index_list", []), values.get("partial_unexpected_list", [])
        count = values["unexpected_count"]
    else:  # of the table as a whole
        rows, shown = [], [values["observed_value"]]
        count = 0 if result.success else len(table.frame)
    found = []
    for split in table.splits:
        here = [at for at, row in enumerate(rows) if len(table.splits) == 1 or table.frame.at[row, "split"] == split]
        got = [shown[at] for at in here] if rows else shown
        found.append(
            {
                "split": split,
                "check": check.title,
                "expectation": result.expectation_config.type,
                "expected": _expected(table, check, split, got),
                "observed": list(dict.fromkeys(_shown(value) for value in got)),
                "passed": result.success or (len(table.splits) > 1 and not here),
                "unit": table.unit,
                "checked": int((table.frame["split"] == split).sum()),
                "unexpected": len(here) if len(table.splits) > 1 else count,
                "rows": [_named(table, rows[at]) for at in here],
            }
        )
    return found


def _expected(table: Table, check: Check, split: str, got: list) -> str:
    others = [value[1] for value in got if isinstance(value, tuple)]
    if not others and table.unit == "file" and "{}" in check.expected:
        column = check.expectation.column_B
        others = list(table.frame.loc[table.frame["split"] == split, column].dropna())
    return check.expected.format(" and ".join(dict.fromkeys(map(_shown, others)))).strip()


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        value = value[0]
    text = str(round(value, 4)) if isinstance(value, float) else str(value)
    return f"{text[:12]}..." if len(text) == 64 else text  # a sha256


def _named(table: Table, row: Any) -> int | str:
    if table.unit == "row":
        return int(row)
    named, rows = table.frame.at[row, "named"], table.frame.at[row, "rows"] if table.unit == "file" else None
    return f"{named} (all {rows} rows)" if isinstance(rows, str) else named


def _messages(report: dict, rows_named: int) -> list[str]:
    lines = []
    for finding in report["checks"]:
        if not finding["passed"]:
            got = ", ".join(finding["observed"][:rows_named])
            where = f"{report['dataset']}/{finding['split']} {_where(finding, rows_named)}"
            lines.append(f"{where}: {finding['check']}, expected {finding['expected']}, got {got}")
    return lines


def _where(finding: dict, rows_named: int) -> str:
    rows, count, unit = finding["rows"], finding["unexpected"], finding["unit"]
    if not rows:
        return f"all {count} rows"
    named = ", ".join(map(str, rows[:rows_named])) + (", ..." if count > min(len(rows), rows_named) else "")
    if unit == "file":
        return named
    plural = "" if count == 1 else "es" if unit == "class" else "s"
    return f"{unit}{plural} {named} ({count} of {finding['checked']})"


def _remedy(datasets: list[str]) -> str:
    files = ", ".join(f"reports/data/{dataset}.json" for dataset in datasets)
    blocks = ", ".join(f"data.{dataset}.validate" for dataset in datasets)
    return (
        f"look at {files} or reports/data_docs/index.html; then mend the source, make damaged files again (dvc repro "
        f"-f prepare augment) or, if the data are right, change the limits ({blocks} in params.yaml), and run dvc repro"
    )
