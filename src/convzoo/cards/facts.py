"""The parts of a card on the model, its data, its metrics, its weaknesses and its use, from the network's files."""

from pathlib import Path
from typing import Any

from convzoo.cards.family import family_card
from convzoo.cards.markdown import code, link, number, table
from convzoo.files import read_json
from convzoo.shipping.network_files import NetworkFiles


def about(files: NetworkFiles, version: str | None, classes_shown: int | None) -> str:
    """Family, size, input, output, classes and pretrained weights; shows `classes_shown` class names, or all."""
    export = files.export
    size = f" with {export['parameters']:,} parameters" if "parameters" in export else ""
    title = code(files.network) + (f" version {version}" if version else "")
    raw = ", raw pixels from 0 to 255" if export["input"]["dtype"] == "uint8" else ""
    sentences = [
        f"{title}: {family_card(files.family).noun}{size}.",
        f"Input: {_tensor(export['input'])}{raw}. Output: {_tensor(export['output'])}.",
    ]
    classes = export.get("classes") or []
    if classes:
        names = ", ".join(map(code, classes[:classes_shown]))
        more = f" and {len(classes) - classes_shown} more" if len(classes) > (classes_shown or len(classes)) else ""
        sentences.append(f"The data have {len(classes)} classes: {names}{more}.")
    if export.get("views") == "mirror":
        sentences.append("Each prediction is the mean over an image and its mirror image.")
    if weights := export.get("weights"):
        name = code(weights["name"])
        licence = code(weights["licence"]) if "licence" in weights else "unknown"  # torchvision and own files have none
        sentences.append(f"Pretrained: it started from the published weights {name}, licence: {licence}.")
    size = f", {export['bytes'] / 1e6:.2f} MB" if "bytes" in export else ""
    sha256 = files.sha256 if classes_shown is None else f"{files.sha256[:16]}…"
    return " ".join([*sentences, f"ONNX{size}, sha256 `{sha256}`."])


def data(files: NetworkFiles) -> str:
    """Source, licence, counts and checks of the data set; what has no file is unknown."""
    name, source, counts = files.export["dataset"], files.source, files.meta.get("counts", {})
    origin = f" from the source {code(source['name'])} ({code(source['kind'])})" if source else ""
    homepage = f", {link(source['homepage'])}" if source.get("homepage") else ""
    licence = code(source["licence"], 100) if source.get("licence") else "unknown"
    splits = [f"{counts[split]:,} {split}" for split in ("train", "val", "test") if split in counts]
    sentences = [
        f"Data set {code(name)}{origin}{homepage}.",
        f"Licence: {licence}.",
        f"Images: {', '.join(splits) or 'unknown'}.",
    ]
    dropped = [
        f"{counts[key]:,} {key.removesuffix('_dropped').replace('_', ' ')}"
        for key in sorted(counts)
        if key.endswith("_dropped") and counts[key]
    ]
    if dropped:
        sentences.append(f"Dropped: {', '.join(dropped)}.")
    checks = Path("reports/data", f"{name}.json")
    if checks.is_file():
        sentences.append(f"Data checks: {'passed' if read_json(checks).get('passed') else 'failed'}.")
    return " ".join(sentences)


def metrics(files: NetworkFiles, confidence: float | None, most: int | None) -> str:
    """A table of the numbers in evaluation.json with their intervals or spreads, the most important first.

    Shows `most` of them, or all. `confidence` is that of the intervals; None if the evaluation has no setting for it.
    """
    numbers = files.numbers
    family = family_card(files.family)
    intervals = {
        key: f"± {number(key, numbers[f'{key}_spread'])} (standard deviation of one subset)"
        for key in numbers
        if f"{key}_spread" in numbers
    }
    intervals |= {
        key: f"{number(key, numbers[f'{key}_low'])} to {number(key, numbers[f'{key}_high'])}"
        for key in numbers
        if {f"{key}_low", f"{key}_high"} <= numbers.keys()
    }
    intervals |= family.intervals(files)
    bounds = {f"{key}{end}" for key in numbers for end in ("_low", "_high", "_spread")}
    order = {key: place for place, key in enumerate(family.main_metrics)}
    keys = sorted(
        numbers.keys() - bounds, key=lambda key: (order.get(key, len(order)), not key.startswith("test_"), key)
    )
    rows = ([f"`{key}`", number(key, numbers[key]), intervals.get(key, "")] for key in keys[:most])
    confidence = confidence or family.confidence
    share = f"{100 * confidence:g} % " if confidence else ""
    return table(["metric", "value", f"{share}confidence interval"], rows)


def weaknesses(files: NetworkFiles, most: int) -> list[str]:
    """A line of Markdown for each weakness in the files, each with at most `most` classes or images."""
    return family_card(files.family).weaknesses(files, most) or ["Unknown: they were not measured."]


def intended_use(files: NetworkFiles) -> list[str]:
    """What the network is for and what it is not for."""
    name, licence = code(files.export["dataset"]), files.source.get("licence")
    lines = family_card(files.family).intended_use(files, f"the synthetic set {name}" if files.is_synthetic else name)
    return [*lines, f"The licence of its data applies: {code(licence, 100)}."] if licence else lines


def _tensor(tensor: dict[str, Any]) -> str:
    shape = ", ".join("N" if size is None else str(size) for size in tensor["shape"])
    return f"`{tensor['name']}`, {tensor['dtype']} ({shape})"
