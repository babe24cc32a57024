"""A server that answers badly."""

from helpers.server_fixture import server  # noqa: F401 (a fixture)
