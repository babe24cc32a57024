"""A project with a tracking database."""

from helpers.tracking_project import clone, project, write_network  # noqa: F401 (fixtures)
