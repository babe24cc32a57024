"""Brings the published weights that a network starts from; `none` is a folder that says so."""

from pathlib import Path

from convzoo.errors import main
from convzoo.files import new_folder, write_json


def run(name: str) -> None:
    """Write data/weights/NAME/."""
    with new_folder(Path("data/weights", name)) as folder:
        write_json(folder / "weights.json", {"name": name, "files": [], "start": "the network's own initialisation"})


if __name__ == "__main__":
    main(run)
