"""Checks the whole of params.yaml before any other stage runs."""

from pathlib import Path

from convzoo.errors import main
from convzoo.files import write_json
from convzoo.settings.load import read_params
from convzoo.settings.whole import check_all


def run() -> None:
    """Write data/settings.json, the same for all settings that are well: other stages wait for it, none reruns."""
    check_all(read_params())
    write_json(Path("data/settings.json"), {"params.yaml": "checked"})


if __name__ == "__main__":
    main(run)
