"""Checks prepared and augmented images with Great Expectations, and explains failures."""

import shutil
from pathlib import Path
from typing import Any

import great_expectations.expectations as gxe
import pandas as pd

from convzoo.errors import ConvzooError
from convzoo.files import new_folder, write_json
from convzoo.settings.data import DataSettings, ValidateSettings, data_settings
from convzoo.settings.load import Params
from convzoo.validation import image_rows, observations
from convzoo.validation.checking import Check, Table, new_context, run_checks
from convzoo.validation.observations import AUGMENTED, NONE, PREPARED, SPLITS, WHOLE, LabelNames, split_folder

AtLeast = gxe.ExpectColumnPairValuesAToBeGreaterThanB
Between = gxe.ExpectColumnValuesToBeBetween
InSet = gxe.ExpectColumnValuesToBeInSet
Same = gxe.ExpectColumnPairValuesToBeEqual
Unique = gxe.ExpectColumnValuesToBeUnique

# Images whose greatest value is 1 were scaled to 0..1 and truncated to integers.
LEAST_BRIGHTEST = 2


class InvalidDataError(ConvzooError):
    """Images that are not fit for training: one line per failure, and what to do."""


def validate(params: Params, root: Path = Path()) -> dict[str, dict]:
    """Check the arrays of every data set of params.yaml, and write reports and verdicts.

    Always writes reports/data/SET.json (the same bytes for the same data) and reports/data_docs/ (HTML, with times);
    writes data/validated/SET.json, which trainings depend on, only if all sets pass. Returns the verdicts by data set.
    Raises InvalidDataError with a line per failure, and SettingsError.
    """
    settings = {dataset: data_settings(params, dataset) for dataset in params.values["data"]}
    folder = root / "data" / "validated"
    shutil.rmtree(folder, ignore_errors=True)
    failures, failed, verdicts = [], [], {}
    with new_folder(root / "reports" / "data_docs") as docs, new_folder(root / "reports" / "data") as details:
        context = new_context(docs)
        for dataset, data in settings.items():
            report, digests = _check_dataset(context, root, dataset, data)
            write_json(details / f"{dataset}.json", report)
            failures += _messages(report, data.validate_.rows_named)
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
    """The report on a data set, and the digests of its splits whose files pass their checks; only these are examined.

    There is no digest of test: a change in test must not cause a training.
    """
    prepare, listed = settings.prepare, settings.validate_.rows_named
    folders = {split: split_folder(root, dataset, split) for split in SPLITS}
    shape = (prepare.height, prepare.width, prepare.channels)
    meta, names = observations.observe_meta(folders["train"].parent, prepare.classes, shape)
    files = pd.concat([*(observations.observe_files(folder, split, shape) for split, folder in folders.items()), meta])
    findings = run_checks(
        context, dataset, Table("files", "file", (*SPLITS, WHOLE), [files], _file_checks(meta)), listed
    )

    broken = {finding["split"] for finding in findings if not finding["passed"]}
    if "train" in broken:
        broken.add(AUGMENTED)  # nothing to compare the variants with
    if names.classes is None:
        broken = set(SPLITS)  # the labels have no names
    images = {split: image_rows.observe_images(folders[split], split) for split in SPLITS if split not in broken}
    for table in _tables(names, images, settings.validate_) if images else []:
        findings += run_checks(context, dataset, table, listed)
    report = {
        "dataset": dataset,
        "passed": all(finding["passed"] for finding in findings),
        "images": {split: len(part) for split, part in images.items()},
        "not_looked_into": [split for split in SPLITS if split in broken],
        "checks": findings,
    }
    return report, {split: part.digest for split, part in images.items() if split != "test"}


