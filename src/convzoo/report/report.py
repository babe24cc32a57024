"""The zoo on one page: which networks were trained, whether they are good, and all metrics.

The page shows what the files hold, for any family: every picture in a folder, every table in a file.
"""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from safetensors import safe_open

from convzoo.cards.facts import about, data, intended_use, metrics, weaknesses
from convzoo.cards.family import Rating, family_card
from convzoo.cards.usage import loading
from convzoo.cards.verdict import verdict_of
from convzoo.errors import ConvzooError
from convzoo.files import new_file, read_json
from convzoo.report.pictures import curves, pictures_in, thumbnail
from convzoo.report.tables import (
    Table,
    bounds_of,
    check_table,
    flat,
    is_table,
    number,
    read_csv,
    score_table,
    unreadable,
    words,
)
from convzoo.settings.load import Params
from convzoo.shipping.network_files import NetworkFiles, read_network, synthetic_note

PAGE = Path("reports/index.html")
TEMPLATE = Path(__file__).with_name("report.html.jinja")
SYNTHETIC = "drawn by convzoo, not the real set"  # shown with such images and with what was measured on them
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # tensors of torch that are not learned
SPLITS = ("train", "val", "test", "augmented")  # as the page lists them
ITEMS = 5  # classes and images in each weakness
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def write_report(params: Params) -> None:
    """Write reports/index.html from the files of every network in models/ and every data set in reports/data/.

    Of params.yaml it reads the profile's name, the networks' targets for a promotion and the confidence of their
    intervals. The page needs no other file and no internet access, and has the same bytes for the same files. Raises
    ConvzooError for a file that is missing or broken.
    """
    datasets = {file.stem: _dataset(file.stem) for file in sorted(Path("reports/data").glob("*.json"))}
    names = [file.parent.name for file in sorted(Path("models").glob("*/architecture.json"))]
    networks = [_network(name, datasets, params) for name in names]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(TEMPLATE.name).render(
        profile=params.values["profile"],
        summary=_summary(networks),
        results=_results(networks),
        networks=networks,
        datasets=list(datasets.values()),
    )
    with new_file(PAGE) as temporary:
        temporary.write_text(page.replace(" %", "\N{NO-BREAK SPACE}%"), encoding="utf-8")


def _network(name: str, datasets: dict[str, dict[str, Any]], params: Params) -> dict[str, Any]:
    files = read_network(name)
    folder, dataset, card = files.folder, files.export["dataset"], family_card(files.family)
    learned, stored = _count_weights(folder / "weights.safetensors")
    if dataset not in datasets:
        raise ConvzooError(
            f"{folder}: was trained on {dataset}, expected a file reports/data/{dataset}.json; run: convzoo repro, or "
            "remove the folder if params.yaml no longer has this network"
        )
    note = datasets[dataset]["note"]
    verdict = verdict_of(files, params.values)
    history = read_csv(folder / "history.csv")
    nested = {key: value for key, value in files.metrics.items() if isinstance(value, dict)}
    pictures = pictures_in(folder / "plots", card.captions)
    pictures.sort(key=lambda picture: picture.name != words(Path(card.picture).stem))
    shown = {picture.name for picture in pictures if picture.table}
    return {
        "name": name,
        "family": files.family,
        "dataset": dataset,
        "note": note,
        "real": synthetic_note(files),
        "verdict": verdict,
        "reason": _html(verdict.reason),
        "task": _html(verdict.task),
        "lead": _html(verdict.sentence),
        "thumbnail": thumbnail(folder / "plots" / card.picture) if card.picture else None,
        "weaknesses": [_html(line) for line in weaknesses(files, ITEMS)],
        "intended_use": [_html(line) for line in intended_use(files)],
        "card": _html(_card(files, params)),
        "title": f"{name}\n{dataset}\n{note}".replace(", ", ",\n").strip(),
        "metrics": {key: value for key, value in files.metrics.items() if key not in nested},
        "size": [str(len(files.export.get("classes") or []) or "–"), f"{learned:,}", _bytes(files.export["bytes"])],
        "curves": curves(history),
        "pictures": pictures,
        "tables": [
            ("every epoch", Table([words(column) for column in history[0]], history[1:])),
            *((words(key), score_table(value)) for key, value in nested.items() if words(key) not in shown),
            *((picture.name, picture.table) for picture in pictures if picture.table),
        ],
        "origin": {
            "architecture": flat(_json(folder / "architecture.json")),
            "training": flat(files.identity),
            "exported file": [*flat(files.export), ("numbers in weights.safetensors", f"{stored:,}")],
        },
    }


