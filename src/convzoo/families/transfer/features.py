"""Features of a frozen backbone, cached on disk between trainings."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from convzoo.data import batches, pixels
from convzoo.data.batches import ImageSet, in_order
from convzoo.data.pixels import to_floats
from convzoo.families.transfer import network as transfer
from convzoo.families.transfer.network import Transfer
from convzoo.files import new_file, project_root, sha256_of
from convzoo.training.processes import in_turn, share_of
from convzoo.weights import backbones
from convzoo.weights.backbones import resized

CACHE = Path(".features")  # in the project's root folder
BATCH = 50  # images at a time
CODE = (
    batches.__file__,
    pixels.__file__,
    transfer.__file__,
    backbones.__file__,
    __file__,
)  # files that determine the bits of features


@torch.no_grad()
def cached_features(
    name: str,
    network: Transfer,
    fabric: Fabric,
    images: dict[str, ImageSet],
    scale: tuple[Tensor, Tensor],
    identity: dict[str, Any],
) -> dict[str, Tensor]:
    """Return the features float32 (N, D) of each set of `images`, on the device.

    They are computed once and stored in a folder that git ignores, under the sha256 of everything that they depend on.
    Older files of the network `name` are removed.
    """
    params = {key: identity["params"][key] for key in ("architecture", "weights_sha256", "side")}
    parts = [params, identity["data"], identity["compute"], identity["versions"]]
    parts.append([sha256_of(Path(file)) for file in CODE])
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    file = project_root() / CACHE / f"{name}-{key[:32]}.safetensors"
    stored = fabric.broadcast(_read(file) if fabric.is_global_zero else None)
    if stored is None:
        features = {
            split: compute_features(f"{name}: {split}", network, fabric, part, scale) for split, part in images.items()
        }
        stored = {key: value.cpu() for key, value in features.items()}
        if fabric.is_global_zero:
            for older in file.parent.glob(f"{name}-*.safetensors"):
                older.unlink()
            with new_file(file) as temporary:
                save_file(stored, temporary)
    return {key: value.to(fabric.device) for key, value in stored.items()}


def compute_features(
    title: str, network: Transfer, fabric: Fabric, images: ImageSet, scale: tuple[Tensor, Tensor]
) -> Tensor:
    """Compute the backbone's features float32 (N, D) of `images`, each process those of some batches, with a progress
    bar.
    """
    network.backbone.eval()
    features: list[Tensor] = []
    quiet = None if fabric.is_global_zero else True
    bar = tqdm(total=len(images), desc=f"features of {title}", unit=" images", leave=False, disable=quiet)
    for rows in share_of(fabric, in_order(len(images), BATCH)):
        with fabric.autocast():
            x = resized(to_floats(images.take(rows), *scale), network.side)
            features.append(network.backbone(x).float())
        bar.update((rows.stop - rows.start) * fabric.world_size)
    bar.close()
    return torch.cat(in_turn(fabric, features))


def _read(file: Path) -> dict[str, Tensor] | None:
    try:
        return load_file(file)
    except (OSError, SafetensorError):
        return None
