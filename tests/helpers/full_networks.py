"""The networks as params.yaml has them, on images of the right sizes and numbers that are drawn in a moment."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from convzoo.data.arrays import Split
from convzoo.families.find import family_module
from convzoo.files import sha256_of
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from convzoo.training.progress import Progress
from convzoo.training.state import TrainState
from helpers.project import ROOT
from helpers.small.dcgan import save_features
from helpers.small.family import COMPUTE, write_project
from helpers.small.transfer import made_weights

PARAMS = read_params(ROOT / "params.yaml").values
NETWORKS = list(PARAMS["networks"])
CLASSES = {"cifar100": 100, "flowers": 5}  # of sets whose classes only the source knows
EPOCHS = 3


class Speed(NamedTuple):
    """What a training was measured to need."""

    images_per_second: float  # of the last epoch, with its validation
    waits_per_step: float  # on average, for the device


def full_project(folder: Path, network: str, share: float = 1) -> Path:
    """A project in which `network` can be trained, with a `share` of the images that params.yaml asks for at least."""
    settings, block = full_settings(network), PARAMS["data"][full_settings(network).data]
    prepare, counts = block["prepare"], dict(block["validate"]["min_images"])
    counts = {name: max(int(count * share), 40) for name, count in counts.items()}
    counts["augmented"] = counts["train"] * block["augment"]["variants"]
    names = prepare["classes"]
    names = [str(number) for number in range(CLASSES[settings.data])] if names == "source" else names
    shape = (prepare["height"], prepare["width"], prepare["channels"])
    splits = {name: _drawn(count, shape, len(names), seed) for seed, (name, count) in enumerate(counts.items())}
    if settings.family == "transfer":
        made_weights(folder / "data/weights" / settings.weights, settings.weights)
    if settings.family == "dcgan":
        save_features(folder / "data/weights" / settings.weights / "features.onnx", shape[-1], side=shape[0])
    return write_project(folder, settings.data, splits, names, mean=[0.5] * shape[2], std=[0.25] * shape[2])


def full_settings(network: str, **changes: Any) -> BaseModel:
    """The training's settings of `network` in params.yaml; only epochs are fewer."""
    settings = network_settings(read_params(ROOT / "params.yaml"), "networks", network)
    if settings.family == "transfer":
        parts = {name: getattr(settings, name).model_copy(update={"epochs": 2}) for name in ("features", "finetune")}
        return settings.model_copy(update=parts | changes)
    return settings.model_copy(update={"epochs": EPOCHS} | changes)


def train(network: str, settings: BaseModel, **compute: Any) -> str:
    """Train; return the sha256 of the weights."""
    module = family_module(settings.family, "train")
    module.train(network, settings, COMPUTE.model_copy(update=compute), "test")
    return sha256_of(Path("models", network, "weights.safetensors"))


def export_and_evaluate(network: str) -> None:
    params = read_params(ROOT / "params.yaml")
    family = full_settings(network).family
    family_module(family, "export").export(network, network_settings(params, "export", network))
    family_module(family, "evaluate").evaluate(network, network_settings(params, "evaluation", network))


def measured(network: str, settings: BaseModel, waits: Callable[[], int], **compute: Any) -> Speed:
    """Train, and measure the speed; `waits` counts how often the host waited for the device so far."""
    steps: list[int] = []  # waits in each step but the first of an epoch
    epochs: list[tuple[float, int]] = []  # when each ended, and after how many steps
    before: int | None = None

    def step(progress: Progress) -> None:
        nonlocal before
        if before is not None:
            steps.append(waits() - before)
        before = waits()

    def epoch(progress: Progress, row: dict) -> None:
        nonlocal before
        before = None
        epochs.append((time.perf_counter(), progress.bar.total))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Progress, "step", step)
        patched.setattr(Progress, "epoch", epoch)
        train(network, settings, **compute)
    (began, _), (ended, count) = epochs[-2:]
    phase = settings.finetune if settings.family == "transfer" and settings.method == "finetune" else settings
    phase = settings.features if settings.family == "transfer" and settings.method == "features" else phase
    return Speed(count * phase.batch_size / (ended - began), sum(steps) / len(steps))


def first_losses(network: str, settings: BaseModel, count: int, **compute: Any) -> dict[str, list[float]]:
    """The first `count` losses of a training in fp32, by the setting that they name in an error."""
    losses: dict[str, list[float]] = {}

    def record(state: TrainState, found: dict[str, torch.Tensor]) -> None:
        for name, values in found.items():
            losses.setdefault(name, []).extend(values.tolist())

    precision, allowed = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(TrainState, "check_finite", record)
            train(network, without_dropout(settings), precision="fp32", **compute)
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = allowed
    return {name: values[:count] for name, values in losses.items()}


def without_dropout(settings: BaseModel) -> BaseModel:
    """The settings with every dropout at 0: each device draws its own random numbers for it."""
    changes: dict[str, Any] = {}
    for name, value in settings:
        if isinstance(value, BaseModel):
            changes[name] = without_dropout(value)
        elif name == "dropout":
            changes[name] = 0.0
    return settings.model_copy(update=changes)


@contextmanager
def waits_on_gpu() -> Iterator[Callable[[], int]]:
    """Counts torch's warnings of operations that wait for the GPU."""
    count = 0

    def show(message: Any, *arguments: Any, **options: Any) -> None:
        nonlocal count
        count += "synchronizing CUDA operation" in str(message)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield lambda: count
        finally:
            torch.cuda.set_sync_debug_mode("default")


def _drawn(count: int, shape: tuple[int, int, int], classes: int, seed: int) -> Split:
    """Noise on a pattern of 4x4 squares that differs from class to class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % max(classes, 1)
    patterns = np.random.default_rng(0).integers(40, 200, (max(classes, 1), 4, 4, shape[2]))
    height, width = (-(-side // 4) for side in shape[:2])
    large = patterns.repeat(height, axis=1).repeat(width, axis=2)[:, : shape[0], : shape[1]]
    images = (large[labels] + rng.integers(-40, 40, (count, *shape), dtype=np.int16)).astype(np.uint8)
    return Split(images, labels)