def _card(files: NetworkFiles, params: Params) -> str:
    """The sections of the model card that the page has nowhere else, without what only MLflow knows."""
    confidence = params.values.get("evaluation", {}).get(files.network, {}).get("confidence")
    sections = {
        "Model": about(files, None, None),
        "Data": data(files),
        "Metrics": metrics(files, confidence, None),
        "How to load it": loading(files, None, whole=True),
    }
    return "\n\n".join(f"#### {title}\n\n{text}" for title, text in sections.items())


def _dataset(name: str) -> dict[str, Any]:
    checks = _json(Path("reports/data") / f"{name}.json")
    tables = {key: value for key, value in checks.items() if value and is_table(value)}
    meta = _json(Path("data/prepared") / name / "meta.json")
    source = meta.pop("source")
    if superclasses := meta.pop("superclasses", None):
        meta["superclasses"] = {superclass: [] for superclass in superclasses}
        for label, superclass in zip(meta["classes"], meta.pop("superclass_of"), strict=True):
            meta["superclasses"][superclasses[superclass]].append(label)
    has_variants = bool(checks["images"].get("augmented"))
    caption = "Train images, of which no variants are stored."
    if has_variants:
        caption = "Train images before and after augmentation: each with its stored variants."
    return {
        "name": name,
        "note": SYNTHETIC if source["kind"] == "synthetic" else "",
        "passed": checks["passed"],
        "images": ", ".join(f"{checks['images'][split]:,} {split}" for split in SPLITS if split in checks["images"]),
        "licence": source.get("licence"),
        "preview": pictures_in(Path("data/augmented") / name, {"preview": caption}),
        "homepage": source.pop("homepage", None),
        "origin": flat({"source": source, **meta}),
        "verdict": flat({key: value for key, value in checks.items() if key not in {*tables, "dataset", "passed"}}),
        "checks": [(words(key), check_table(value)) for key, value in tables.items()],
    }


def _summary(networks: list[dict[str, Any]]) -> str:
    """How many networks have which rating, such as "6 are good, 1 is weak and 1 failed (mnist-dcgan)"."""
    counts = Counter(network["verdict"].rating for network in networks)
    parts = []
    for rating in (rating for rating in Rating if counts[rating]):
        names = [network["name"] for network in networks if network["verdict"].rating is rating]
        verb = "" if rating is Rating.FAILED else "is " if len(names) == 1 else "are "
        listed = "" if rating is Rating.GOOD else f" ({', '.join(names)})"
        parts.append(f"{len(names)} {verb}{rating}{listed}")
    return ", ".join(parts)


def _results(networks: list[dict[str, Any]]) -> list[tuple[str, Table]]:
    """A table for each family, because each has other metrics; those with an interval come first."""
    tables = []
    for family in dict.fromkeys(network["family"] for network in networks):
        members = [network for network in networks if network["family"] == family]
        metrics = {key: None for network in members for key in network["metrics"]}
        keys = sorted(metrics.keys() - bounds_of(metrics), key=lambda key: (f"{key}_low" not in metrics, key))
        titles = [words(key.removeprefix("test_")) for key in keys]
        rows = [
            [network["title"], *(_with_interval(network["metrics"], key) for key in keys), *network["size"]]
            for network in members
        ]
        tables.append((family, Table(["network and data", *titles, "classes", "parameters", "file"], rows)))
    return tables


def _with_interval(metrics: dict[str, Any], key: str) -> str:
    text = number(key, metrics.get(key))
    if f"{key}_low" not in metrics:
        return text
    return f"{text}\n{number(key, metrics[f'{key}_low'])} to {number(key, metrics[f'{key}_high'])}"


def _html(markdown: str) -> str:
    """A part of a card as HTML; a single paragraph without its tags. HTML in the text is escaped."""
    html = MARKDOWN.render(markdown).strip()
    if html.count("<p>") == 1 and html.startswith("<p>") and html.endswith("</p>"):
        html = html.removeprefix("<p>").removesuffix("</p>")
    return html


def _bytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _count_weights(file: Path) -> tuple[int, int]:
    """How many numbers a file of weights holds: the learned ones, and all."""
    try:
        with safe_open(file, framework="numpy") as weights:
            names = weights.keys()
            sizes = {name: math.prod(weights.get_slice(name).get_shape()) for name in names}
    except Exception as error:
        raise ConvzooError(f"{file}: cannot be read ({error}), expected safetensors; run: convzoo repro") from error
    learned = sum(size for name, size in sizes.items() if not name.endswith(BUFFERS))
    return learned, sum(sizes.values())


def _json(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except (OSError, ValueError) as error:
        raise unreadable(file, error) from error
