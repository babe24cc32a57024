"""Where a network is weak, in its own numbers: what its evaluation left in metrics.json, plots/ and extra/."""

import csv
import math
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from convzoo.cards.markdown import code, number, percent
from convzoo.files import read_json
from convzoo.shipping.network_files import Files

SURE = 0.9  # probability from which a wrong answer counts as a sure one
ERRORS = 1.96  # standard errors on each side of a mean, which hold the true one with 95 % confidence


def weaknesses(files: Files, most: int) -> list[str]:
    """A line of Markdown for each weakness that the files tell of, with `most` classes or pictures at most in each.

    What has no file is left out.
    """
    metrics = read_json(files.folder / "metrics.json")
    told = FAMILIES.get(family_of(files), lambda *_: [])(files, metrics, most)
    return told or ["Unknown: the files tell nothing of it."]


def family_of(files: Files) -> str:
    """The family that trained the network."""
    return read_json(files.folder / "architecture.json").get("family", "network")


def mean_interval(files: Files) -> tuple[float, float] | None:
    """The 95 % interval of the mean of an image's PSNR, from those of test; None for a network without them."""
    found = [value for _, value in _psnr(files) if math.isfinite(value)]
    if len(found) < 2:
        return None
    middle, half = statistics.fmean(found), ERRORS * statistics.stdev(found) / math.sqrt(len(found))
    return middle - half, middle + half


