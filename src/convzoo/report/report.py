"""The zoo on one page: what each network reached, how it was trained, and where everything came from.

Nothing here knows a family: pictures are what lies in the folders, captions their names, tables what the files hold.
"""

import base64
import csv
import io
import math
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from PIL import Image
from safetensors import safe_open

from convzoo.errors import ConvzooError
from convzoo.files import new_file, read_json
from convzoo.plots import picture
from convzoo.settings.load import Params

PAGE = Path("reports/index.html")
TEMPLATE = Path(__file__).with_name("report.html.jinja")
PICTURES = {".png": "image/png", ".gif": "image/gif"}
LONGEST_TABLE = 120  # rows; of a longer CSV file the page has only the picture
SMALLEST_PICTURE = 480  # pixels across; a smaller one is enlarged by a whole factor

# Said wherever such images, or what was measured on them, are shown.
DRAWN = "drawn by convzoo, not the real set"

# What torch keeps beside the parameters: statistics, not learned.
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")

KINDS = ("loss", "accuracy", "probability")  # columns that end so are drawn together, first
SPLITS = ("train_", "val_", "test_")
FOREMOST = ("check", "split", "unexpected")  # columns of a table of checks
WORDS = {"f1": "F1", "psnr": "PSNR", "ssim": "SSIM", "fid": "FID", "kid": "KID", "lr": "LR"}


class Cells(NamedTuple):
    """A table of text."""

    header: list[str]
    rows: list[list[str]]
    failed: list[bool]  # of each row


class Picture(NamedTuple):
    """A picture as part of a page."""

    caption: str
    address: str  # the bytes themselves
    width: int  # as shown, pixels
    height: int
    pixelated: bool
    table: Cells | None  # the numbers behind it


