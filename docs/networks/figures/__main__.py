"""python -m figures [NAME ...]: draws the figures of docs/networks/ and README.md from the trained networks."""

import sys
import time
from pathlib import Path

import torch

from convzoo.errors import ConvzooError, main
from figures import autoencoder, classifier, dcgan, overview, transfer
from figures.drawing import pack

IMAGES = Path("docs/networks/images")
FIGURES = {
    "classifier": (classifier.draw, IMAGES),
    "autoencoder": (autoencoder.draw, IMAGES),
    "dcgan": (dcgan.draw, IMAGES),
    "transfer": (transfer.draw, IMAGES),
    "overview": (overview.draw, Path("docs/images")),
}


def draw(*names: str) -> None:
    """Draw the figures of the given families, or all, with the overview. Raises ConvzooError for an unknown name."""
    unknown = sorted(set(names) - set(FIGURES))
    if unknown:
        raise ConvzooError(f"{', '.join(unknown)}: no such figures, expected some of: {', '.join(FIGURES)}")
    torch.set_num_threads(1)  # the same sums in the same order on every machine
    for name in names or FIGURES:
        started = time.perf_counter()
        draw_figures, folder = FIGURES[name]
        draw_figures(folder)
        drawn = sorted(folder.glob(f"{name}*.png"))
        for file in drawn:
            pack(file)
        print(f"{name}: {len(drawn)} pictures in {folder} ({time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main(draw))
