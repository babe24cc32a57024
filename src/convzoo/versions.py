"""The installed versions of the packages that numbers depend on."""

from importlib.metadata import version

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
