"""What a network is, what it was measured on, how good it is and what for: the parts of its card that need no store."""

from pathlib import Path
from typing import Any

from convzoo.cards.markdown import code, link, number, percent, table
from convzoo.cards.weaknesses import mean_interval
from convzoo.files import read_json
from convzoo.lineage.record import locked_stages
from convzoo.shipping.network_files import Files, drawn

KINDS = {
    "classifier": "a convolutional classifier",
    "transfer": "a classifier on a pretrained backbone",
    "autoencoder": "a convolutional autoencoder",
    "dcgan": "the generator of a DCGAN",
}
FOREMOST = (
    *("test_accuracy", "test_coarse_accuracy", "test_features_accuracy", "test_calibration_error"),
    *("test_psnr", "test_image_psnr", "test_ssim", "test_psnr_above_pca"),
    *("test_kid", "test_precision", "test_recall", "test_probe_accuracy", "test_images", "test_generated_images"),
)


def what_it_is(files: Files, family: str, version: str | None, classes_shown: int | None) -> str:
    """Kind, size, what goes in and comes out, and where it began; so many names of classes, or all."""
    export = files.export
    size = f" with {export['parameters']:,} parameters" if "parameters" in export else ""
    title = code(files.network) + (f" version {version}" if version else "")
    raw = ", raw pixels from 0 to 255" if export["input"]["dtype"] == "uint8" else ""
    told = [
        f"{title}: {KINDS.get(family, f'of the family {code(family)}')}{size}.",
        f"Takes {_end(export['input'])}{raw}; gives {_end(export['output'])}.",
    ]
    classes = export.get("classes") or []
    if classes:
        named = ", ".join(map(code, classes[:classes_shown]))
        more = f" and {len(classes) - classes_shown} more" if len(classes) > (classes_shown or len(classes)) else ""
        told.append(f"{len(classes)} classes in its data: {named}{more}.")
    if export.get("views") == "mirror":
        told.append("Each answer is the mean over an image and its mirror image.")
    if weights := export.get("weights"):
        told.append(f"It began as the published weights {code(weights['name'])}, licence: {code(weights['licence'])}.")
    size = f", {export['bytes'] / 1e6:.2f} MB" if "bytes" in export else ""
    told.append(f"ONNX{size}, sha256 `{files.sha256 if classes_shown is None else files.sha256[:16] + '…'}`.")
    return " ".join(told)


def data_of(files: Files) -> str:
    """Source, licence, counts and checks of its data set; what has no file is unknown."""
    name, source = files.export["dataset"], files.source
    told = [f"Data set {code(name)}"]
    if source:
        told[0] += f" from the source {code(source['name'])} ({code(source['kind'])})"
    told[0] += f", {link(source['homepage'])}." if source.get("homepage") else "."
    licence = source.get("licence")
    told.append(f"Licence: {code(licence, 100) if licence else 'unknown'}.")
    meta, checks = Path("data/prepared", name, "meta.json"), Path("reports/data", f"{name}.json")
    counts = read_json(meta).get("counts", {}) if meta.is_file() else {}
    splits = [f"{counts[split]:,} {split}" for split in ("train", "val", "test") if split in counts]
    told.append(f"Images: {', '.join(splits) or 'unknown'}.")
    dropped = [
        f"{counts[key]:,} {key.removesuffix('_dropped').replace('_', ' ')}"
        for key in sorted(counts)
        if key.endswith("_dropped") and counts[key]
    ]
    if dropped:
        told.append(f"Dropped: {', '.join(dropped)}.")
    if checks.is_file():
        told.append(f"Data checks: {'passed' if read_json(checks).get('passed') else 'failed'}.")
    return " ".join(told)


def metrics_of(files: Files, most: int | None) -> str:
    """The numbers of metrics.json with interval or spread, the foremost first; `most` of them, or all."""
    found = files.measured
    ranges = {
        key: f"{number(key, found[f'{key}_low'])} to {number(key, found[f'{key}_high'])}"
        for key in found
        if {f"{key}_low", f"{key}_high"} <= found.keys()
    }
    spreads = {key: found[f"{key}_spread"] for key in found if f"{key}_spread" in found}
    shown = found.keys() - {f"{key}{end}" for key in found for end in ("_low", "_high", "_spread")}
    ranges |= {key: f"± {number(key, spread)} (one subset)" for key, spread in spreads.items()}
    own = mean_interval(files)
    if own and "test_image_psnr" in found:
        ranges["test_image_psnr"] = f"{own[0]:.2f} to {own[1]:.2f} dB (95 %, the mean)"
    order = {key: place for place, key in enumerate(FOREMOST)}
    keys = sorted(shown, key=lambda key: (order.get(key, len(order)), not key.startswith("test_"), key))[:most]
    rows = ([f"`{key}`", number(key, found[key]), ranges.get(key, "")] for key in keys)
    return table(["metric", "value", f"interval{_confidence(files)}"], rows)


def uses(files: Files, family: str) -> list[str]:
    """What it is for, and what not."""
    name, licence = code(files.export["dataset"]), files.source.get("licence")
    name = f"the drawn set {name}" if drawn(files) else name
    right = files.measured.get("test_accuracy")
    wrong = f"; {percent(1 - right)} of its answers on test are wrong" if right is not None and right < 1 else ""
    names = [
        f"For: naming the class of images like those of {name}.",
        'Not for: other images. It names one of its classes whatever it is shown, and has no "none of them".',
        f"Not for: decisions that nobody looks at again{wrong}.",
    ]
    told: dict[str, list[str]] = {
        "classifier": names,
        "transfer": names,
        "autoencoder": [
            f"For: images like those of {name} as fewer numbers, and pictures close to them from these.",
            "Not for: keeping images. What comes back is not the image that went in.",
            "Not for: images of another kind, on which it was not measured.",
        ],
        "dcgan": [
            f"For: new pictures in the manner of {name}.",
            "Not for: passing its pictures off as real ones.",
            "Not for: standing in for real images in training or tests; look at what is missing above.",
        ],
    }
    lines = told.get(family, [f"For: images like those of {name}."])
    return [*lines, f"Bound by the licence of its data: {code(licence, 100)}."] if licence else lines


def _end(end: dict[str, Any]) -> str:
    shape = ", ".join("N" if size is None else str(size) for size in end["shape"])
    return f"`{end['name']}`, {end['dtype']} ({shape})"


def _confidence(files: Files) -> str:
    """What the evaluation asked for, as dvc.lock has it; nothing where it does not."""
    params = locked_stages().get(f"evaluate@{files.network}", {}).get("params", {}).get("params.yaml", {})
    asked = params.get(f"evaluation.{files.network}", {}).get("confidence")
    return f" ({100 * asked:g} %)" if isinstance(asked, float) else ""
