"""The data check: prepared and augmented images against Great Expectations, and what is said when they fail."""

import logging
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.data_context.types.base import DataContextConfig, ProgressBarsConfig
from great_expectations.data_context.types.base import InMemoryStoreBackendDefaults as InMemory

from convzoo.errors import ConvzooError
from convzoo.files import new_folder, write_json
from convzoo.settings.data import DataSettings, ValidateSettings, data_settings
from convzoo.settings.load import Params
from convzoo.validation import observations as observed
from convzoo.validation.observations import AUGMENTED, NONE, PREPARED, WHOLE, Names, split_folder

SPLITS = (*PREPARED, AUGMENTED)

AtLeast = gxe.ExpectColumnPairValuesAToBeGreaterThanB
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
    splits: tuple[str, ...] = (*SPLITS, WHOLE)  # where it says something


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
    folder = root / "data" / "validated"
    shutil.rmtree(folder, ignore_errors=True)
    failures, failed, verdicts = [], [], {}
    with new_folder(root / "reports" / "data_docs") as docs, new_folder(root / "reports" / "data") as details:
        context = _context(docs)
        for dataset, wanted in settings.items():
            report, digests = _check_dataset(context, root, dataset, wanted)
            write_json(details / f"{dataset}.json", report)
            failures += _messages(report, wanted.validate_.rows_named)
            failed += [dataset] * (not report["passed"])
            verdicts[dataset] = {"dataset": dataset, "passed": True, **digests}
        context.build_data_docs()
        _link_pages(docs)
    if failed:
        raise InvalidDataError("\n".join([*failures, _remedy(failed)]))
    with new_folder(folder) as new:
        for dataset, verdict in verdicts.items():
            write_json(new / f"{dataset}.json", verdict)
    return verdicts


def _check_dataset(context: Any, root: Path, dataset: str, settings: DataSettings) -> tuple[dict, dict[str, str]]:
    """Every check of a data set, and the digests of its sound splits: only these are looked into.

    No digest of test: what is in test must not make a network train again.
    """
    prepare, listed = settings.prepare, settings.validate_.rows_named
    folders = {split: split_folder(root, dataset, split) for split in SPLITS}
    shape = (prepare.height, prepare.width, prepare.channels)
    meta, names = observed.observe_meta(folders["train"].parent, prepare.classes, shape)
    files = pd.concat([*(observed.observe_files(folder, split, shape) for split, folder in folders.items()), meta])
    findings = _run(context, dataset, Table("files", "file", (*SPLITS, WHOLE), files, _file_checks(meta)), listed)

    broken = {finding["split"] for finding in findings if not finding["passed"]}
    if "train" in broken:
        broken.add(AUGMENTED)  # nothing to hold the variants against
    if names.classes is None:
        broken = set(SPLITS)  # nothing tells what the labels stand for
    images = {split: observed.observe_images(folders[split], split) for split in SPLITS if split not in broken}
    for table in _tables(names, images, settings.validate_) if images else []:
        findings += _run(context, dataset, table, listed)
    report = {
        "dataset": dataset,
        "passed": all(finding["passed"] for finding in findings),
        "images": {split: len(found.table) for split, found in images.items()},
        "not_looked_into": [split for split in SPLITS if split in broken],
        "checks": findings,
    }
    return report, {split: found.digest for split, found in images.items() if split != "test"}


def _tables(names: Names, images: dict[str, observed.Images], limits: ValidateSettings) -> list[Table]:
    """What is checked once the files are known to be sound."""
    sound = {split: images[split] for split in PREPARED if split in images}
    labels = {split: found.table["label"].to_numpy() for split, found in sound.items()}
    frame = observed.count_images(sound, limits.min_images.model_dump())
    tables = [Table("splits", "split", tuple(sound), frame, _split_checks())]
    if names.classes:
        frame = observed.count_classes(labels, names.classes)
        tables.append(Table("classes", "class", tuple(sound), frame, _class_checks("class", limits.min_class_share)))
    if names.superclasses:
        frame = observed.count_classes(observed.superclass_labels(labels, names), names.superclasses)
        tables.append(Table("superclasses", "superclass", tuple(sound), frame, _class_checks("superclass")))
    frame = observed.relate({split: found.table for split, found in images.items()})
    variants = AUGMENTED in images and len(images[AUGMENTED].table) > 0
    return [*tables, Table("images", "row", tuple(images), frame, _image_checks(names, limits, variants))]


