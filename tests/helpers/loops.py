"""Every training loop on a few images of 8x8 pixels, recorded: what the networks receive, what each epoch leaves."""

from collections.abc import Callable
from contextlib import contextmanager
from copy import deepcopy
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_modules

from convzoo.data.arrays import Split
from convzoo.data.batches import ImageSet
from convzoo.families.autoencoder import network as autoencoder
from convzoo.families.autoencoder import train as autoencoder_train
from convzoo.families.classifier import network as classifier
from convzoo.families.classifier import train as classifier_train
from convzoo.families.dcgan import network as dcgan
from convzoo.families.dcgan import train as dcgan_train
from convzoo.families.transfer import network as transfer
from convzoo.families.transfer import train as transfer_train
from convzoo.training import machine
from convzoo.training.state import TrainState
from helpers.small import AUTOENCODER, CLASSIFIER, COMPUTE, DCGAN, TRANSFER

SIDE, CLASSES = 8, 4


class Call(NamedTuple):
    """A pass of images, features or latents through a network."""

    network: nn.Module
    epoch: int  # from 0
    modes: list[bool]  # which of its modules are in training mode
    x: Tensor
    y: Tensor

    @property
    def training(self) -> bool:
        return any(self.modes)


class Recording:
    """A training: the calls of its networks in order, their weights before the first one, and what each epoch left.

    `answer`, if given, returns the output of a call in evaluation mode, in place of the network's.
    """

    def __init__(self, settings: Any, watched: Callable[[nn.Module], bool], answer: Callable[[Call], Tensor] | None):
        self.settings, self.watched, self.answer = settings, watched, answer
        self.calls: list[Call] = []
        self.starts: dict[str, dict[str, Tensor]] = {}  # by the class of the network
        self.kept: list[Any] = []  # after each epoch
        self.state = TrainState("net", run=self)

    def log(self, epoch: int, metrics: dict[str, float]) -> None:
        """Called in the place of a run at the end of each epoch."""
        self.kept.append(deepcopy(self.state.notes.get("head", self.state.best)))

    @contextmanager
    def watching(self):
        def before(network: nn.Module, inputs: tuple) -> None:
            if self.watched(network):
                self.starts.setdefault(type(network).__name__, deepcopy(network.state_dict()))

        def after(network: nn.Module, inputs: tuple, output: Tensor) -> Tensor | None:
            if not self.watched(network):
                return None
            modes = [part.training for part in network.modules()]
            if not any(modes) and torch.is_grad_enabled():  # only the count of operations
                return None
            call = Call(network, len(self.kept), modes, inputs[0].detach().clone(), output.detach())
            self.calls.append(call)
            return self.answer(call) if self.answer and not call.training else None

        hooks = [
            torch_modules.register_module_forward_pre_hook(before),
            torch_modules.register_module_forward_hook(after),
        ]
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()
            torch.use_deterministic_algorithms(False)

    def steps(self, kind: type[nn.Module] | None = None) -> list[Call]:
        """The calls in training mode, of networks of this class."""
        return [call for call in self.calls if call.training and isinstance(call.network, kind or nn.Module)]

    def by_epoch(self, kind: type[nn.Module] | None = None) -> list[list[Call]]:
        steps = self.steps(kind)
        return [[call for call in steps if call.epoch == epoch] for epoch in range(len(self.kept))]


