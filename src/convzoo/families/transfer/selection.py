"""What a transfer training learns from, how its epochs are judged on val, and which is kept."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from lightning_fabric import Fabric
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from convzoo.data.batches import Images, in_order
from convzoo.data.pixels import to_floats
from convzoo.errors import ConvzooError
from convzoo.families.transfer.network import Transfer
from convzoo.families.transfer.settings import FinetuneSettings, TrainingSettings
from convzoo.files import new_file, project_root
from convzoo.tracking.live import LiveRun
from convzoo.training import augmentation
from convzoo.training.checkpoints import Checkpoints
from convzoo.training.history import Progress, Row
from convzoo.weights.backbones import resized

CACHE = Path(".features")  # under the project's root: what frozen backbones made of images
BATCH = 50  # images at a time
ASPECT = 4 / 3  # of a cut-out, at most, either way
GREY = (0.299, 0.587, 0.114)  # what red, green and blue add to how bright a pixel looks (ITU-R BT.601)


@torch.no_grad()
def judge(fabric: Fabric, network: nn.Module, take: Callable[[Tensor], Tensor], labels: Tensor) -> dict[str, float]:
    """`val_loss` (mean cross-entropy, nats) and `val_accuracy` (0 to 1) of `network`; its parts' modes are put back.

    `take` gives what goes in for an index (B,): floats of images for a whole network, features for a head.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    loss, hits = 0.0, 0
    for index in in_order(len(labels), BATCH):
        wanted = labels[index.to(fabric.device)]
        with fabric.autocast():
            logits = network(take(index)).float()
        loss += F.cross_entropy(logits, wanted, reduction="sum").item()
        hits += (logits.argmax(1) == wanted).sum().item()
    for module, training in modes.items():
        module.training = training
    return {"val_loss": loss / len(labels), "val_accuracy": hits / len(labels)}


@torch.no_grad()
def cached_features(
    network: str,
    body: Transfer,
    fabric: Fabric,
    images: dict[str, Images],
    scaled: tuple[Tensor, Tensor],
    identity: dict,
) -> dict[str, Tensor]:
    """What the backbone, frozen, makes of each set of `images`: float32 (N, D) on the device.

    Made once and kept in a folder that git ignores, under the sha256 of all that they depend on; those of an earlier
    state of the same network are removed.
    """
    params = {name: identity["params"][name] for name in ("architecture", "weights_sha256", "side")}
    parts = [params, *(identity[name] for name in ("data", "compute", "versions", "code"))]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    file = project_root() / CACHE / f"{network}-{key[:32]}.safetensors"
    if fabric.is_global_zero and not _whole(file):
        found = {name: _made(f"{network}: {name}", body, fabric, each, scaled) for name, each in images.items()}
        for earlier in file.parent.glob(f"{network}-*.safetensors"):
            earlier.unlink()
        with new_file(file) as temporary:
            save_file({name: value.cpu() for name, value in found.items()}, temporary)
    fabric.barrier()
    return {name: value.to(fabric.device) for name, value in load_file(file).items()}


def _whole(file: Path) -> bool:
    try:
        return bool(load_file(file))
    except (OSError, SafetensorError):
        return False


def _made(title: str, body: Transfer, fabric: Fabric, images: Images, scaled: tuple[Tensor, Tensor]) -> Tensor:
    body.backbone.eval()
    found = []
    bar = tqdm(total=len(images), desc=f"features of {title}", unit=" images", leave=False, disable=None)
    for index in in_order(len(images), BATCH):
        with fabric.autocast():
            found.append(body.backbone(resized(to_floats(images.take(index), *scaled), body.side)).float())
        bar.update(len(index))
    bar.close()
    return torch.cat(found)


