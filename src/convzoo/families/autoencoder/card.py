"""What the card of an autoencoder says."""

import math
import statistics

from convzoo.cards.family import Comparison, FamilyCard
from convzoo.cards.markdown import code, image_count, in_brackets
from convzoo.shipping.network_files import NetworkFiles
from convzoo.text import percent

PSNR_FILE = "plots/psnr_per_image.csv"
Z = 1.96  # standard errors on each side of a mean in a 95 % interval


CAPTIONS = {
    "best_and_worst": "The test images with the best and with the worst reconstructions.",
    "latents": "The test images as points: their latents on a plane, coloured by class.",
    "linear_path": "For each latent, what the linear part of the encoder detects and what that of the decoder draws.",
    "psnr": "Distribution of the PSNR over the test images.",
    "reconstructions": "Test images, their reconstructions, and the errors magnified.",
    "training_images": "Images of one training batch.",
}


def task(files: NetworkFiles, images: str, data: str) -> str:
    """Return what the network does."""
    latent, kinds = files.numbers.get("latent"), in_brackets(files.export.get("classes") or [])
    numbers = f"{latent:,}" if latent else "fewer"
    return f"Compresses {images} of {data}{kinds} to {numbers} numbers each and reconstructs them"


def result(files: NetworkFiles, value: str) -> str:
    """Return what it reached."""
    count = files.numbers.get("test_images")
    return f"PSNR {value} on {f'{count:,} ' if count else ''}test images"


def comparison(files: NetworkFiles) -> Comparison | None:
    """Compare the PSNR with that of principal component analysis with as many numbers, if that was measured."""
    numbers = files.numbers
    if "test_pca_psnr" not in numbers:
        return None
    pca, above = numbers["test_pca_psnr"], numbers["test_psnr"] - numbers["test_pca_psnr"]
    return Comparison(
        f"Principal component analysis (PCA) with as many numbers reaches {pca:.2f} dB, {above:.2f} dB less."
    )


def intended_use(files: NetworkFiles, data: str) -> list[str]:
    """Return what the network is for and what it is not for."""
    return [
        f"For: compressing images like those of {data} to fewer numbers, and reconstructing them approximately.",
        "Not for: archiving images, since a reconstruction differs from the original.",
        "Not for: other kinds of images, on which it was not measured.",
    ]


def weaknesses(files: NetworkFiles, most: int) -> list[str]:
    """Return lines about the worst classes and images, lost detail, PCA in comparison, and the latents as features."""
    lines, metrics = [], files.metrics
    scores = {name: row for name, row in metrics.get("classes", {}).items() if "psnr" in row}
    if scores:
        worst = sorted(scores, key=lambda name: (scores[name]["psnr"], name))[:most]
        values = [f"{code(name)} ({scores[name]['psnr']:.2f} dB{image_count(scores[name])})" for name in worst]
        lines.append(f"The hardest classes, with their PSNR: {', '.join(values)}.")
    images = _psnr_per_image(files)
    if images:
        values = [f"{code(row)} ({value:.2f} dB)" for row, value in sorted(images, key=lambda image: image[1])[:most]]
        lines.append(f"The hardest test images, by row of the split (`plots/best_and_worst.png`): {', '.join(values)}.")
    pca = metrics.get("compared", {}).get("pca", {})
    if "test_ssim" in metrics:
        compared = f"; PCA with {pca['numbers']:,} numbers reaches {pca['ssim']:.3f}" if pca else ""
        lines.append(
            f"Reconstructions lose detail: their SSIM is {metrics['test_ssim']:.3f} (1: the same image){compared}."
        )
    rows = files.rows(PSNR_FILE, "autoencoder", "pca")
    if rows:
        worse = sum(float(row["autoencoder"]) < float(row["pca"]) for row in rows)
        lines.append(f"PCA reconstructs {worse:,} of {len(rows):,} test images with a smaller error than the network.")
    if "test_probe_accuracy" in metrics and files.export.get("classes"):
        accuracy, chance = percent(metrics["test_probe_accuracy"], 1), percent(1 / len(files.export["classes"]), 1)
        lines.append(f"A linear classifier on its latents reaches {accuracy} accuracy; guessing reaches {chance}.")
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
    task=task,
    result=result,
    main_label="PSNR on the test images",
    higher_is_better=True,
    main_metrics=(
        *("test_psnr", "test_image_psnr", "test_ssim", "test_psnr_above_pca"),
        *("test_probe_accuracy", "test_images"),
    ),
    intended_use=intended_use,
    weaknesses=weaknesses,
    failures=failures,
    comparison=comparison,
    intervals=intervals,
    confidence=0.95,
    picture="reconstructions.png",
    captions=CAPTIONS,
)
