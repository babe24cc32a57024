"""Training: each network's own loop and its convolutions alone, by turns in one process."""

import csv
import resource
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.operations import Recorder, seconds_alone
from benchmarks.stopwatch import Finished, Stopwatch, WatchedFabric
from benchmarks.trainings import Training, training
from convzoo.cards.family import family_card
from convzoo.files import read_json
from convzoo.settings.load import Params
from convzoo.settings.networks import family_of

SHOWN = 8  # operations of a profile
PROFILED = 4  # steps


def measure(params: Params, network: str, repeats: int, seconds: float) -> dict[str, Any]:
    """The row of a network; each of `repeats` turns takes about `seconds` per part.

    Rates are medians of the turns, shares medians of the shares of each turn. Raises ConvzooError if data are missing.
    """
    mine = training(params, network)
    mine.run(limit=1)  # warm
    peak = _peak_memory(mine.fabric.device)
    counts = recorded(mine)
    operations = list(counts)
    flops = sum(operation.flops * counts[operation] for operation in operations) / mine.cycle

    turns: list[dict[str, float]] = []
    for _ in range(repeats):
        steps, inside = timed(mine, seconds)
        alone = seconds_alone(operations, seconds, Stopwatch(mine.fabric.device))
        alone_step = sum(s * counts[op] for s, op in zip(alone, operations, strict=True)) / mine.cycle
        turn = {"images": mine.batch / steps, "outside": 1 - inside / steps, "alone": alone_step / steps}
        turn |= {"gflops": flops / steps / 1e9, "gflops_alone": flops / alone_step / 1e9}
        turns.append(turn)
    medians = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    return {
        "network": network,
        "batch": mine.batch,
        **medians,
        "images_low": min(turn["images"] for turn in turns),
        "images_high": max(turn["images"] for turn in turns),
        "peak_bytes": peak,
        "quality": quality(params, network),
        "profile": profiled(mine),
    }


def recorded(mine: Training) -> Any:
    """How often each convolution and matrix product runs in the network during `cycle` steps."""
    watch = Stopwatch(mine.fabric.device, limit=mine.cycle)
    recorder = Recorder(watch)
    with suppress(Finished), recorder:
        mine.loop(WatchedFabric(mine.fabric, watch), watch)
    return recorder.counts


def timed(mine: Training, seconds: float) -> tuple[float, float]:
    """The mean seconds of a step and of its passes through the network, over about `seconds` and at least one step."""
    steps, inside, end = [], [], time.perf_counter() + seconds
    while not steps or time.perf_counter() < end:
        watch = mine.run(is_over=lambda: time.perf_counter() >= end)
        if not watch.steps:
            raise ValueError(f"{mine.network}: an epoch has one step, expected two or more; lower its batch_size")
        steps, inside = steps + watch.steps, inside + watch.in_network
    return statistics.fmean(steps), statistics.fmean(inside)


def profiled(mine: Training) -> list[dict[str, Any]]:
    """The operations with the largest shares of a step's time, by torch's profiler."""
    is_cuda = mine.fabric.device.type == "cuda"
    profiler = profile(activities=[ProfilerActivity.CUDA if is_cuda else ProfilerActivity.CPU])
    watch = _ProfilingWatch(mine.fabric.device, profiler)
    with suppress(Finished):
        mine.loop(WatchedFabric(mine.fabric, watch), watch)
    profiler.stop()
    kind = "self_device_time_total" if is_cuda else "self_cpu_time_total"
    averages = profiler.key_averages()
    total = sum(getattr(row, kind) for row in averages)
    rows = sorted(averages, key=lambda row: -getattr(row, kind))[:SHOWN]
    return [{"operation": row.key, "share": getattr(row, kind) / total} for row in rows]


class _ProfilingWatch(Stopwatch):
    """Starts a profiler after the first step, so that what runs before the loop is left out."""

    def __init__(self, device: torch.device, profiler: profile) -> None:
        super().__init__(device, limit=PROFILED)
        self.profiler = profiler

    def step(self, *_: Any) -> None:
        """A step ends. Raises Finished."""
        if self.first:
            self.profiler.start()
        super().step()

    update = step


def quality(params: Params, network: str) -> dict[str, Any] | None:
    """Petaflops of the recorded training in models/NETWORK and the test metric that it reached; None without them."""
    history, metrics = Path("models", network, "history.csv"), Path("models", network, "metrics.json")
    if not history.is_file() or not metrics.is_file():
        return None
    with history.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    metric = family_card(family_of(params, network)).main_metrics[0]
    return {
        "petaflops": max(float(row["train_petaflops"]) for row in rows),
        "epochs": len(rows),
        "metric": metric,
        "value": read_json(metrics)[metric],
    }


def _peak_memory(device: torch.device) -> int:
    """The largest memory of this process so far, in bytes; on CUDA that of its tensors."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
