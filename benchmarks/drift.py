"""How often `convzoo drift` gives a false alarm, and how many images it needs to notice a change: make drift-study.

Works on the exported network of this clone and its val and test images. For each draw, the images of val are split at
random into a half that is the reference and a half that images are drawn from, so that both come from the same source.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from scipy.stats import binomtest
from sklearn.datasets import load_digits

from convzoo.cards.markdown import percent
from convzoo.data.arrays import load_split
from convzoo.files import read_json
from convzoo.shipping.model import Model, run_in_batches
from convzoo.shipping.reference import REFERENCE, Reference, batch_size, measure, read_reference
from convzoo.watching.drift import compare

SIZES = (50, 100, 200, 500, 1000)
MISSING = 4  # the index of the class that is left out
DIGITS_SIDE = 20  # pixels that an MNIST digit takes, in the middle of its image
Columns = dict[str, np.ndarray]


def main() -> None:
    """Print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="mnist-classifier", help="a classifier of MNIST's digits")
    parser.add_argument("--draws", type=int, default=200, help="for each number of images")
    parser.add_argument("--level", type=float, default=0.05)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    study = Study(options.network, options.level)
    sizes = [size for size in SIZES if size <= study.most]
    found = {name: [study.alarms(rows, size, options.draws) for size in sizes] for name, rows in study.sources.items()}
    print(as_markdown(found, options, study))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


class Study:
    """The measurements of val, test and changed val images; `sources` draw rows of them."""

    def __init__(self, network: str, level: float) -> None:
        self.folder, self.level = Path("models", network), level
        export = read_json(self.folder / "export.json", "model_sha256", "dataset", "reference")
        self.reference = read_reference(self.folder / "parts" / REFERENCE, export["model_sha256"])
        self.model, self.features = (
            Model(self.folder / "model.onnx"),
            Model(self.folder / export["reference"]["features"]),
        )
        prepared = Path("data/prepared", export["dataset"])
        val, test = load_split(prepared / "val"), load_split(prepared / "test")
        images, self.labels = np.array(val.images), np.asarray(val.labels)
        self.images = len(images)
        self.most = min(self.images // 3, len(test.images))  # images that every source has
        self.random = np.random.default_rng(0)
        same = self.reference.columns
        self.sources: dict[str, Callable[[np.ndarray, int], Columns]] = {
            "nothing (the other half of val)": self._of(same),
            "the images of test": self._any(self.measured(np.array(test.images))),
            "blur, radius 0.5 pixels": self._of(self.measured(blurred(images, 0.5))),
            "blur, radius 1 pixel": self._of(self.measured(blurred(images, 1.0))),
            "black and white swapped": self._of(self.measured(255 - images)),
            "another data set (UCI digits)": self._any(self.measured(uci_digits(images.shape[1]))),
            f"no image of class {MISSING}": self._without(same, MISSING),
        }

    def measured(self, images: np.ndarray) -> Columns:
        """What the server would log of these images."""
        size = batch_size(images.shape)
        outputs = run_in_batches(self.model, images, size)
        return measure(images, outputs, run_in_batches(self.features, images, size), self.reference.projection)

    def alarms(self, rows: Callable[[np.ndarray, int], Columns], size: int, draws: int) -> dict[str, Any]:
        """In how many draws of `size` images something drifted, and how often each measurement did."""
        counts: Counter[str] = Counter()
        alarms = 0
        for _ in range(draws):
            order = self.random.permutation(self.images)
            half, rest = order[: self.images // 2], order[self.images // 2 :]
            known = {name: column[half] for name, column in self.reference.columns.items()}
            about = self.reference.about | {"images": len(half)}
            compared = compare(Reference(about, self.reference.projection, known), rows(rest, size), self.level)
            drifted = [row.name for row in compared if row.drifted]
            counts.update(drifted)
            alarms += bool(drifted)
        return {"images": size, "draws": draws, "alarms": alarms, "measurements": dict(counts.most_common())}

    def _of(self, columns: Columns) -> Callable[[np.ndarray, int], Columns]:
        """Draws from the images that are not in the reference; `columns` are their measurements after a change."""
        return lambda rest, size: _rows(columns, self.random.choice(rest, size, replace=False))

    def _without(self, columns: Columns, label: int) -> Callable[[np.ndarray, int], Columns]:
        return lambda rest, size: _rows(
            columns, self.random.choice(rest[self.labels[rest] != label], size, replace=False)
        )

    def _any(self, columns: Columns) -> Callable[[np.ndarray, int], Columns]:
        """Draws from other images than those of val."""
        length = len(next(iter(columns.values())))
        return lambda _, size: _rows(columns, self.random.choice(length, size, replace=False))


def _rows(columns: Columns, rows: np.ndarray) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def blurred(images: np.ndarray, radius: float) -> np.ndarray:
    """Images (N, H, W, 1) after a Gaussian blur."""
    blur = ImageFilter.GaussianBlur(radius)
    return np.stack([np.asarray(Image.fromarray(image[:, :, 0]).filter(blur)) for image in images])[..., None]


def uci_digits(side: int) -> np.ndarray:
    """The digits of scikit-learn (UCI, 8x8) in the size and place of MNIST's, (N, side, side, 1)."""
    margin = (side - DIGITS_SIDE) // 2
    images = np.zeros((len(load_digits().images), side, side, 1), np.uint8)
    for target, digit in zip(images, load_digits().images, strict=True):
        picture = Image.fromarray((digit * 255 / 16).astype(np.uint8)).resize((DIGITS_SIDE, DIGITS_SIDE))
        target[margin : margin + DIGITS_SIDE, margin : margin + DIGITS_SIDE, 0] = np.asarray(picture)
    return images


def as_markdown(found: dict[str, list[dict[str, Any]]], options: argparse.Namespace, study: Study) -> str:
    """The shares of draws with an alarm, and the measurements that gave it most often."""
    first, *_ = found.values()
    sizes = [result["images"] for result in first]
    lines = [
        f"{options.network}, {options.draws} draws each, level {options.level:g}, reference: half of {study.images} "
        f"images, {len(study.reference.columns)} measurements",
        "",
        f"| what changed | {' | '.join(f'{size} images' for size in sizes)} | measurements that drifted most |",
        "| --- |" + " --- |" * (len(sizes) + 1),
    ]
    for name, results in found.items():
        shares = [percent(result["alarms"] / result["draws"], 1) for result in results]
        most = sum((Counter(result["measurements"]) for result in results), Counter()).most_common(3)
        lines.append(f"| {name} | {' | '.join(shares)} | {', '.join(key for key, _ in most)} |")
    alarms, draws = sum(result["alarms"] for result in first), sum(result["draws"] for result in first)
    interval = binomtest(alarms, draws).proportion_ci(0.95)
    lines += [
        "",
        f"False alarms: {alarms} of {draws} draws, {percent(alarms / draws, 1)} "
        f"({percent(interval.low, 1)} to {percent(interval.high, 1)})",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