def varied(images: Tensor, phase: FinetuneSettings, side: int, generator: torch.Generator) -> Tensor:
    """Images (B, H, W, C) as the network meets them: cut out, turned and mirrored in one go, in other light; floats
    (B, side, side, C), 0 to 255.
    """
    count = len(images)

    def drawn(amount: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * amount

    area = 1 - torch.rand(count, generator=generator) * (1 - phase.crop)
    aspect = drawn(math.log(ASPECT) * (phase.crop < 1)).exp()
    width, height = ((area * factor).sqrt().clamp(max=1) for factor in (aspect, 1 / aspect))
    angle = drawn(math.radians(phase.rotation))
    flip = "random" if phase.flip else "none"
    mirror = 1 - 2 * augmentation.flips(flip, torch.arange(count), 0, count, 0, generator).float()
    places = torch.zeros(count, 2, 3)
    places[:, 0, 0], places[:, 0, 1] = width * angle.cos() * mirror, -height * angle.sin()
    places[:, 1, 0], places[:, 1, 1] = width * angle.sin() * mirror, height * angle.cos()
    places[:, 0, 2], places[:, 1, 2] = drawn(1) * (1 - width), drawn(1) * (1 - height)
    x = images.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(places.to(x.device), [count, x.shape[1], side, side], align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)

    brighter, sharper, fuller = (
        (1 + drawn(amount)).view(-1, 1, 1, 1).to(x.device)
        for amount in (phase.brightness, phase.contrast, phase.saturation)
    )
    x = x * brighter
    grey = (x * torch.tensor(GREY, device=x.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    middle = grey.mean((2, 3), keepdim=True)
    x = middle + sharper * (grey + fuller * (x - grey) - middle)
    return x.clamp(0, 255).permute(0, 2, 3, 1)


def mixed(x: Tensor, phase: FinetuneSettings, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Floats (B, C, H, W) mixed in pairs (Zhang et al. 2018, https://arxiv.org/abs/1710.09412) or with a part of the
    other pasted in (Yun et al. 2019, https://arxiv.org/abs/1905.04899); the partners (B,), and each image's own share.
    """
    count, _, height, width = x.shape
    ways = [(amount, name) for amount, name in ((phase.mixup, "mix"), (phase.cutmix, "cut")) if amount]
    if not ways:
        return x, torch.arange(count), 1.0
    amount, name = ways[rng.integers(len(ways))]
    partners, share = torch.from_numpy(rng.permutation(count)), float(rng.beta(amount, amount))
    others = x[partners.to(x.device)]
    if name == "mix":
        return share * x + (1 - share) * others, partners, share
    rows, columns = (int(side * math.sqrt(1 - share)) for side in (height, width))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    x[:, :, top : top + rows, left : left + columns] = others[:, :, top : top + rows, left : left + columns]
    return x, partners, 1 - rows * columns / (height * width)


@dataclass
class Course:
    """What a training has come to: its history, what is kept of each phase, and how it goes on after a stop."""

    network: str
    settings: TrainingSettings
    fabric: Fabric
    checkpoints: Checkpoints
    run: LiveRun
    epoch: int = 0
    history: list[Row] = field(default_factory=list)
    head: dict[str, Tensor] = field(default_factory=dict)  # kept of phase 1
    best: dict[str, Tensor] = field(default_factory=dict)  # kept of the phase that runs
    going_on: dict[str, Any] = field(default_factory=dict)  # weights and optimizer of the phase that runs

    def resume(self) -> None:
        """Take up the last checkpoint, where there is one."""
        state = self.checkpoints.load()
        if state:
            for name, value in state.items():
                setattr(self, name, value)
            print(f"resuming {self.network} at epoch {self.epoch + 1}", flush=True)

    @property
    def epochs(self) -> int:
        """Of both phases."""
        tuning = self.settings.finetune.epochs if self.settings.method == "finetune" else 0
        return self.settings.features.epochs + tuning

    def generator(self) -> torch.Generator:
        """All that is random in an epoch comes from the seed and the epoch's number, so that a training that goes on
        after a stop ends with the same bits as one that never stopped.
        """
        torch.manual_seed(self.settings.seed * 1_000_003 + self.epoch)  # dropout
        return torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.epoch)

    def end_epoch(
        self,
        row: Row,
        losses: list[Tensor],
        hits: Tensor,
        images: int,
        judged: dict[str, float],
        weights: dict[str, Tensor],
        going_on: dict[str, Any],
        progress: Progress,
    ) -> None:
        """Write an epoch down: its row (phase and learning rate are given), the weights if they are to be kept, and a
        checkpoint. Raises ConvzooError, with the step and the last good checkpoint, where a loss is not finite.
        """
        self.epoch += 1
        found = self.fabric.all_reduce(torch.stack(losses))
        self._stop_if_not_finite(found)
        accuracy = self.fabric.all_reduce(hits, reduce_op="sum").item() / images
        row = {"epoch": self.epoch, **row, "train_loss": found.mean().item(), "train_accuracy": accuracy, **judged}
        before = [old["val_accuracy"] for old in self.history if old["phase"] == row["phase"]]
        self.history.append(row)
        if self.settings.keep == "last" or row["val_accuracy"] > max(before, default=-1):
            self.best = {name: value.detach().clone() for name, value in weights.items()}
        self.head = self.best if row["phase"] == 1 else self.head
        self.going_on = going_on
        kept = ("epoch", "history", "head", "best", "going_on")
        self.checkpoints.save({name: getattr(self, name) for name in kept})
        self.run.log(self.epoch, {name: value for name, value in row.items() if name != "epoch"})
        progress.epoch(row)

    def _stop_if_not_finite(self, losses: Tensor) -> None:
        broken = (~losses.isfinite()).nonzero()
        if len(broken):
            step = broken[0].item() + 1
            kept = f"epoch {self.epoch - 1} is kept in {self.checkpoints.file}"
            kept = kept if self.epoch > 1 else "no epoch was finished"
            where = f"step {step} of epoch {self.epoch}"
            raise ConvzooError(f"{self.network}: the loss is not finite at {where}; {kept}; lower learning_rate")
