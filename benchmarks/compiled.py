"""Whether torch.compile makes the trainings faster on this machine.

PYTHONPATH=src:. python -m benchmarks.compiled [NETWORK ...]

Each network's own loop runs by turns as it is and with its networks compiled, in fp32 and in bf16, with the settings of
params.yaml but without `compute.portable`. All stages must have run before. It needs a C++ compiler.
"""

import argparse
import os
import statistics
import time
from contextlib import suppress
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from benchmarks.stopwatch import Finished, Stopwatch
from benchmarks.trainings import Training, training
from convzoo.portable import processor
from convzoo.settings.load import read_params

PRECISIONS = ("fp32", "bf16")


def main() -> None:
    """Print a table with a row for each network and precision; each figure is the median of the turns."""
    options = parsed()
    params = read_params()
    print(f"{processor()}; torch {torch.__version__}; load before: {os.getloadavg()[0]:.2f}\n")
    print("| network | precision | eager, images/s | compiled, images/s | ratio | first two compiled steps, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for network in options.networks or params.values["networks"]:
        for precision in PRECISIONS:
            params.values["compute"] |= {"portable": False, "device": "cpu", "precision": precision}
            print(f"| {network} | {precision} | {row(training(params, network), options)} |", flush=True)


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of a turn")
    return parser.parse_args(arguments)


def row(eager: Training, options: argparse.Namespace) -> str:
    """The last four cells of a row."""
    compiled = eager._replace(fabric=CompilingFabric(eager.fabric))
    began = time.perf_counter()
    run(compiled, Stopwatch(eager.fabric.device, limit=1))
    first = time.perf_counter() - began
    turns = [(speed(eager, options.seconds), speed(compiled, options.seconds)) for _ in range(options.turns)]
    before, after = (statistics.median(speeds) for speeds in zip(*turns, strict=True))
    ratio = statistics.median(after / before for before, after in turns)
    return f"{before:.0f} | {after:.0f} | {ratio:.2f} | {first:.0f}"


def speed(chosen: Training, seconds: float) -> float:
    """Images per second in steps that take about `seconds`, after the first, which may compile."""
    watch = Stopwatch(chosen.fabric.device, is_over=lambda: sum(watch.steps) >= seconds)
    run(chosen, watch)
    return chosen.batch / statistics.fmean(watch.steps)


def run(chosen: Training, watch: Stopwatch) -> None:
    """Run the loop with the fabric as it is: a WatchedFabric adds hooks to networks, which would be compiled, too."""
    with suppress(Finished):
        chosen.loop(chosen.fabric, watch)


class CompilingFabric:
    """A Fabric that compiles the networks that it sets up."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fabric, name)

    def setup(self, module: nn.Module, *optimizers: torch.optim.Optimizer) -> Any:
        """As Fabric.setup."""
        return self._fabric.setup(torch.compile(module), *optimizers)


if __name__ == "__main__":
    main()