class Loop(NamedTuple):
    """A training loop. `run` takes settings by one set of names for all loops, and those of its own."""

    run: Callable[..., Recording]  # (images, val, answer=None, **settings)
    mean: float  # of pixels, in the inputs of the network
    std: float
    metric: str  # that chooses the epoch to keep

    def levels(self, x: Tensor) -> Tensor:
        """Inputs of a network as images, floats (B, H, W, C), 0 to 255."""
        if x.ndim == 2:
            return x.view(len(x), SIDE, SIDE, 3) * 255
        return ((x * self.std + self.mean) * 255).permute(0, 2, 3, 1)

    def inputs(self, images: np.ndarray) -> Tensor:
        """Images uint8 (B, H, W, C) as the network should receive them."""
        levels = torch.from_numpy(images).float()
        if not self.mean:
            return levels.flatten(1) / 255
        return (levels.permute(0, 3, 1, 2) / 255 - self.mean) / self.std

    def shares(self, x: Tensor, images: np.ndarray) -> Tensor:
        """What part of each of N `images` is in each input: (B, N), with rows of one 1, or of two shares if mixed."""
        levels, known = self.levels(x).flatten(1), torch.from_numpy(images).flatten(1).float()
        pasted = ((levels[:, None] - known).abs() < 0.1).unflatten(2, (-1, 3)).all(3).float().mean(2)
        if (pasted.sum(1) == 1).all():
            return pasted
        blended = torch.linalg.lstsq(known.T.double(), levels.T.double()).solution.T
        torch.testing.assert_close(blended @ known.double(), levels.double(), atol=0.1, rtol=0)
        return torch.where(blended.abs() < 1e-4, 0, blended).float()


def noise(count: int, seed: int = 0, classes: int = CLASSES) -> Split:
    """Images (count, 8, 8, 3) of random pixels, with random labels."""
    rng = np.random.default_rng(seed)
    return Split(rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8), rng.integers(0, classes, count))


STILL = {"flip": "none", "shift": 0}
META = {"shape": [SIDE, SIDE, 3], "classes": list("abcd"), "mean": [0.2] * 3, "std": [0.3] * 3}
PLAIN = {"schedule": "constant", "warmup": 0.0, "keep": "last"}


def run_classifier(images: Split, val: Split, answer: Callable | None = None, **changes: Any) -> Recording:
    parts = {"fast": {"widths": [6]}, "reference": {"blocks": [[4]], "dense": 8, "padding": "same"}}
    parts = {name: part | changes.pop(name, {}) for name, part in parts.items()}
    settings = CLASSIFIER.settings(**STILL | PLAIN | {"ema_decay": 0.0, "rotation": 0, "cutout": 0} | changes)
    settings = settings.model_copy(
        update={name: getattr(settings, name).model_copy(update=part) for name, part in parts.items()}
    )
    return run_fit(classifier_train, (classifier.Fast, classifier.Reference), settings, images, val, answer)


def run_autoencoder(images: Split, val: Split, answer: Callable | None = None, **changes: Any) -> Recording:
    defaults = STILL | PLAIN | {"ema_decay": 0.0, "latent": 5, "features": 4, "decoder_blocks": 0}
    settings = AUTOENCODER.settings(**defaults | changes)
    settings = settings.model_copy(update={"reference": settings.reference.model_copy(update={"features": [4, 2]})})
    return run_fit(autoencoder_train, (autoencoder.Fast, autoencoder.Reference), settings, images, val, answer)


def run_fit(
    family: ModuleType, networks: tuple[type, ...], settings: Any, images: Split, val: Split, answer: Callable | None
) -> Recording:
    """Train by the `fit` of a family's module; records what modules of the types `networks` receive."""
    fabric = machine.start(COMPUTE, settings.seed)
    with Recording(settings, lambda part: isinstance(part, networks), answer).watching() as found:
        sets = (ImageSet([split], fabric.device) for split in (images, val))
        family.fit(settings, family.describe(settings, META), fabric, *sets, found.state)
    return found


class Features:
    """A feature network for tests: each image's mean brightness by row and by channel, (N, 11)."""

    name, sha256 = "rows", "0" * 64

    def __init__(self, answer: Callable[[int, np.ndarray], np.ndarray] | None = None) -> None:
        self.answer, self.seen = answer, []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.seen.append(images)
        found = np.concatenate([images.mean((2, 3)), images.mean((1, 2))], axis=1).astype(np.float32) / 255
        return self.answer(len(self.seen), found) if self.answer else found


