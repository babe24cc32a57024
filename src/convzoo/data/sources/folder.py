"""Your own picture files, from a folder."""

from pathlib import Path

from convzoo.data.sources.packing import pack
from convzoo.errors import ConvzooError
from convzoo.files import project_root
from convzoo.settings.sources import FolderSource


class FolderError(ConvzooError):
    """A folder in params.yaml that does not exist."""


def fetch(source: FolderSource, folder: Path) -> None:
    """Pack the pictures below `source.path` (relative to the project's folder; ~ is your home folder) into `folder`.

    Raises FolderError if there is no such folder, and PackingError if its files cannot be packed.
    """
    try:
        origin = project_root() / Path(source.path).expanduser()
    except RuntimeError as error:
        raise FolderError(f"path: {source.path}: {error}; write the whole path") from None
    if not origin.is_dir():
        problem = "is a file, not a folder" if origin.exists() else "is not there"
        raise FolderError(
            f"{origin}: {problem}; expected a folder of pictures, {source.layout} (path: {source.path} in "
            "params.yaml); put one there, or fix the path"
        )
    pack(origin, source.layout, source.limits, folder)
