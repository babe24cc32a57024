"""Training in convzoo against public implementations, whose files run unchanged.

PYTHONPATH=src:. python -m benchmarks.public FOLDER

FOLDER has clones of https://github.com/pytorch/examples and https://github.com/kuangliu/pytorch-cifar. Their scripts
get the prepared images of params.yaml in the place of those that they would download, and are stopped after some steps;
all stages must have run before. pytorch-cifar trains its ResNet18 here, not the SimpleDLA that its script names.
"""

import argparse
import os
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
import types
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
import torchvision
from PIL import Image
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks.textbook.compare import CHANGES
from benchmarks.training import timed
from benchmarks.trainings import training
from convzoo.data.arrays import load_split
from convzoo.portable import processor, restart_with_levers
from convzoo.settings.compute import compute_settings
from convzoo.settings.load import read_params


class Implementation(NamedTuple):
    """A script, and how it is called."""

    repository: str
    script: str
    arguments: tuple[str, ...]
    batch: int
    steps: int  # of optimizers for a batch


IMPLEMENTATIONS = {
    "mnist-classifier": Implementation("examples", "mnist/main.py", ("--no-accel",), 64, 1),
    "cifar10-classifier": Implementation("pytorch-cifar", "main.py", (), 128, 1),
    "anime-dcgan": Implementation(
        "examples", "dcgan/main.py", ("--dataset", "folder", "--dataroot", "none", "--batchSize", "128"), 128, 2
    ),
}
WARM_UP = 2  # batches that are not counted


def main() -> None:
    """Print a table with a row for each implementation; rates and ratios are medians of the turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of a turn")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if compute_settings(read_params()).portable:
        restart_with_levers()
    if options.child:
        side, network = options.child
        run = {"public": public, "ours": ours}[side]
        print(f"{run(network, options.folder.absolute(), options.seconds)}", flush=True)
        os._exit(0)  # without waiting for the script's processes
    print(f"{processor()}; torch {torch.__version__}; load before: {os.getloadavg()[0]:.2f}")
    for repository in sorted({one.repository for one in IMPLEMENTATIONS.values()}):
        command = ["git", "-C", str(options.folder / repository), "rev-parse", "HEAD"]
        print(f"{repository} at {subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()}")
    print("\n| network | convzoo, images/s | public, images/s | ratio | script |\n| --- | --- | --- | --- | --- |")
    for network, one in IMPLEMENTATIONS.items():
        turns = [[in_child(side, network, options) for side in ("ours", "public")] for _ in range(options.turns)]
        mine, theirs = (statistics.median(rates) for rates in zip(*turns, strict=True))
        ratio = statistics.median(first / second for first, second in turns)
        script = f"{one.repository}/{one.script}"
        print(f"| `{network}` | {mine:.0f} | {theirs:.0f} | {ratio:.2f} | {script} |", flush=True)


def in_child(side: str, network: str, options: argparse.Namespace) -> float:
    """The images per second of one side, measured in a new process."""
    command = [sys.executable, "-m", "benchmarks.public", str(options.folder), "--seconds", str(options.seconds)]
    done = subprocess.run([*command, "--child", side, network], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{network}, {side}: failed:\n{done.stderr}")
    return float(done.stdout.splitlines()[-1])


def ours(network: str, folder: Path, seconds: float) -> float:
    """The images per second of convzoo's loop."""
    mine = training(read_params(), network, CHANGES.get(network))
    mine.run(limit=1)
    return mine.batch / timed(mine, seconds)[0]


class Stop(BaseException):
    """Ends a script."""


def public(network: str, folder: Path, seconds: float) -> float:
    """The images per second of a script, by the steps of its optimizers."""
    one, times = IMPLEMENTATIONS[network], []
    split = load_split(Path("data/prepared", read_params().values["networks"][network]["data"], "train"))

    def count(*_: Any) -> None:
        times.append(time.perf_counter())
        done = len(times) - WARM_UP * one.steps
        if done > 0 and done % one.steps == 0 and times[-1] - times[WARM_UP * one.steps - 1] > seconds:
            raise Stop

    class Images(torch.utils.data.Dataset):
        def __init__(self, *_: Any, transform: Any, **__: Any) -> None:
            self.transform = transform

        def __len__(self) -> int:
            return len(split.images)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            return self.transform(Image.fromarray(split.images[index].squeeze())), int(split.labels[index])

    root = folder / one.repository
    datasets = dict.fromkeys(("MNIST", "CIFAR10", "ImageFolder"), Images)
    hook = register_optimizer_step_post_hook(count)
    with (
        patch.multiple(torchvision.datasets, **datasets),
        patch.object(sys, "path", [str(root), *sys.path]),
        patch.object(sys, "argv", [one.script, *one.arguments]),
        tempfile.TemporaryDirectory() as scratch,  # the DCGAN writes pictures into the current folder
        chdir(scratch),
    ):
        if one.repository == "pytorch-cifar":
            import models  # of the repository

            models.SimpleDLA = models.ResNet18
            sys.modules["utils"] = types.ModuleType("utils")  # its progress bar needs a terminal
            sys.modules["utils"].progress_bar = lambda *_: None
        try:
            runpy.run_path(str(root / one.script), run_name="__main__")
        except Stop:
            first = WARM_UP * one.steps - 1
            return (len(times) - 1 - first) / one.steps * one.batch / (times[-1] - times[first])
        finally:
            hook.remove()
    raise ValueError(f"{one.script}: ended before {seconds} s were over")


if __name__ == "__main__":
    main()