def _tables(names: LabelNames, images: dict[str, image_rows.SplitImages], limits: ValidateSettings) -> list[Table]:
    """The tables that are checked once the files have passed their checks."""
    prepared = {split: images[split] for split in PREPARED if split in images}
    labels = {split: part.labels for split, part in prepared.items()}
    frame = observations.count_images(prepared, limits.min_images.model_dump())
    tables = [Table("splits", "split", tuple(prepared), [frame], _split_checks())]
    if names.classes:
        frame = observations.count_classes(labels, names.classes)
        tables.append(
            Table("classes", "class", tuple(prepared), [frame], _class_checks("class", limits.min_class_share))
        )
    if names.superclasses:
        frame = observations.count_classes(observations.superclass_labels(labels, names), names.superclasses)
        tables.append(Table("superclasses", "superclass", tuple(prepared), [frame], _class_checks("superclass")))
    variants = AUGMENTED in images and len(images[AUGMENTED]) > 0
    once, *others = _image_checks(names, limits, variants)
    splits = tuple(images)
    if image_rows.parts_of(images) == 1:
        return [*tables, Table("images", "row", splits, image_rows.image_tables(images), [once, *others])]
    # Each part has all copies of an image, but not of an id.
    tables.append(Table("ids", "row", splits, image_rows.id_tables(images), [once]))
    return [*tables, Table("images", "row", splits, image_rows.image_tables(images), others)]


def _file_checks(meta: pd.DataFrame) -> list[Check]:
    dtype, shape, rows, classes, superclasses = (
        Same(column_A=name, column_B=f"expected_{name}") for name in observations.FILE_COLUMNS
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


def _image_checks(names: LabelNames, limits: ValidateSettings, variants: bool) -> list[Check]:
    changed, augmented = "changed after it was written", (AUGMENTED,)
    contrast = Between(column="std", min_value=limits.min_contrast)
    in_one_split, not_held_out = (InSet(column=column, value_set=[NONE]) for column in ("also_in", "held_out_in"))
    from_train = InSet(column="original_split", value_set=["train"])
    label = Same(column_A="label", column_B="original_label")
    checks = [
        Check("id used twice", "each id once", Unique(column="id")),
        _label_check(names),
        Check("blank image: standard deviation of grey levels", f"at least {limits.min_contrast:g}", contrast),
        Check(f"{changed}: sha256", "{} as in manifest.csv", Same(column_A="sha256", column_B="manifest_sha256")),
        Check(f"{changed}: label", "{} as in manifest.csv", Same(column_A="label", column_B="manifest_label")),
        Check("image in two splits: other split that holds it", NONE, in_one_split, PREPARED),
        Check("same image twice: sha256", "each image once", Unique(column="once"), PREPARED),
        Check("variant that equals a held-out image: split that holds it too", NONE, not_held_out, augmented),
        Check("variant of an image outside train: split of its original", "train", from_train, augmented),
        Check("variant with another label than its original", "{} as its original", label, augmented),
    ]
    return checks if variants else [check for check in checks if check.splits != augmented]


def _label_check(names: LabelNames) -> Check:
    if not names.classes:
        return Check("label in a set without classes", "0", InSet(column="label", value_set=[0]))
    last = len(names.classes) - 1
    return Check("label out of range", f"0 to {last}", Between(column="label", min_value=0, max_value=last))


def _link_pages(docs: Path) -> None:
    """Add links to the index page, which Great Expectations fills with scripts that it loads from the network."""
    pages = sorted(page.relative_to(docs) for page in docs.glob("validations/**/*.html"))
    links = "".join(f'<li><a href="{page.as_posix()}">{page.parts[1]}</a></li>' for page in pages)
    index = docs / "index.html"
    html = index.read_text(encoding="utf-8").replace("</body>", f"<ul>{links}</ul></body>")
    index.write_text(html, encoding="utf-8")


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
        f"see {files} or reports/data_docs/index.html; then fix the source, rebuild damaged files (convzoo repro -f "
        f"prepare augment) or, if the data are correct, change the limits ({blocks} in params.yaml), and run: convzoo "
        "repro"
    )
