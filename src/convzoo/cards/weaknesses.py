"""A network's weaknesses in numbers, from what its evaluation wrote to metrics.json, plots/ and extra/."""

import csv
import math
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from convzoo.cards.markdown import code, number, percent
from convzoo.files import read_json
from convzoo.shipping.network_files import NetworkFiles

CONFIDENT = 0.9  # probability from which a wrong prediction counts as a confident one
Z = 1.96  # standard errors on each side of a mean in a 95 % interval


def weaknesses(files: NetworkFiles, most: int) -> list[str]:
    """A line of Markdown for each weakness in the files, each with at most `most` classes or images."""
    lines = FAMILIES[files.family](files, most) if files.family in FAMILIES else []
    return lines or ["Unknown: the files hold no measurements of them."]


def mean_interval(files: NetworkFiles) -> tuple[float, float] | None:
    """The 95 % interval of the mean PSNR of a test image; None for a network without PSNRs per image."""
    values = [value for _, value in _psnr_per_image(files) if math.isfinite(value)]
    if len(values) < 2:
        return None
    mean, half = statistics.fmean(values), Z * statistics.stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half


def _of_classifier(files: NetworkFiles, most: int) -> list[str]:
    lines, metrics = [], files.metrics
    scores = {name: row for name, row in metrics.get("classes", {}).items() if row.get("recall", 1) < 1}
    worst = sorted(scores, key=lambda name: (scores[name]["recall"], name))[:most]
    if worst:
        recalls = [f"{code(name)} {percent(scores[name]['recall'])}{_image_count(scores[name])}" for name in worst]
        lines.append(f"Classes with the lowest recall on test: {', '.join(recalls)}.")
    predictions = _rows(files.folder / "plots/confusion.csv", "id", "actual", "predicted", "probability")
    mistakes = [row for row in predictions if row["actual"] != row["predicted"]]
    if mistakes:
        lines += _mistakes(mistakes, len(predictions), most)
    elif predictions:
        lines.append(f"No mistake on {len(predictions):,} test images, which does not prove that it makes none.")
    if "test_calibration_error" in metrics:
        error = percent(metrics["test_calibration_error"])
        lines.append(f"Its probabilities differ from the share of correct predictions by {error} on average.")
    return lines


