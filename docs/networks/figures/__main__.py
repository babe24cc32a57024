"""python -m figures [FAMILY ...]: draws the figures of docs/networks/ from the trained networks under models/."""

import sys
import time
from pathlib import Path

import torch

from convzoo.errors import ConvzooError, main
from figures import autoencoder, classifier, dcgan, transfer
from figures.drawing import pack

IMAGES = Path("docs/networks/images")
FAMILIES = {
    "classifier": classifier.draw,
    "autoencoder": autoencoder.draw,
    "dcgan": dcgan.draw,
    "transfer": transfer.draw,
}


def draw(*families: str) -> None:
    """Draw the figures of the given families, or of all. Raises ConvzooError for an unknown family."""
    unknown = sorted(set(families) - set(FAMILIES))
    if unknown:
        raise ConvzooError(f"{', '.join(unknown)}: no such family; expected some of: {', '.join(FAMILIES)}")
    torch.set_num_threads(1)  # the same sums in the same order on every machine
    for family in families or FAMILIES:
        started = time.perf_counter()
        FAMILIES[family](IMAGES)
        drawn = sorted(IMAGES.glob(f"{family}-*.png"))
        for file in drawn:
            pack(file)
        print(f"{family}: {len(drawn)} pictures in {IMAGES} ({time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main(draw))
