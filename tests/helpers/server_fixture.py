"""What several tests of the data share."""

import pytest

from helpers.bad_server import bad_server


@pytest.fixture
def server():
    """A server that answers as badly as the first part of a path says."""
    with bad_server() as server:
        yield server