def _mistakes(mistakes: list[dict[str, str]], count: int, most: int) -> list[str]:
    pairs = Counter((row["actual"], row["predicted"]) for row in mistakes)
    confusions = [
        f"{code(actual)} as {code(predicted)} {times}x"
        for (actual, predicted), times in sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    ]
    by_confidence = sorted(mistakes, key=lambda row: (-float(row["probability"]), row["id"]))
    worst = [
        f"{code(row['id'])} ({code(row['actual'])}, predicted {code(row['predicted'])} "
        f"at {percent(float(row['probability']))})"
        for row in by_confidence[: max(3, most // 2)]
    ]
    confident = sum(float(row["probability"]) >= CONFIDENT for row in mistakes)
    return [
        f"Wrong: {len(mistakes):,} of {count:,} test images, most often {', '.join(confusions)}.",
        f"Most confident mistakes (`plots/mistakes.png`): {', '.join(worst)}.",
        f"Confident and wrong: {confident:,} of the {len(mistakes):,} mistakes have a probability of "
        f"{100 * CONFIDENT:.0f} % or more.",
    ]


def _of_transfer(files: NetworkFiles, most: int) -> list[str]:
    lines = _of_classifier(files, most)
    if "test_gain" in files.metrics:
        gain, p_value = 100 * files.metrics["test_gain"], files.metrics.get("test_gain_p_value")
        lines.append(
            f"Fine-tuning changed the accuracy by {gain:+.2f} points compared with a head on the frozen backbone "
            f"(p = {number('p', p_value)})."
        )
    return lines


def _of_autoencoder(files: NetworkFiles, most: int) -> list[str]:
    lines, metrics = [], files.metrics
    scores = {name: row for name, row in metrics.get("classes", {}).items() if "psnr" in row}
    if scores:
        worst = sorted(scores, key=lambda name: (scores[name]["psnr"], name))[:most]
        values = [f"{code(name)} {scores[name]['psnr']:.2f} dB{_image_count(scores[name])}" for name in worst]
        lines.append(f"Worst classes, by PSNR: {', '.join(values)}.")
    images = _psnr_per_image(files)
    if images:
        values = [f"{code(name)} {value:.2f} dB" for name, value in sorted(images, key=lambda row: row[1])[:most]]
        lines.append(f"Worst images, by row of the test split (`plots/best_and_worst.png`): {', '.join(values)}.")
    pca = metrics.get("compared", {}).get("pca", {})
    if "test_ssim" in metrics:
        compared = f"; PCA with {pca['numbers']:,} numbers: {pca['ssim']:.3f} and {pca['psnr']:.2f} dB" if pca else ""
        lines.append(
            f"Blur and lost detail: SSIM {metrics['test_ssim']:.3f}, where 1 is the same image, and PSNR "
            f"{metrics['test_psnr']:.2f} dB{compared}."
        )
    rows = _rows(_psnr_file(files), "autoencoder", "pca")
    if rows:
        worse = sum(float(row["autoencoder"]) < float(row["pca"]) for row in rows)
        lines.append(f"That PCA reconstructs {worse:,} of {len(rows):,} test images with less error.")
    if "test_probe_accuracy" in metrics and files.export.get("classes"):
        accuracy, chance = percent(metrics["test_probe_accuracy"]), percent(1 / len(files.export["classes"]))
        lines.append(f"Its latents as features: a linear classifier on them reaches {accuracy}, chance is {chance}.")
    return lines


def _of_dcgan(files: NetworkFiles, most: int) -> list[str]:
    lines, comparisons = [], files.metrics.get("comparisons", {})
    generated, real = comparisons.get("generated against test", {}), comparisons.get("test against train", {})
    if "recall" in generated:
        lines.append(
            f"Mode collapse and missing kinds: {percent(generated['recall'])} of the test images have generated ones "
            f"like them (recall){_of_real(real, 'recall')}."
        )
    if "precision" in generated:
        lines.append(
            f"Unlike real ones: {percent(1 - generated['precision'])} of the generated images are not among the test "
            f"images (1 - precision){_of_real(real, 'precision', complement=True)}."
        )
    if "kid" in generated:
        lines.append(f"KID to test {number('kid', generated['kid'])}{_of_real(real, 'kid')}; smaller is better.")
    if generated.get("frechet_distance_is", "usable") != "usable":
        lines.append(f"The Frechet distance is {generated['frechet_distance_is']}.")
    kept = files.folder / "extra/kept.json"
    if kept.is_file():
        lines += _collapse(read_json(kept), most)
    if (files.folder / "plots/nearest_real_images.png").is_file():
        lines.append(
            "Copies: not measured; `plots/nearest_real_images.png` shows the train images next to generated ones."
        )
    return lines


def _collapse(kept: dict[str, Any], most: int) -> list[str]:
    """The signs of mode collapse in kept.json."""
    lines = []
    if kept.get("val_diversity") is not None:
        share = percent(kept["val_diversity"])
        lines.append(f"Variety: the features of its samples vary {share} as much as those of the val images.")
    alarms = kept.get("alarms", [])
    last = "; ".join(code(alarm, 120) for alarm in alarms[-most:])
    alarmed = f"{len(alarms)}, the last: {last}" if alarms else "none"
    return [*lines, f"Alarms of mode collapse during training: {alarmed}."]


def _of_real(real: dict[str, Any], name: str, complement: bool = False) -> str:
    """The same metric of real images against real ones, for comparison."""
    if name not in real:
        return ""
    return f"; of real images against real ones {number(name, 1 - real[name] if complement else real[name])}"


def _image_count(score: dict[str, Any]) -> str:
    images = score.get("images")
    return "" if images is None else f" ({images:,} image{'s' if images != 1 else ''})"


def _psnr_per_image(files: NetworkFiles) -> list[tuple[str, float]]:
    """Row and PSNR in dB of each test image."""
    rows = _rows(_psnr_file(files), "image", "autoencoder")
    return [(row["image"], float(row["autoencoder"])) for row in rows]


def _psnr_file(files: NetworkFiles) -> Path:
    return files.folder / "plots/psnr_per_image.csv"


def _rows(file: Path, *columns: str) -> list[dict[str, str]]:
    """The rows of a CSV file; none if it is missing or lacks one of `columns`."""
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        return list(reader) if set(columns) <= set(reader.fieldnames or ()) else []


FAMILIES = {
    "classifier": _of_classifier,
    "transfer": _of_transfer,
    "autoencoder": _of_autoencoder,
    "dcgan": _of_dcgan,
}
