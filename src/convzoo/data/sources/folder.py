"""Picture files of one's own, from a folder."""

from pathlib import Path

from convzoo.data.sources.packing import pack
from convzoo.errors import ConvzooError
from convzoo.files import project_root
from convzoo.settings.sources import FolderSource


class FolderError(ConvzooError):
    """The folder that params.yaml names is not there."""


def bring(source: FolderSource, folder: Path) -> None:
    """Pack the pictures below `source.path` (from the project's folder; ~ is one's home) into `folder`.

    Raises FolderError where there is no such folder, and PackingError for what it holds.
    """
    try:
        place = project_root() / Path(source.path).expanduser()
    except RuntimeError as error:
        raise FolderError(f"path: {source.path}: {error}; write the whole path") from None
    if not place.is_dir():
        found = "is a file, not a folder" if place.exists() else "is not there"
        raise FolderError(
            f"{place}: {found}; expected a folder of pictures, {source.layout} (path: {source.path} in params.yaml); "
            "put one there, or mend the path"
        )
    pack(place, source.layout, source.limits, folder)
