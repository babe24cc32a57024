"""Signs a version that is about to be promoted."""

import tempfile
from pathlib import Path

from convzoo.errors import ConvzooError
from convzoo.serving.sources import fetch_version
from convzoo.signing import SIGNATURE, sign
from convzoo.tracking.versions import Version


def sign_version(version: Version, key: Path) -> None:
    """Sign the files that a server uses of a version, and keep the signature as its tag. Raises ConvzooError."""
    name, number = version.version.name, str(version.version.version)
    with tempfile.TemporaryDirectory() as temporary:
        if fetch_version(version.client, name, int(number), Path(temporary)) is None:
            raise ConvzooError(f"{name}: version {number} has no file to sign, expected one; run: convzoo sync {name}")
        version.client.set_model_version_tag(name, number, SIGNATURE, sign(Path(temporary), key))