def run_dcgan(images: Split, val: Split, features: Features | None = None, **changes: Any) -> Recording:
    """`warmup` and `weight_decay` are no settings of a DCGAN; `learning_rate` is that of both networks."""
    augment = changes.pop("augment", {})
    changes = {name: value for name, value in changes.items() if name not in ("warmup", "weight_decay")}
    if "learning_rate" in changes:
        rate = changes.pop("learning_rate")
        changes = {"generator_learning_rate": rate, "discriminator_learning_rate": rate} | changes
    settings = DCGAN.settings(**{"ema_decay": 0.0, "schedule": "constant", "select_every": 1} | changes)
    settings = settings.model_copy(update={"augment": settings.augment.model_copy(update=augment)})
    features = features or Features()
    fabric = machine.start(COMPUTE, settings.seed)
    networks = (dcgan.Generator, dcgan.Discriminator)
    with Recording(settings, lambda part: isinstance(part, networks), None).watching() as found:
        architecture = dcgan_train.describe(settings, META)
        arguments = (ImageSet([images], fabric.device), Features()(val.images), features, found.state)
        dcgan_train.fit(settings, architecture, fabric, *arguments)
    return found


class Backbone(nn.Module):
    """Three blocks of a convolution and a norm: features (B, 6) of floats (B, 3, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (3, 4, 5, 6)
        for number in range(3):
            self.add_module(f"conv{number}", nn.Conv2d(sizes[number], sizes[number + 1], 3, padding=1, bias=False))
            self.add_module(f"norm{number}", nn.BatchNorm2d(sizes[number + 1]))

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in ((self.conv0, self.norm0), (self.conv1, self.norm1), (self.conv2, self.norm2)):
            x = torch.relu(norm(conv(x)))
        return x.mean((2, 3))


UNCHANGED = {"flip": False, "crop": 1, "rotation": 0, "brightness": 0, "contrast": 0, "saturation": 0}
UNCHANGED |= {"mixup": 0, "cutmix": 0}
OF_A_PHASE = ("epochs", "batch_size", "learning_rate", "weight_decay")
OF_TUNING = (*OF_A_PHASE, "ema_decay", "blocks", "layer_decay", "batch_norm", *UNCHANGED)


def _transfer(images: Split, val: Split, phase: str, names: tuple[str, ...], changes: dict) -> tuple:
    defaults = {"ema_decay": 0.0, **UNCHANGED} if phase == "finetune" else {}
    of_phase = defaults | {name: changes.pop(name) for name in names if name in changes}
    other = {"features": {"epochs": 0}} if phase == "finetune" else {}
    changes.pop("ema_decay", None)
    settings = TRANSFER.settings(**PLAIN | {"side": SIDE, "dropout": 0.0, phase: of_phase} | other | changes)
    fabric = machine.start(COMPUTE, settings.seed)
    network = transfer.Transfer(Backbone(), SIDE, CLASSES, settings.head, settings.dense, settings.dropout)
    train, val = (ImageSet([split], fabric.device) for split in (images, val))
    data = transfer_train.Data(train, train, val, (torch.full((3,), 0.2), torch.full((3,), 0.3)))
    return settings, fabric, network, data


def run_head(images: Split, val: Split, answer: Callable | None = None, **changes: Any) -> Recording:
    """The head learns from the pixels."""
    settings, fabric, network, data = _transfer(images, val, "features", OF_A_PHASE, changes)
    network = transfer.Transfer(nn.Flatten(), SIDE, CLASSES, settings.head, settings.dense, settings.dropout)
    features = {
        name: torch.from_numpy(split.images).flatten(1) / 255 for name, split in (("train", images), ("val", val))
    }
    with Recording(settings, lambda part: part is network.head, answer).watching() as found:
        transfer_train.fit_head(settings, network, fabric, features, data, found.state)
    return found


def run_tune(images: Split, val: Split, answer: Callable | None = None, **changes: Any) -> Recording:
    settings, fabric, network, data = _transfer(images, val, "finetune", OF_TUNING, changes)

    with Recording(settings, lambda part: isinstance(part, transfer.Transfer), answer).watching() as found:
        transfer_train.tune(settings, network, fabric, data, found.state)
    return found


LOOPS = {
    "classifier": Loop(run_classifier, 0.2, 0.3, "val_accuracy"),
    "autoencoder": Loop(run_autoencoder, 0.5, 0.5, "val_psnr"),
    "dcgan": Loop(run_dcgan, 0.5, 0.5, "val_kid"),
    "head": Loop(run_head, 0.0, 1.0, "val_accuracy"),
    "tune": Loop(run_tune, 0.2, 0.3, "val_accuracy"),
}
