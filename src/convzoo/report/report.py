"""The zoo on one page: what each network reached, how it was trained, and where everything came from.

The page shows what the files hold, for any family: every picture in a folder under its name, every table in a file.
"""

import math
from pathlib import Path
from typing import Any

import jinja2
from safetensors import safe_open

from convzoo.errors import ConvzooError
from convzoo.files import new_file, read_json
from convzoo.report.pictures import curves, pictures_in
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

PAGE = Path("reports/index.html")
TEMPLATE = Path(__file__).with_name("report.html.jinja")
SYNTHETIC = "drawn by convzoo, not the real set"  # shown with such images and with what was measured on them
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # tensors of torch that are not learned


def write_report(params: Params) -> None:
    """Write reports/index.html from the files of every network in models/ and every data set in reports/data/.

    Of params.yaml it only reads the name of the profile. The page needs no other file and no internet access, and has
    the same bytes for the same files. Raises ConvzooError for a file that is missing or broken.
    """
    datasets = {file.stem: _dataset(file.stem) for file in sorted(Path("reports/data").glob("*.json"))}
    networks = [_network(file.parent, datasets) for file in sorted(Path("models").glob("*/architecture.json"))]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(TEMPLATE.name).render(
        profile=params.values["profile"],
        results=_results(networks),
        networks=networks,
        datasets=list(datasets.values()),
    )
    with new_file(PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _network(folder: Path, datasets: dict[str, dict[str, Any]]) -> dict[str, Any]:
    architecture, export = _json(folder / "architecture.json"), _json(folder / "export.json")
    metrics = _json(folder / "evaluation.json")
    learned, stored = _count_weights(folder / "weights.safetensors")
    name, dataset = folder.name, export["dataset"]
    if dataset not in datasets:
        raise ConvzooError(
            f"{folder}: was trained on {dataset}, expected a file reports/data/{dataset}.json; run: dvc repro, or "
            "remove the folder if params.yaml no longer has this network"
        )
    note = datasets[dataset]["note"]
    history = read_csv(folder / "history.csv")
    nested = {key: value for key, value in metrics.items() if isinstance(value, dict)}
    pictures = pictures_in(folder / "plots")
    shown = {picture.caption for picture in pictures if picture.table}
    return {
        "name": name,
        "family": architecture["family"],
        "dataset": dataset,
        "note": note,
        "title": f"{name}\n{dataset}\n{note}".replace(", ", ",\n").strip(),
        "metrics": {key: value for key, value in metrics.items() if key not in nested},
        "size": [str(len(export.get("classes") or []) or "–"), f"{learned:,}", _bytes(export["bytes"])],
        "scores": [(words(key), score_table(value)) for key, value in nested.items() if words(key) not in shown],
        "curves": curves(history),
        "history": Table([words(column) for column in history[0]], history[1:]),
        "pictures": pictures,
        "origin": {
            "Architecture": flat(architecture),
            "Training": flat(_json(folder / "fingerprint.json")),
            "Exported file": [*flat(export), ("numbers in weights.safetensors", f"{stored:,}")],
        },
    }


def _dataset(name: str) -> dict[str, Any]:
    checks = _json(Path("reports/data") / f"{name}.json")
    tables = {key: value for key, value in checks.items() if value and is_table(value)}
    meta = _json(Path("data/prepared") / name / "meta.json")
    source = meta.pop("source")
    if superclasses := meta.pop("superclasses", None):
        meta["superclasses"] = {superclass: [] for superclass in superclasses}
        for label, superclass in zip(meta["classes"], meta.pop("superclass_of"), strict=True):
            meta["superclasses"][superclasses[superclass]].append(label)
    return {
        "name": name,
        "note": SYNTHETIC if source["kind"] == "synthetic" else "",
        "passed": checks["passed"],
        "preview": pictures_in(Path("data/augmented") / name),
        "has_variants": bool(checks["images"].get("augmented")),
        "homepage": source.pop("homepage", None),
        "origin": flat({"source": source, **meta}),
        "verdict": flat({key: value for key, value in checks.items() if key not in {*tables, "dataset", "passed"}}),
        "checks": [(words(key), check_table(value)) for key, value in tables.items()],
    }


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


def _bytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _count_weights(file: Path) -> tuple[int, int]:
    """How many numbers a file of weights holds: the learned ones, and all."""
    try:
        with safe_open(file, framework="numpy") as weights:
            names = weights.keys()
            sizes = {name: math.prod(weights.get_slice(name).get_shape()) for name in names}
    except Exception as error:
        raise ConvzooError(f"{file}: cannot be read ({error}), expected safetensors; run: dvc repro") from error
    learned = sum(size for name, size in sizes.items() if not name.endswith(BUFFERS))
    return learned, sum(sizes.values())


def _json(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except (OSError, ValueError) as error:
        raise unreadable(file, error) from error