def _file_checks(meta: pd.DataFrame) -> list[Check]:
    dtype, shape, rows, classes, superclasses = (
        Same(column_A=name, column_B=f"expected_{name}") for name in observed.FILE_COLUMNS
    )
    checks = [
        Check("unreadable file", "a whole file", InSet(column="problem", value_set=[NONE])),
        Check("wrong type", "{}", dtype, SPLITS),
        Check("wrong shape", "{}", shape),
        Check("wrong number of rows", "{}, as many as images", rows, SPLITS),
        Check("other class names than the set's", "{}", classes, (WHOLE,)),
        Check("superclass of each class", "{}", superclasses, (WHOLE,)),
    ]
    return checks if meta["superclasses"].notna().any() else checks[:-1]


def _split_checks() -> list[Check]:
    brightest = Between(column="brightest", min_value=LEAST_BRIGHTEST, max_value=255)
    return [
        Check("too few images", "at least {}", AtLeast(column_A="images", column_B="least", or_equal=True)),
        Check("grey levels scaled away: brightest of all", f"{LEAST_BRIGHTEST} to 255", brightest),
    ]


def _class_checks(unit: str, least: float = 0) -> list[Check]:
    checks = [Check(f"missing {unit}: images", "at least 1", Between(column="images", min_value=1))]
    if least:
        share = Between(column="share", min_value=least)
        checks.append(Check(f"rare {unit}: share of an even split", f"at least {least:g}", share))
    return checks


def _image_checks(names: Names, limits: ValidateSettings, variants: bool) -> list[Check]:
    changed, varied = "changed after it was written", (AUGMENTED,)
    contrast = Between(column="std", min_value=limits.min_contrast)
    alone, apart = (InSet(column=column, value_set=[NONE]) for column in ("also_in", "held_out_in"))
    home = InSet(column="original_split", value_set=["train"])
    label = Same(column_A="label", column_B="original_label")
    checks = [
        Check("id used twice", "each id once", Unique(column="id")),
        _label_check(names),
        Check("blank image: standard deviation of grey levels", f"at least {limits.min_contrast:g}", contrast),
        Check(f"{changed}: sha256", "{} as in manifest.csv", Same(column_A="sha256", column_B="manifest_sha256")),
        Check(f"{changed}: label", "{} as in manifest.csv", Same(column_A="label", column_B="manifest_label")),
        Check("image in two splits: other split that holds it", NONE, alone, PREPARED),
        Check("same image twice: sha256", "each image once", Unique(column="once"), PREPARED),
        Check("variant that equals a held-out image: split that holds it too", NONE, apart, varied),
        Check("variant of an image outside train: split of its original", "train", home, varied),
        Check("variant with another label than its original", "{} as its original", label, varied),
    ]
    return checks if variants else [check for check in checks if check.splits != varied]


def _label_check(names: Names) -> Check:
    if not names.classes:
        return Check("label in a set without classes", "0", InSet(column="label", value_set=[0]))
    last = len(names.classes) - 1
    return Check("label out of range", f"0 to {last}", Between(column="label", min_value=0, max_value=last))


def _context(docs: Path) -> Any:
    """A Great Expectations that keeps everything in memory but its HTML, sends nothing and draws no bars."""
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.resolve())},
        # A page of results says what was expected; pages without results are left out.
        "site_section_builders": {"expectations": "None", "profiling": "None"},
    }
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    bars = ProgressBarsConfig(globally=False)
    config = DataContextConfig(store_backend_defaults=InMemory(), analytics_enabled=False, progress_bars=bars)
    context = gx.get_context(mode="ephemeral", project_config=config)
    context.add_data_docs_site("data", site)
    # One for all tables: to add one costs Great Expectations more than most tables' checks.
    context.data_sources.add_pandas("arrays").add_dataframe_asset("table").add_batch_definition_whole_dataframe("whole")
    return context