def _of_answers(files: Files, metrics: dict[str, Any], most: int) -> list[str]:
    """Of a network that answers with a class."""
    lines = []
    scores = {name: row for name, row in metrics.get("classes", {}).items() if row.get("recall", 1) < 1}
    worst = sorted(scores, key=lambda name: (scores[name]["recall"], name))[:most]
    if worst:
        named = [f"{code(name)} {percent(scores[name]['recall'])}{_counted(scores[name])}" for name in worst]
        lines.append(f"Worst classes, by test images answered right: {', '.join(named)}.")
    answers = _rows(files.folder / "plots/confusion.csv", "id", "actual", "predicted", "probability")
    wrong = [row for row in answers if row["actual"] != row["predicted"]]
    if wrong:
        pairs = Counter((row["actual"], row["predicted"]) for row in wrong)
        named = [
            f"{code(actual)} as {code(answer)} {count}x"
            for (actual, answer), count in sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
        ]
        lines.append(f"Wrong: {len(wrong):,} of {len(answers):,} test images, most often {', '.join(named)}.")
        wrong.sort(key=lambda row: (-float(row["probability"]), row["id"]))
        named = [
            f"{code(row['id'])} ({code(row['actual'])}, answered {code(row['predicted'])} "
            f"at {percent(float(row['probability']))})"
            for row in wrong[: max(3, most // 2)]
        ]
        lines.append(f"Worst pictures, the surest mistakes (`plots/mistakes.png`): {', '.join(named)}.")
        sure = sum(float(row["probability"]) >= SURE for row in wrong)
        lines.append(
            f"Sure and wrong: {sure:,} of the {len(wrong):,} wrong answers came at {100 * SURE:.0f} % or more."
        )
    elif answers:
        lines.append(f"No mistake on {len(answers):,} test images, which is no proof that it makes none.")
    if "test_calibration_error" in metrics:
        error = percent(metrics["test_calibration_error"])
        lines.append(f"Its probabilities differ from the share of right answers by {error} on average.")
    return lines


def _of_transfer(files: Files, metrics: dict[str, Any], most: int) -> list[str]:
    lines = _of_answers(files, metrics, most)
    if "test_gain" in metrics:
        gain, chance = 100 * metrics["test_gain"], metrics.get("test_gain_p_value")
        lines.append(
            f"Fine-tuning changed the accuracy by {gain:+.2f} points against a head on the untouched backbone "
            f"(p = {number('p', chance)})."
        )
    return lines


def _of_pictures(files: Files, metrics: dict[str, Any], most: int) -> list[str]:
    """Of a network that gives an image again."""
    lines = []
    scores = {name: row for name, row in metrics.get("classes", {}).items() if "psnr" in row}
    if scores:
        worst = sorted(scores, key=lambda name: (scores[name]["psnr"], name))[:most]
        named = [f"{code(name)} {scores[name]['psnr']:.2f} dB{_counted(scores[name])}" for name in worst]
        lines.append(f"Worst classes, by PSNR: {', '.join(named)}.")
    images = _psnr(files)
    if images:
        named = [f"{code(name)} {value:.2f} dB" for name, value in sorted(images, key=lambda row: row[1])[:most]]
        lines.append(f"Worst pictures, by row of the test split (`plots/best_and_worst.png`): {', '.join(named)}.")
    pca = metrics.get("compared", {}).get("pca", {})
    if "test_ssim" in metrics:
        beside = f"; PCA with {pca['numbers']:,} numbers: {pca['ssim']:.3f} and {pca['psnr']:.2f} dB" if pca else ""
        lines.append(
            f"Blur and lost detail: SSIM {metrics['test_ssim']:.3f}, where 1 is the same image, and PSNR "
            f"{metrics['test_psnr']:.2f} dB{beside}."
        )
    pairs = _rows(_per_image(files), "autoencoder", "pca")
    if pairs:
        behind = sum(float(row["autoencoder"]) < float(row["pca"]) for row in pairs)
        lines.append(f"That PCA gives {behind:,} of {len(pairs):,} test images again with less error.")
    if "test_probe_accuracy" in metrics and files.export.get("classes"):
        found, classes = percent(metrics["test_probe_accuracy"]), len(files.export["classes"])
        lines.append(
            f"Its numbers as features: a linear classifier on them reaches {found}, guessing {percent(1 / classes)}."
        )
    return lines


def _of_samples(files: Files, metrics: dict[str, Any], most: int) -> list[str]:
    """Of a network that makes images."""
    lines = []
    comparisons = metrics.get("comparisons", {})
    made, real = comparisons.get("generated against test", {}), comparisons.get("test against train", {})
    if "recall" in made:
        lines.append(
            f"Collapse and missing kinds: {percent(made['recall'])} of the test images have generated ones like them "
            f"(recall){_beside(real, 'recall')}."
        )
    if "precision" in made:
        lines.append(
            f"Unlike real ones: {percent(1 - made['precision'])} of the generated images are not among the test images "
            f"(1 - precision){_beside(real, 'precision', rest=True)}."
        )
    if "kid" in made:
        lines.append(f"KID to test {number('kid', made['kid'])}{_beside(real, 'kid')}; smaller is better.")
    if made.get("frechet_distance_is", "usable") != "usable":
        lines.append(f"The Frechet distance is {made['frechet_distance_is']}.")
    kept = files.folder / "extra/kept.json"
    if kept.is_file():
        lines += _of_training(read_json(kept), most)
    if (files.folder / "plots/nearest_real_images.png").is_file():
        lines.append(
            "Copies: not measured; `plots/nearest_real_images.png` shows the train images next to generated ones."
        )
    return lines


def _of_training(kept: dict[str, Any], most: int) -> list[str]:
    """What kept.json says of a collapse."""
    lines = []
    if kept.get("val_diversity") is not None:
        share = percent(kept["val_diversity"])
        lines.append(f"Variety: the features of its samples vary {share} as much as those of the val images.")
    alarms = kept.get("alarms", [])
    told = f"{len(alarms)}, the last: {'; '.join(code(alarm, 120) for alarm in alarms[-most:])}" if alarms else "none"
    return [*lines, f"Alarms of a collapse while it was trained: {told}."]


def _beside(real: dict[str, Any], name: str, rest: bool = False) -> str:
    """The same of real images against real ones, the yardstick."""
    if name not in real:
        return ""
    return f"; of real images against real ones {number(name, 1 - real[name] if rest else real[name])}"


def _counted(score: dict[str, Any]) -> str:
    images = score.get("images")
    return "" if images is None else f" ({images:,} image{'s' if images != 1 else ''})"


def _psnr(files: Files) -> list[tuple[str, float]]:
    """Each test image's row and PSNR in dB."""
    rows = _rows(_per_image(files), "image", "autoencoder")
    return [(row["image"], float(row["autoencoder"])) for row in rows]


def _per_image(files: Files) -> Path:
    return files.folder / "plots/psnr_per_image.csv"


def _rows(file: Path, *columns: str) -> list[dict[str, str]]:
    """The rows of a CSV file; none where it is not there, or has not these columns."""
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        table = csv.DictReader(stream)
        return list(table) if set(columns) <= set(table.fieldnames or ()) else []


FAMILIES = {"classifier": _of_answers, "transfer": _of_transfer, "autoencoder": _of_pictures, "dcgan": _of_samples}
