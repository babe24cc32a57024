"""The page of `convzoo drift`: what differs, the distributions side by side, and the days of the log."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from convzoo.files import new_file
from convzoo.plots import BLUE, ORANGE, picture
from convzoo.report import report
from convzoo.report.pictures import Picture, pictures_in
from convzoo.report.tables import NONE, Table, words
from convzoo.shipping.reference import CLASS, Reference
from convzoo.watching.drift import class_counts

TEMPLATE = Path(__file__).with_name("drift.html.jinja")
ACROSS = 5  # panels in a row
BINS = 30
CLASSES_NAMED = 20  # with more classes, the bars have no names
CAPTIONS = {
    "distributions": "The distribution of each measurement in the reference and in the log, as shares of the images.",
    "classes": "The predicted classes in the reference and in the log, as shares of the images.",
}


def write_page(path: Path, found: Mapping[str, Any], reference: Reference, logged: Mapping[str, np.ndarray]) -> None:
    """Write the page about what `convzoo drift` found, which needs no other file and no internet access."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([TEMPLATE.parent, report.TEMPLATE.parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(TEMPLATE.name).render(
        found=found,
        tests=_table(found["comparisons"]),
        days=Table(["day (UTC)", "images"], [[day, f"{count:,}"] for day, count in found["days"].items()]),
        facts_of_run=_facts(found),
        pictures=_pictures(reference, logged),
    )
    with new_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _table(comparisons: list[dict[str, Any]]) -> Table:
    header = [
        "measurement",
        "drifted",
        "distance",
        "adjusted p-value",
        "p-value",
        "mean in the reference",
        "in the log",
    ]
    rows = [
        [
            words(row["name"]),
            "yes" if row["drifted"] else "no",
            f"{row['distance']:.3f}",
            f"{row['adjusted']:.2g}",
            f"{row['p_value']:.2g}",
            *(NONE if row[side] is None else f"{row[side]:.4g}" for side in ("reference", "logged")),
        ]
        for row in comparisons
    ]
    return Table(header, rows, frozenset(number for number, row in enumerate(comparisons) if row["drifted"]))


def _facts(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    others = ", ".join(f"{count:,} of {sha256}" for sha256, count in found["others"].items())
    return [
        ("version", found["title"]),
        ("sha256", found["sha256"]),
        ("log", f"{found['images']:,} images, {found['first']} to {found['last']}"),
        ("reference", f"{found['reference_images']:,} images of {found['split']}"),
        ("level", f"{found['level']:g} for all measurements together (Holm's correction)"),
        ("smallest distance that counts", f"{found['least_distance']:g}"),
        ("rows of other versions, left out", others or "none"),
        ("not compared, since the log has no values", ", ".join(map(words, found["missing"])) or "none"),
    ]


def _pictures(reference: Reference, logged: Mapping[str, np.ndarray]) -> list[Picture]:
    names = [name for name in reference.columns if len(logged.get(name, ()))]
    numeric = [name for name in names if name != CLASS]
    with tempfile.TemporaryDirectory() as folder:
        down = -(-len(numeric) // ACROSS)
        with picture(Path(folder, "distributions.png"), 2.7 * ACROSS, 2.1 * down) as figure:
            for place, name in enumerate(numeric, 1):
                axes = figure.add_subplot(down, ACROSS, place)
                _draw_histograms(axes, reference.columns[name], logged[name])
                axes.set(title=words(name))
                if place == 1:
                    axes.legend()
        if CLASS in names:
            with picture(Path(folder, "classes.png"), 2.7 * ACROSS, 3) as figure:
                _draw_classes(figure.add_subplot(), reference, logged[CLASS])
        return pictures_in(Path(folder), CAPTIONS)


def _draw_histograms(axes: Any, known: np.ndarray, logged: np.ndarray) -> None:
    edges = np.histogram_bin_edges(np.concatenate([known, logged]), BINS)
    for values, colour, label in ((known, BLUE, "reference"), (logged, ORANGE, "log")):
        axes.stairs(np.histogram(values, edges)[0] / len(values), edges, color=colour, label=label)


def _draw_classes(axes: Any, reference: Reference, logged: np.ndarray) -> None:
    classes = reference.about["classes"]
    counts = class_counts(reference.columns[CLASS], logged, len(classes))
    places = np.arange(len(classes))
    for row, offset, colour, label in zip(counts, (-0.2, 0.2), (BLUE, ORANGE), ("reference", "log"), strict=True):
        axes.bar(places + offset, row / row.sum(), 0.4, color=colour, label=label)
    if len(classes) <= CLASSES_NAMED:
        axes.set_xticks(places, classes)
    axes.legend()