def _link_pages(docs: Path) -> None:
    """Great Expectations fills its index with scripts from the network; plain links work without."""
    pages = sorted(page.relative_to(docs) for page in docs.glob("validations/**/*.html"))
    links = "".join(f'<li><a href="{page.as_posix()}">{page.parts[1]}</a></li>' for page in pages)
    index = docs / "index.html"
    html = index.read_text(encoding="utf-8").replace("</body>", f"<ul>{links}</ul></body>")
    index.write_text(html, encoding="utf-8")


def _run(context: Any, dataset: str, table: Table, listed: int) -> list[dict]:
    """Run a table's checks: a finding for each check and split. Of images, `listed` are named in each."""
    for check in table.checks:
        check.expectation.meta = {"check": check.title}
        check.expectation.description = f"{check.title}, expected {check.expected.format('the same')}"
    name = f"{dataset}-{table.name}"
    batch = context.data_sources.get("arrays").get_asset("table").get_batch_definition("whole")
    suite = context.suites.add(
        gx.ExpectationSuite(name=name, expectations=[check.expectation for check in table.checks])
    )
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
    found = definition.run(
        batch_parameters={"dataframe": table.frame},
        result_format={"result_format": "COMPLETE", "partial_unexpected_count": listed},
    )
    results = {result.expectation_config.meta["check"]: result for result in found.results}
    pairs = [(check, split) for check in table.checks for split in table.splits if split in check.splits]
    return [_finding(table, check, split, results[check.title], listed) for check, split in pairs]


def _finding(table: Table, check: Check, split: str, result: Any, listed: int) -> dict:
    # Great Expectations lists all places, but the values of some only.
    places = result.result.get("unexpected_index_list") or []
    if "unexpected_count" not in result.result or result.success != (not places):
        raise RuntimeError(f"Great Expectations could not check {check.title!r}: {result.exception_info}")
    rows, failed = (frame[frame["split"] == split] for frame in (table.frame, table.frame.loc[places]))
    shown = failed[:listed] if table.unit == "row" else failed
    found, wanted = _columns(check)
    expected = (rows if failed.empty and table.unit != "row" else shown)[wanted].dropna() if wanted else []
    return {
        "split": split,
        "check": check.title,
        "expectation": result.expectation_config.type,
        "expected": check.expected.format(" and ".join(dict.fromkeys(map(_shown, expected)))).strip(),
        "observed": list(dict.fromkeys(map(_shown, shown[found]))),
        "passed": failed.empty,
        "unit": table.unit,
        "checked": len(rows),
        "unexpected": len(failed),
        "rows": shown["named"].tolist(),
    }


def _columns(check: Check) -> tuple[str, str | None]:
    """The column that is checked, and the one with what is expected of it."""
    if "{}" in check.expected:
        return check.expectation.column_A, check.expectation.column_B
    return check.expectation.column, None


def _shown(value: Any) -> str:
    text = str(round(value, 4)) if isinstance(value, float) else str(value)
    last = text.rpartition(" ")[2]
    return f"{last[:12]}..." if len(last) == 64 else text  # a sha256


def _messages(report: dict, rows_named: int) -> list[str]:
    return [
        f"{report['dataset']}/{finding['split']}{_where(finding, rows_named)}: {finding['check']}, "
        f"expected {finding['expected']}, got {', '.join(finding['observed'][:rows_named])}"
        for finding in report["checks"]
        if not finding["passed"]
    ]


def _where(finding: dict, rows_named: int) -> str:
    rows, count, unit = finding["rows"], finding["unexpected"], finding["unit"]
    if unit == "split":
        return ""
    named = ", ".join(map(str, rows[:rows_named])) + (", ..." if count > min(len(rows), rows_named) else "")
    plural = "" if count == 1 else "s" if unit == "row" else "es"
    return f" {named}" if unit == "file" else f" {unit}{plural} {named} ({count} of {finding['checked']})"


def _remedy(datasets: list[str]) -> str:
    files, blocks = (", ".join(map(text.format, datasets)) for text in ("reports/data/{}.json", "data.{}.validate"))
    return (
        f"look at {files} or reports/data_docs/index.html; then mend the source, make damaged files again (dvc repro "
        f"-f prepare augment) or, if the data are right, change the limits ({blocks} in params.yaml), and run dvc repro"
    )
