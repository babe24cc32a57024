"""The installed versions of the packages that numbers depend on."""

from importlib.metadata import version
from pathlib import Path

from convzoo.files import read_json

# A newer one of these can change bits somewhere between the raw data and the metrics.
PACKAGES = (
    "lightning-fabric",
    "matplotlib",
    "numpy",
    "onnx",
    "onnxruntime",
    "pillow",
    "safetensors",
    "torch",
)


def installed_versions() -> dict[str, str]:
    """The version of each of PACKAGES, with its build: `2.14.1+cpu` and `2.14.1+cu130` can give other bits."""
    return {package: version(package) for package in PACKAGES}


def told_of_changes(installed: dict[str, str]) -> str:
    """A line for each package with another version than the one that a network in models/ was trained with."""
    trained: dict[tuple[str, str], list[str]] = {}
    for file in sorted(Path("models").glob("*/fingerprint.json")):
        for package, before in read_json(file)["versions"].items():
            if package in installed and installed[package] != before:
                trained.setdefault((package, before), []).append(file.parent.name)
    return "".join(
        f"warning: {package} {installed[package]} is installed, {', '.join(networks)}: trained with {before}; other "
        "bits can come of it, so all that computes runs again (to keep what is there: "
        f"pip install {package}=={before})\n"
        for (package, before), networks in trained.items()
    )
