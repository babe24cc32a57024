"""The figure at the top of README.md: what the trained networks make, how one is measured, and the report."""

from pathlib import Path

import numpy as np
from PIL import Image

from convzoo.families.dcgan.latents import choosing
from convzoo.plots import BLUES, picture
from convzoo.report.tables import read_csv
from convzoo.shipping.model import Model
from figures.drawing import WIDTH, bare, mosaic
from figures.trained import load_data

GENERATED, RECONSTRUCTED = 4, 5  # images of each digit, and of drawn pictures
DIGITS = 10  # classes of mnist-dcgan
REPORT = Path("docs/images/report.png")  # from `make screenshots`


def draw(folder: Path) -> None:
    """Write overview.png to `folder`. Raises ConvzooError if the pipeline has not written the networks."""
    rng = np.random.default_rng(0)
    generator = Model(Path("models/mnist-dcgan/model.onnx"))
    noise = rng.standard_normal((GENERATED, generator.input.shape[1]), dtype=np.float32)
    by_class = [generator(choosing(noise, DIGITS, digit)) for digit in range(DIGITS)]
    digits = np.stack(by_class, axis=1).reshape(-1, *generator.output.shape[1:])  # a column per digit
    originals = np.array(load_data("cifar10").val.images[:RECONSTRUCTED])
    reconstructions = Model(Path("models/cifar10-autoencoder/model.onnx"))(originals)
    confusion = confusion_matrix(Path("models/mnist-classifier/plots/confusion.csv"))

    with picture(folder / "overview.png", WIDTH, 4.6) as figure:
        grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.75), height_ratios=(1, 1.02))
        left = grid[:, 0].subgridspec(3, 1, height_ratios=(0.83, 0.42, 1.05))
        axes = figure.add_subplot(left[0])
        axes.imshow(mosaic(digits[..., 0], DIGITS, gap=255), "gray", vmin=0, vmax=255)
        bare(axes, "mnist-dcgan: generated digits,\na class per column")

        axes = figure.add_subplot(left[1])
        pairs = np.concatenate([originals, reconstructions])
        axes.imshow(np.stack([mosaic(pairs[..., c], RECONSTRUCTED, gap=255) for c in range(3)], -1).astype(np.uint8))
        bare(axes, "cifar10-autoencoder: drawn images,\nand their reconstructions below")

        axes = figure.add_subplot(left[2])
        axes.imshow(np.sqrt(confusion), BLUES)
        for (row, column), count in np.ndenumerate(confusion):
            if count:
                ink = "white" if row == column else "black"
                axes.text(column, row, count, ha="center", va="center", fontsize=5.5, color=ink)
        bare(axes, "mnist-classifier: actual digits in rows,\npredicted digits in columns")

        axes = figure.add_subplot(grid[:, 1])
        with Image.open(REPORT) as report:
            axes.imshow(report.convert("RGB"), interpolation="antialiased")
        bare(axes, "reports/index.html")


def confusion_matrix(file: Path) -> np.ndarray:
    """Counts of test images by actual (row) and predicted (column) class, from a table with a row per image."""
    header, *rows = read_csv(file)
    pairs = [[row[header.index(name)] for name in ("actual", "predicted")] for row in rows]
    names = sorted({name for pair in pairs for name in pair})
    counts = np.zeros((len(names), len(names)), np.int64)
    for actual, predicted in pairs:
        counts[names.index(actual), names.index(predicted)] += 1
    return counts
