"""What two processes on one machine gain, and what limits it.

PYTHONPATH=src:. python -m benchmarks.processes NETWORK ...

The loops of the networks run on random images, with the settings of params.yaml in fp32 on the CPU: as one process with
one thread and with two; as two processes that train one network together; and as two that train half a batch each
without a connection, which shows what is left of the gain if they never wait for each other. The time of the processor,
of all processes together, depends little on what else runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks import trainings
from benchmarks.stopwatch import Stopwatch
from convzoo.data.arrays import Split
from convzoo.portable import processor
from convzoo.settings.compute import ComputeSettings
from convzoo.settings.data import prepare_settings
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from convzoo.training import machine
from convzoo.training.workspace import TrainingData
from convzoo.weights.backbones import cut, whole

BACKBONE = "efficientnet-lite0"  # with random weights
CLASSES = 10
PORT = 29417
# Processes, threads of each, and whether they train together.
WAYS = {
    "one, 1 thread": (1, 1, False),
    "one, 2 threads": (1, 2, False),
    "two together": (2, 1, True),
    "two apart": (2, 1, False),
}


def main() -> None:
    """Print a table with a row for each network; each figure is the median of the turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--steps", type=int, default=12, help="steps of each turn after the first")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    print(f"{processor()}; load before: {os.getloadavg()[0]:.2f}\n")
    print("images per second; milliseconds of the processor per image\n")
    print(f"| network | batch | {' | '.join(WAYS)} |\n| --- |{' --- |' * (len(WAYS) + 1)}")
    for network in options.networks:
        turns: dict[str, list[Rate]] = {name: [] for name in WAYS}
        for _ in range(options.turns):
            for name, way in WAYS.items():
                turns[name].append(measured(network, options.steps, *way))
        cells = [network, str(turns["two together"][0].batch)]
        for rates in turns.values():
            images, spent = (statistics.median(values) for values in list(zip(*rates, strict=True))[1:])
            cells.append(f"{images:.0f}; {spent:.2f}")
        print(f"| {' | '.join(cells)} |", flush=True)


class Rate(NamedTuple):
    """What all processes together computed."""

    batch: int
    images: float  # per second
    spent: float  # milliseconds of the processor per image


class ProcessorStopwatch(Stopwatch):
    """A stopwatch that also takes the processor's time at the end of each step, with the first one."""

    def step(self, *_: Any) -> None:
        """A step ends. Raises Finished."""
        self.spent_by = [*getattr(self, "spent_by", []), time.process_time()]
        super().step()


def measured(network: str, steps: int, processes: int, threads: int, together: bool) -> Rate:
    """Train in so many processes at once."""
    started = []
    for rank in range(processes):
        variables = {"OMP_NUM_THREADS": str(threads)}
        if together:
            variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(PORT), "LOCAL_RANK": str(rank)}
        code = (
            f"from benchmarks.processes import child; child({network!r}, {steps}, {processes}, {threads}, {together})"
        )
        command = [sys.executable, "-W", "ignore", "-c", code]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=os.environ | variables, **output))
    outputs = [process.communicate() for process in started]
    if any(process.returncode for process in started):
        sys.exit(f"{network}: failed:\n{outputs[0][1]}")
    found = [json.loads(output.splitlines()[-1]) for output, _ in outputs]
    batch = found[0]["batch"] * (1 if together else processes)
    spent = sum(one["spent"] for one in found) * 1000 / batch
    return Rate(batch, batch / statistics.fmean(one["seconds"] for one in found), spent)


def child(network: str, steps: int, processes: int, threads: int, together: bool) -> None:
    """Train for some steps; print the batch size of this training, and a step's mean seconds on the clock and of the
    processor.
    """
    params = read_params()
    share = 1 if together else processes
    settings = _with_batches(network_settings(params, "networks", network), share)
    compute = ComputeSettings(
        portable=False,
        device="cpu",
        devices=processes if together else 1,
        nodes=1,
        strategy="auto",
        precision="fp32",
        threads=threads,
        deterministic=True,
    )
    fabric = machine.start(compute, settings.seed)
    prepare = prepare_settings(params, settings.data)
    batch = settings.finetune.batch_size if settings.family == "transfer" else settings.batch_size
    data = random_data(batch * (steps + 2), prepare.height, prepare.width, 1 if "mnist" in network else 3)
    kinds = {"classifier": trainings._images, "autoencoder": trainings._images}
    kinds |= {"dcgan": trainings._dcgan, "transfer": trainings._transfer}
    weights = BACKBONE, cut(whole(BACKBONE)).state_dict(), ABOUT
    with (
        patch.object(trainings, "published", lambda folder: weights),
        patch.object(trainings, "Stopwatch", ProcessorStopwatch),
    ):
        batch, cycle, loop = kinds[settings.family](settings, data, fabric)
        watch = trainings.Training(network, batch, cycle, fabric, loop).run(limit=steps // cycle * cycle)
    spent = (watch.spent_by[-1] - watch.spent_by[0]) / len(watch.steps)
    print(json.dumps({"batch": batch, "seconds": statistics.fmean(watch.steps), "spent": spent}))


ABOUT: dict[str, Any] = {"backbone": BACKBONE, "source": {}, "files": {"weights.safetensors": ""}}


def random_data(count: int, height: int, width: int, channels: int) -> TrainingData:
    """Random images and labels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    split, none = Split(images, rng.integers(0, CLASSES, count)), Split(images[:0], np.zeros(0, np.int64))
    classes = [str(number) for number in range(CLASSES)]
    meta = {"shape": [height, width, channels], "classes": classes, "mean": [0.5] * channels, "std": [0.25] * channels}
    val = split._replace(images=images[:50], labels=split.labels[:50])
    return TrainingData(split, none, val, meta, digests={}, order={})


def _with_batches(settings: Any, share: int) -> Any:
    if settings.family == "transfer":
        phase = settings.finetune.model_copy(update={"batch_size": settings.finetune.batch_size // share})
        return settings.model_copy(update={"method": "finetune", "finetune": phase})
    return settings.model_copy(update={"batch_size": settings.batch_size // share})


if __name__ == "__main__":
    main()