def write_report(params: Params) -> None:
    """Write reports/index.html from the files of every data set and network that params.yaml names, in its order.

    The page needs no other file and no network, and is the same for the same files. Raises ConvzooError for a file
    that is missing or broken.
    """
    datasets = {name: _dataset(params, name) for name in params.values["data"]}
    networks = [_network(params, name, datasets) for name in params.values["networks"]]
    loader, blocks = jinja2.FileSystemLoader(TEMPLATE.parent), {"trim_blocks": True, "lstrip_blocks": True}
    page = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, **blocks)
    text = page.get_template(TEMPLATE.name).render(
        profile=params.values["profile"],
        results=_results(networks),
        networks=networks,
        datasets=list(datasets.values()),
    )
    with new_file(PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _network(params: Params, name: str, datasets: dict[str, dict[str, Any]]) -> dict[str, Any]:
    folder = Path("models") / name
    architecture, export = _json(folder / "architecture.json"), _json(folder / "export.json")
    metrics = _json(folder / "metrics.json")
    learned, stored = _count_weights(folder / "weights.safetensors")
    dataset, drawn = export["dataset"], datasets[export["dataset"]]["drawn"]
    history = _csv(folder / "history.csv")
    nested = {key: value for key, value in metrics.items() if isinstance(value, dict)}
    pictures = _pictures(folder / "plots")
    told = {picture.caption for picture in pictures if picture.table}
    return {
        "name": name,
        "family": architecture["family"],
        "dataset": dataset,
        "drawn": drawn,
        "named": f"{name}\n{dataset}\n{drawn}".replace(", ", ",\n").strip(),
        "metrics": {key: value for key, value in metrics.items() if key not in nested},
        "facts": [str(len(export.get("classes") or []) or "–"), f"{learned:,}", _bytes(export["bytes"])],
        "scores": [(_words(key), _records(value)) for key, value in nested.items() if _words(key) not in told],
        "curves": _curves(history),
        "history": Cells([_words(column) for column in history[0]], history[1:], [False] * len(history[1:])),
        "pictures": pictures,
        "origin": {
            "Architecture": _flat(architecture),
            "Training": _flat(_json(folder / "fingerprint.json")),
            "Exported file": [*_flat(export), ("numbers in weights.safetensors", f"{stored:,}")],
            "Evaluation": _flat(params.values["evaluation"].get(name, {})),
        },
    }


def _dataset(params: Params, name: str) -> dict[str, Any]:
    checks = _json(Path("reports/data") / f"{name}.json")
    tables = {key: value for key, value in checks.items() if value and _is_records(value)}
    meta = _json(Path("data/prepared") / name / "meta.json")
    source = meta.pop("source")
    if superclasses := meta.pop("superclasses", None):
        meta["superclasses"] = {above: [] for above in superclasses}
        for label, number in zip(meta["classes"], meta.pop("superclass_of"), strict=True):
            meta["superclasses"][superclasses[number]].append(label)
    return {
        "name": name,
        "drawn": DRAWN if source["kind"] == "synthetic" else "",
        "passed": checks["passed"],
        "preview": _pictures(Path("data/augmented") / name),
        "variants": params.values["data"][name]["augment"]["variants"],
        "homepage": source.pop("homepage", None),
        "origin": _flat({"source": source, **meta}),
        "augmentation": _flat(params.values["data"][name]["augment"]),
        "verdict": _flat({key: value for key, value in checks.items() if key not in {*tables, "dataset", "passed"}}),
        "checks": [(_words(key), _records_table(value)) for key, value in tables.items()],
    }


def _results(networks: list[dict[str, Any]]) -> list[tuple[str, Cells]]:
    """A table for each family, since each has metrics of its own."""
    tables = []
    for family in dict.fromkeys(network["family"] for network in networks):
        members = [network for network in networks if network["family"] == family]
        metrics = {key: None for network in members for key in network["metrics"]}
        bounds = {f"{key}{end}" for key in metrics for end in ("_low", "_high") if f"{key}_low" in metrics}
        shown = sorted(metrics.keys() - bounds, key=lambda key: (f"{key}_low" not in metrics, key))  # evidence first
        titles = [_words(key.removeprefix("test_")) for key in shown]
        header = ["network and data", *titles, "classes", "parameters", "file"]
        rows = [
            [network["named"], *(_with_interval(network["metrics"], key) for key in shown), *network["facts"]]
            for network in members
        ]
        tables.append((family, Cells(header, rows, [False] * len(rows))))
    return tables


def _with_interval(metrics: dict[str, Any], key: str) -> str:
    text = _number(key, metrics.get(key))
    if f"{key}_low" not in metrics:
        return text
    return f"{text}\n{_number(key, metrics[f'{key}_low'])} to {_number(key, metrics[f'{key}_high'])}"


def _number(name: str, value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return f"{value:.2%}" if name.endswith("accuracy") else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _bytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _words(name: str) -> str:
    return " ".join(WORDS.get(word, word) for word in name.replace("-", "_").split("_") if word)


def _flat(values: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested values as rows of a dotted name and a text."""
    if isinstance(values, dict) and values:
        return [row for key, value in values.items() for row in _flat(value, f"{name}.{key}" if name else str(key))]
    return [(name, _text(values))] if name else []


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "–"
    if value is None or value == {}:
        return "–"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _is_records(value: Any) -> bool:
    rows = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and all(isinstance(row, dict) for row in rows)


def _records(values: dict[str, dict]) -> Cells:
    """A row for each key, a column for each key of its values."""
    columns = list(dict.fromkeys(column for row in values.values() for column in row))
    rows = [[str(key), *(_number(column, row.get(column)) for column in columns)] for key, row in values.items()]
    return Cells(["", *map(_words, columns)], rows, [False] * len(rows))


def _records_table(rows: list[dict]) -> Cells:
    """A row for each check; it failed if it says so, or counts unexpected rows."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    columns.sort(key=lambda column: FOREMOST.index(column) if column in FOREMOST else len(FOREMOST))
    failed = [bool(row.get("unexpected")) or row.get("passed") is False for row in rows]
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    return Cells(list(map(_words, columns)), cells, failed)


def _pictures(folder: Path) -> list[Picture]:
    """Every picture of a folder, by name; with the numbers of a CSV file of the same name."""
    files = sorted(file for file in folder.glob("*") if file.suffix in PICTURES) if folder.is_dir() else []
    return [_picture(_words(file.stem), file, _numbers(file.with_suffix(".csv"))) for file in files]


def _picture(caption: str, file: Path, table: Cells | None = None) -> Picture:
    content = file.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except OSError as error:
        raise ConvzooError(f"{file}: is not a picture that can be read; make it again with dvc repro") from error
    factor = math.ceil(SMALLEST_PICTURE / width)
    address = f"data:{PICTURES[file.suffix]};base64,{base64.b64encode(content).decode()}"
    return Picture(caption, address, width * factor, height * factor, factor > 1, table)


def _numbers(file: Path) -> Cells | None:
    if not file.is_file():
        return None
    header, *rows = _csv(file)
    return Cells([_words(name) for name in header], rows, [False] * len(rows)) if len(rows) <= LONGEST_TABLE else None


def _curves(history: list[list[str]]) -> Picture:
    """The columns of history.csv over the epochs, those of one kind (loss, accuracy, ...) in one panel."""
    header, *rows = history
    epochs = [float(row[0]) for row in rows]
    panels: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for index, column in enumerate(header[1:], start=1):
        panels.setdefault(_kind(column), []).append(index)
    panels = {kind: columns for kind, columns in panels.items() if columns}
    across = min(3, max(len(panels), 1))
    down = math.ceil(max(len(panels), 1) / across)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "curves.png"
        with picture(file, 3.6 * across, 2.9 * down) as figure:
            for place, (kind, columns) in enumerate(panels.items(), start=1):
                axes = figure.add_subplot(down, across, place)
                for index in columns:
                    values = [float(row[index] or "nan") for row in rows]
                    axes.plot(epochs, values, marker="o" if len(rows) <= 30 else None, label=_words(header[index]))
                axes.set(title=_words(kind), xlabel=header[0])
                axes.xaxis.get_major_locator().set_params(integer=True)
                if len(columns) > 1:
                    axes.legend()
        return _picture(", ".join(map(_words, panels)) + " in each " + header[0], file)


def _kind(column: str) -> str:
    for kind in KINDS:
        if column.endswith(f"_{kind}"):
            return kind
    return next((column.removeprefix(split) for split in SPLITS if column.startswith(split)), column)


def _count_weights(file: Path) -> tuple[int, int]:
    """How many numbers a file of weights holds: the learned ones, and all."""
    try:
        with safe_open(file, framework="numpy") as weights:
            names = weights.keys()
            sizes = {name: math.prod(weights.get_slice(name).get_shape()) for name in names}
    except Exception as error:
        raise ConvzooError(f"{file}: cannot be read as safetensors ({error}); `dvc repro` makes it") from error
    learned = sum(size for name, size in sizes.items() if not name.endswith(BUFFERS))
    return learned, sum(sizes.values())


def _json(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except (OSError, ValueError) as error:
        raise ConvzooError(f"{file}: cannot be read ({_reason(error)}); `dvc repro` makes it") from error


def _csv(file: Path) -> list[list[str]]:
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
    except (OSError, ValueError) as error:
        raise ConvzooError(f"{file}: cannot be read ({_reason(error)}); `dvc repro` makes it") from error
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise ConvzooError(f"{file}: expected a header and rows of the same length; make it again with dvc repro")
    return rows


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
