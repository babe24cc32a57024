"""Training in convzoo against the textbook loops, by turns in one process."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.textbook.loops import LOOPS, WORKERS, images_of
from benchmarks.training import timed
from benchmarks.trainings import training
from convzoo.data.arrays import load_split
from convzoo.files import read_json
from convzoo.settings.load import Params

# The DCGAN is compared with the same network, step by step.
CHANGES = {"anime-dcgan": {"variant": "plain", "generator_width": 64, "discriminator_width": 64}}
# Of ResNet-18 to 94 % on the published CIFAR-10, in the schedule that
# https://myrtle.ai/learn/how-to-train-your-resnet-1-baseline/ starts from.
RESNET18_EPOCHS = 35


def measure(
    params: Params,
    network: str,
    repeats: int,
    seconds: float,
    workers: int = WORKERS,
    batch_size: int | None = None,
    changes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The images per second of both, medians of `repeats` turns of `seconds` each, and the median of their ratios.

    For CIFAR-10, `extrapolated` is the ratio of the times of whole trainings, by the epochs of each. Raises
    ConvzooError if data are missing.
    """
    mine = training(params, network, CHANGES.get(network, {}) | (changes or {}))
    folder = Path("data/prepared", params.values["networks"][network]["data"], "train")
    loop, usual, _ = LOOPS[network]
    images = images_of(load_split(folder), read_json(folder / "meta.json"), network)
    batch = min(batch_size or usual, len(images))
    steps = loop(images, mine.fabric.device, batch, workers)
    mine.run(limit=1)
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(mine.batch / timed(mine, seconds)[0])
        theirs.append(batch / _seconds_per_step(steps, seconds))
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    row = {
        "network": network,
        "changes": CHANGES.get(network, {}),
        "batch": mine.batch,
        "textbook_batch": batch,
        "images": statistics.median(ours),
        "textbook_images": statistics.median(theirs),
        "times_as_fast": ratio,
    }
    if network == "cifar10-classifier":
        epochs = params.values["networks"][network]["epochs"]
        row |= {"epochs": epochs, "textbook_epochs": RESNET18_EPOCHS, "extrapolated": ratio * RESNET18_EPOCHS / epochs}
    return row


def _seconds_per_step(steps: Iterator[float], seconds: float) -> float:
    """The mean seconds of a step, over about `seconds`, after one step that is not counted."""
    next(steps)
    count, began = 0, time.perf_counter()
    while not count or time.perf_counter() - began < seconds:
        next(steps)
        count += 1
    return (time.perf_counter() - began) / count
