"""Installed versions against those that networks were trained with."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from convzoo.files import read_json


def version_warnings(models: Path = Path("models")) -> list[str]:
    """A line for each package that is installed in another version than a network in `models` was trained with."""
    trained: dict[tuple[str, str], list[str]] = {}
    for file in sorted(models.glob("*/fingerprint.json")):
        for package, before in read_json(file)["versions"].items():
            if _installed(package) != before:
                trained.setdefault((package, before), []).append(file.parent.name)
    return [
        f"warning: {package} {_installed(package)} is installed, but {', '.join(networks)} trained with {before}; the "
        f"bits can differ, so these stages run again (to keep the results: pip install {package}=={before})"
        for (package, before), networks in trained.items()
    ]


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "no version"
