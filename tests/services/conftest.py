"""The services of `make services`, once for all tests here."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.services import Services, services


@pytest.fixture(scope="session")
def running() -> Iterator[Services]:
    """All services, in a folder that the user postgres can read too."""
    folder = Path(tempfile.mkdtemp(prefix="convzoo-services-"))
    folder.chmod(0o755)
    try:
        with services(folder) as found:
            yield found
    finally:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def nothing_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONVZOO_TRACKING", "CONVZOO_TOKEN", "DVC_ROOT", "DVC_EXP_NAME", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
