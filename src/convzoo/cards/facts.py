"""The parts of a card on the model, its data, its metrics and its use, from the network's files."""

from pathlib import Path
from typing import Any

from convzoo.cards.markdown import code, link, number, percent, table
from convzoo.cards.weaknesses import mean_interval
from convzoo.files import read_json
from convzoo.shipping.network_files import NetworkFiles

FAMILIES = {
    "classifier": "a convolutional classifier",
    "transfer": "a classifier on a pretrained backbone",
    "autoencoder": "a convolutional autoencoder",
    "dcgan": "the generator of a DCGAN",
}
# The most important metrics, which come first in the table.
FIRST_METRICS = (
    *("test_accuracy", "test_coarse_accuracy", "test_features_accuracy", "test_calibration_error"),
    *("test_psnr", "test_image_psnr", "test_ssim", "test_psnr_above_pca"),
    *("test_kid", "test_precision", "test_recall", "test_probe_accuracy", "test_images", "test_generated_images"),
)


def about(files: NetworkFiles, version: str | None, classes_shown: int | None) -> str:
    """Family, size, input, output, classes and pretrained weights; shows `classes_shown` class names, or all."""
    export = files.export
    size = f" with {export['parameters']:,} parameters" if "parameters" in export else ""
    title = code(files.network) + (f" version {version}" if version else "")
    raw = ", raw pixels from 0 to 255" if export["input"]["dtype"] == "uint8" else ""
    sentences = [
        f"{title}: {FAMILIES.get(files.family, f'of the family {code(files.family)}')}{size}.",
        f"Input: {_tensor(export['input'])}{raw}. Output: {_tensor(export['output'])}.",
    ]
    classes = export.get("classes") or []
    if classes:
        names = ", ".join(map(code, classes[:classes_shown]))
        more = f" and {len(classes) - classes_shown} more" if len(classes) > (classes_shown or len(classes)) else ""
        sentences.append(f"{len(classes)} classes in its data: {names}{more}.")
    if export.get("views") == "mirror":
        sentences.append("Each prediction is the mean over an image and its mirror image.")
    if weights := export.get("weights"):
        name, licence = code(weights["name"]), code(weights["licence"])
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
    """A table of the numbers in metrics.json with their intervals or spreads, the most important first.

    Shows `most` of them, or all. `confidence` is that of the intervals; None if unknown.
    """
    numbers = files.numbers
    intervals = {
        key: f"{number(key, numbers[f'{key}_low'])} to {number(key, numbers[f'{key}_high'])}"
        for key in numbers
        if {f"{key}_low", f"{key}_high"} <= numbers.keys()
    }
    intervals |= {
        key: f"± {number(key, numbers[f'{key}_spread'])} (one subset)" for key in numbers if f"{key}_spread" in numbers
    }
    interval = mean_interval(files)
    if interval and "test_image_psnr" in numbers:
        intervals["test_image_psnr"] = f"{interval[0]:.2f} to {interval[1]:.2f} dB (95 %, the mean)"
    bounds = {f"{key}{end}" for key in numbers for end in ("_low", "_high", "_spread")}
    order = {key: place for place, key in enumerate(FIRST_METRICS)}
    keys = sorted(
        numbers.keys() - bounds, key=lambda key: (order.get(key, len(order)), not key.startswith("test_"), key)
    )
    rows = ([f"`{key}`", number(key, numbers[key]), intervals.get(key, "")] for key in keys[:most])
    share = f" ({100 * confidence:g} %)" if isinstance(confidence, float) else ""
    return table(["metric", "value", f"interval{share}"], rows)


def intended_use(files: NetworkFiles) -> list[str]:
    """What the network is for and what it is not for."""
    name, licence = code(files.export["dataset"]), files.source.get("licence")
    name = f"the synthetic set {name}" if files.is_synthetic else name
    accuracy = files.numbers.get("test_accuracy")
    errors = f"; {percent(1 - accuracy)} of its predictions on test are wrong" if accuracy not in (None, 1) else ""
    classification = [
        f"For: classifying images like those of {name}.",
        'Not for: other images. It predicts one of its classes for any image, and has no "none of them".',
        f"Not for: decisions that nobody reviews{errors}.",
    ]
    lines = {
        "classifier": classification,
        "transfer": classification,
        "autoencoder": [
            f"For: compressing images like those of {name} to fewer numbers, and reconstructing them approximately.",
            "Not for: archiving images. The reconstruction is not the original image.",
            "Not for: other kinds of images, on which it was not measured.",
        ],
        "dcgan": [
            f"For: generating new images similar to those of {name}.",
            "Not for: passing generated images off as real ones.",
            "Not for: replacing real images in training or tests; see what is missing under Weaknesses.",
        ],
    }.get(files.family, [f"For: images like those of {name}."])
    return [*lines, f"Bound by the licence of its data: {code(licence, 100)}."] if licence else lines


def _tensor(tensor: dict[str, Any]) -> str:
    shape = ", ".join("N" if size is None else str(size) for size in tensor["shape"])
    return f"`{tensor['name']}`, {tensor['dtype']} ({shape})"
