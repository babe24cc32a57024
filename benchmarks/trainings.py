"""The trainings of params.yaml, as their loops run them, on the prepared data of the project."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from lightning_fabric import Fabric

from benchmarks.stopwatch import Finished, OneEpoch, Stopwatch, WatchedFabric
from convzoo.data.batches import ImageSet
from convzoo.families.autoencoder import train as autoencoder
from convzoo.families.classifier import train as classifier
from convzoo.families.dcgan import train as dcgan
from convzoo.families.transfer import features as transfer_features
from convzoo.families.transfer import train as transfer
from convzoo.families.transfer.network import build as build_transfer
from convzoo.settings.compute import compute_settings
from convzoo.settings.load import Params
from convzoo.settings.networks import network_settings
from convzoo.training import machine
from convzoo.training.workspace import TrainingData, load_data
from convzoo.weights.backbones import published


class Training(NamedTuple):
    """A training that can be run again and again, each time from its start."""

    network: str
    batch: int  # images of a step
    cycle: int  # steps after which the same work is done again
    fabric: Fabric
    loop: Callable[[WatchedFabric, Stopwatch], None]

    def run(self, limit: int | None = None, is_over: Callable[[], bool] = lambda: False) -> Stopwatch:
        """Train for `limit` steps after the first, until `is_over`, or for one epoch, whichever comes first."""
        watch = Stopwatch(self.fabric.device, limit, is_over)
        with suppress(Finished):
            self.loop(WatchedFabric(self.fabric, watch), watch)
        return watch


def training(params: Params, network: str, changes: dict[str, Any] | None = None) -> Training:
    """The training of `network`, with `changes` to its settings.

    Raises SettingsError, and ConvzooError if its data or weights are missing.
    """
    settings = network_settings(params, "networks", network)
    settings = type(settings).model_validate(settings.model_dump() | (changes or {}))
    fabric = machine.start(compute_settings(params), settings.seed)
    data = load_data(settings.data)
    prepare = {"classifier": _images, "autoencoder": _images, "dcgan": _dcgan, "transfer": _transfer}
    batch, cycle, loop = prepare[settings.family](settings, data, fabric)
    return Training(network, batch, cycle, fabric, loop)


def _watched(module: ModuleType, name: str, watch: Stopwatch) -> Any:
    """`watch` in the place of the progress bar that `module` makes by `name`."""
    return patch.object(module, name, lambda *_, **__: watch)


def _images(settings: Any, data: TrainingData, fabric: Fabric) -> tuple[int, int, Callable]:
    family = {"classifier": classifier, "autoencoder": autoencoder}[settings.family]
    if settings.family == "autoencoder":  # where the linear path starts does not matter for a step
        settings = settings.model_copy(update={"fast": settings.fast.model_copy(update={"pca": False})})
    images = ImageSet([data.train, data.augmented], fabric.device)
    val = ImageSet([data.val], fabric.device)

    def loop(watched: WatchedFabric, watch: Stopwatch) -> None:
        with _watched(family, "Progress", watch):
            family.fit(settings, family.describe(settings, data.meta), watched, images, val, OneEpoch("net"))

    return min(settings.batch_size, len(images)), 1, loop


def _dcgan(settings: Any, data: TrainingData, fabric: Fabric) -> tuple[int, int, Callable]:
    images = ImageSet([data.train, *[data.augmented] * settings.stored_variants], fabric.device)
    architecture = dcgan.describe(settings, data.meta)
    unused = np.zeros((0, 1), np.float32)  # features of val, for the measurements between epochs

    def loop(watched: WatchedFabric, watch: Stopwatch) -> None:
        with _watched(dcgan, "Progress", watch):
            dcgan.fit(settings, architecture, watched, images, unused, lambda images: unused, OneEpoch("net"))

    cycle = settings.discriminator_steps * (settings.r1_every if settings.r1 or settings.r2 else 1)
    return min(settings.batch_size, len(images)), cycle, loop


def _transfer(settings: Any, data: TrainingData, fabric: Fabric) -> tuple[int, int, Callable]:
    """Fine-tuning, or the features of images if the settings ask for no more."""
    backbone, pretrained, about = published(Path("data/weights", settings.weights))
    architecture = transfer.describe(settings, about, data.meta)
    scale = tuple(torch.tensor(architecture[name], device=fabric.device) for name in ("mean", "std"))
    train, val = ImageSet([data.train], fabric.device), ImageSet([data.val], fabric.device)
    images = transfer.Data(train, train, val, scale)

    def network() -> torch.nn.Module:
        built = build_transfer(backbone, architecture["arguments"])
        built.backbone.load_state_dict(pretrained)
        return built.to(fabric.device)

    def tune(watched: WatchedFabric, watch: Stopwatch) -> None:
        state = OneEpoch("net", epoch=settings.features.epochs)
        with _watched(transfer, "Progress", watch):
            transfer.tune(settings, network(), watched, images, state)

    def compute(watched: WatchedFabric, watch: Stopwatch) -> None:
        built = network()
        watch.watch(built.backbone)
        with _watched(transfer_features, "tqdm", watch):
            transfer_features.compute_features("net", built, watched, train, scale)

    if settings.method == "finetune":
        return min(settings.finetune.batch_size, len(train)), 1, tune
    return min(transfer_features.BATCH, len(train)), 1, compute
