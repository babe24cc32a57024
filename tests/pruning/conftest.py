"""A project with a tracking database."""

from helpers.tracking_project import clone, network, project, write_network  # noqa: F401 (fixtures)
