"""Brings the weights that networks start from."""

from pathlib import Path

from convzoo.files import new_folder, write_json
from convzoo.settings.weights import NoWeights


def bring_weights(name: str, settings: NoWeights) -> None:
    """Write data/weights/NAME/: weights.json names the files that lie beside it; for the kind `none` there are none."""
    with new_folder(Path("data/weights", name)) as folder:
        write_json(folder / "weights.json", {"name": name, "kind": settings.kind, "files": []})
