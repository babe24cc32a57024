"""Writes down the installed versions that numbers depend on; runs at every repro, since DVC cannot see them change."""

from pathlib import Path

from convzoo.errors import main
from convzoo.files import write_json
from convzoo.versions import installed_versions


def run() -> None:
    """Write data/versions.json."""
    write_json(Path("data/versions.json"), installed_versions())


if __name__ == "__main__":
    main(run)
