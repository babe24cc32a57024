"""What the card of an autoencoder says."""

import math
import statistics

from convzoo.cards.family import FamilyCard
from convzoo.cards.markdown import code, image_count, percent
from convzoo.shipping.network_files import NetworkFiles

PSNR_FILE = "plots/psnr_per_image.csv"
Z = 1.96  # standard errors on each side of a mean in a 95 % interval


def intended_use(files: NetworkFiles, data: str) -> list[str]:
    """Return what the network is for and what it is not for."""
    return [
        f"For: compressing images like those of {data} to fewer numbers, and reconstructing them approximately.",
        "Not for: archiving images. The reconstruction is not the original image.",
        "Not for: other kinds of images, on which it was not measured.",
    ]


def weaknesses(files: NetworkFiles, most: int) -> list[str]:
    """Return lines about the worst classes and images, lost detail, PCA in comparison, and the latents as features."""
    lines, metrics = [], files.metrics
    scores = {name: row for name, row in metrics.get("classes", {}).items() if "psnr" in row}
    if scores:
        worst = sorted(scores, key=lambda name: (scores[name]["psnr"], name))[:most]
        values = [f"{code(name)} {scores[name]['psnr']:.2f} dB{image_count(scores[name])}" for name in worst]
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
    rows = files.rows(PSNR_FILE, "autoencoder", "pca")
    if rows:
        worse = sum(float(row["autoencoder"]) < float(row["pca"]) for row in rows)
        lines.append(f"That PCA reconstructs {worse:,} of {len(rows):,} test images with less error.")
    if "test_probe_accuracy" in metrics and files.export.get("classes"):
        accuracy, chance = percent(metrics["test_probe_accuracy"]), percent(1 / len(files.export["classes"]))
        lines.append(f"Its latents as features: a linear classifier on them reaches {accuracy}, chance is {chance}.")
    return lines


def failures(files: NetworkFiles) -> list[str]:
    """Return the comparison with PCA if PCA reconstructs at least as well."""
    metrics = files.numbers
    if metrics.get("test_psnr_above_pca", 1) > 0:
        return []
    values = f"PSNR {metrics['test_psnr']:.2f} dB, PCA {metrics['test_pca_psnr']:.2f} dB"
    return [f"no better than PCA with as many components: {values}"]


def intervals(files: NetworkFiles) -> dict[str, str]:
    """Return the 95 % interval of the mean PSNR of a test image, from the PSNRs of at least two images."""
    values = [value for _, value in _psnr_per_image(files) if math.isfinite(value)]
    if len(values) < 2:
        return {}
    mean, half = statistics.fmean(values), Z * statistics.stdev(values) / math.sqrt(len(values))
    return {"test_image_psnr": f"{mean - half:.2f} to {mean + half:.2f} dB (95 %, the mean)"}


def _psnr_per_image(files: NetworkFiles) -> list[tuple[str, float]]:
    """Row and PSNR in dB of each test image."""
    return [(row["image"], float(row["autoencoder"])) for row in files.rows(PSNR_FILE, "image", "autoencoder")]


CARD = FamilyCard(
    noun="a convolutional autoencoder",
    usage="reconstruct {} photo.png --out reconstructions/",
    main_metrics=(
        *("test_psnr", "test_image_psnr", "test_ssim", "test_psnr_above_pca"),
        *("test_probe_accuracy", "test_images"),
    ),
    intended_use=intended_use,
    weaknesses=weaknesses,
    failures=failures,
    intervals=intervals,
)
