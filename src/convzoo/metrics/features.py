"""The fixed network that computes the features by which generated and real images are compared."""

from pathlib import Path

import numpy as np

from convzoo.errors import ConvzooError
from convzoo.files import check_sha256, read_json
from convzoo.shipping.model import Model, run_in_batches

BATCH = 250  # images at a time


class FeatureNetwork:
    """The fixed network in data/weights/NAME/features.onnx: features float32 (N, D) for images uint8 (N, H, W, C).

    Raises ConvzooError if the file is missing, differs from its sha256 in weights.json, or does not accept images with
    `channels` channels.
    """

    def __init__(self, name: str, channels: int) -> None:
        file = Path("data/weights", name, "features.onnx")
        if not file.is_file():
            raise ConvzooError(
                f"{file}: there is no such file, expected a feature network; run `convzoo repro weights@{name}`, which "
                f"makes it if `weights.{name}` in params.yaml is of a kind that has features"
            )
        recorded = str(read_json(file.with_name("weights.json"))["files"].get(file.name))
        remedy = f"restore it: dvc checkout, or rebuild it: convzoo repro -f weights@{name}"
        self.name, self.sha256 = name, check_sha256(file, recorded, remedy, reference="as in weights.json")
        self.model = Model(file, portable=True)
        if self.model.input.shape[-1] not in (channels, None):
            raise ConvzooError(f"{file}: takes {self.model.input}, the images have {channels} channels")

    def __call__(self, images: np.ndarray, progress: str | None = None) -> np.ndarray:
        return run_in_batches(self.model, images, BATCH, progress)
