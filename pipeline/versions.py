"""Writes down the installed versions that numbers depend on; runs at every repro, since DVC cannot see them change."""

from pathlib import Path

from convzoo.errors import main
from convzoo.files import write_json
from convzoo.versions import installed_versions, told_of_changes


def run() -> None:
    """Write data/versions.json, and say which networks were trained with others."""
    installed = installed_versions()
    print(told_of_changes(installed), end="")
    write_json(Path("data/versions.json"), installed)


if __name__ == "__main__":
    main(run)
