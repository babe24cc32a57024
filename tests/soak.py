"""`convzoo serve` under load for a while: make soak SECONDS=600 ANSWERS=1000000.

Clients ask for single images and for batches, as fast as they get answers, of a network with the architecture of
mnist-classifier. After a third of the time `convzoo promote` makes another version the champion, after two thirds
`convzoo rollback` takes it back. Fails if a request fails, if a version does not answer when it should, or if the
memory grows. At the end, `mlflow models serve` answers the same requests with the same file.
"""

import argparse
import asyncio
import base64
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from helpers import promotions, served
from helpers.load import Asked, Client, summary
from helpers.mlflow_serving import mlflow_serves
from helpers.onnx_files import describe
from helpers.project import ROOT

from convzoo.families.classifier.network import build
from convzoo.families.probabilities.network import PixelClassifier
from convzoo.promotion.promote import promote, rollback
from convzoo.settings.load import read_params
from convzoo.shipping.onnx import write_onnx

NETWORK, SHAPE, CLASSES, BATCH = "digits", (28, 28, 1), 10, 250
ABOUT = {"network": NETWORK, "family": "classifier", "classes": [str(n) for n in range(CLASSES)], "resize": "none"}
SINGLE_CLIENTS, BATCH_CLIENTS = 4, 2
SECONDS_BESIDE = 15  # of each measurement beside MLflow's server
GROWTH = 0.1  # of the memory after the first fifth of the time, at most
Load = dict[str, list[Client]]


def write_version(seed: int) -> int:
    """Register a network with random weights."""
    settings = read_params(ROOT / "params.yaml").values["networks"]["mnist-classifier"]
    torch.manual_seed(seed)
    arguments = {"channels": 1, "classes": CLASSES, "activation": settings["activation"], **settings["fast"]}
    network = PixelClassifier(build("fast", arguments), [0.13], [0.31], "identity").eval()

    def write(file: Path) -> None:
        write_onnx(network, torch.zeros((2, *SHAPE), dtype=torch.uint8), "images", "probabilities", file)
        describe(file, **ABOUT)

    return promotions.version(NETWORK, "good", seed=seed, write=write, shape=SHAPE, classes=CLASSES)


def bodies(count: int) -> dict[str, bytes]:
    """`count` images as base64, and as nested lists for convzoo and for MLflow."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, *SHAPE), np.uint8)
    encoded = {"base64": base64.b64encode(pixels).decode(), "shape": pixels.shape}
    return {
        "base64": json.dumps({"images": encoded}).encode(),
        "lists": json.dumps({"images": pixels.tolist()}).encode(),
        "mlflow": json.dumps({"inputs": pixels.tolist()}).encode(),
    }


def clients(address: str, kind: str) -> Load:
    """Those for single images and those for batches."""
    one, many = bodies(1)[kind], bodies(BATCH)[kind]
    return {
        "1 image": [Client(address, one, 1, keep_bodies=kind == "base64") for _ in range(SINGLE_CLIENTS)],
        f"{BATCH} images": [Client(address, many, BATCH) for _ in range(BATCH_CLIENTS)],
    }


async def measure(load: Load, kind: str) -> str:
    """The rates and times of one kind of clients alone."""
    ended = asyncio.Event()
    asyncio.get_running_loop().call_later(SECONDS_BESIDE, ended.set)
    await asyncio.gather(*(client.run(ended) for client in load[kind]))
    asked = [one for client in load[kind] for one in client.asked]
    failed = sum(one.status != 200 for one in asked)
    return summary([one for one in asked if one.status == 200]) + (f"   {failed} failed" if failed else "")


async def soak(address: str, process: psutil.Process, seconds: float, answers: int) -> list[str]:
    """Ask until time and answers are reached; the problems."""
    load, ended, started = clients(address, "base64"), asyncio.Event(), time.monotonic()
    memory: list[tuple[float, float]] = []
    running = [asyncio.create_task(client.run(ended)) for kind in load.values() for client in kind]
    steps = [
        (seconds / 3, lambda: promote(NETWORK, force=True, reason="soak")),
        (2 * seconds / 3, lambda: rollback(NETWORK)),
    ]
    switched = []
    while (passed := time.monotonic() - started) < seconds or answered(load) < answers:
        if steps and passed >= steps[0][0]:
            await asyncio.to_thread(steps.pop(0)[1])
            switched.append(time.monotonic())
        memory.append((passed, process.memory_info().rss / 2**20))
        await asyncio.sleep(0.5)
    ended.set()
    await asyncio.gather(*running)
    return report(load, memory, switched)


def answered(load: Load) -> int:
    return sum(one.images for kind in load.values() for client in kind for one in client.asked)


def report(load: Load, memory: list[tuple[float, float]], switched: list[float]) -> list[str]:
    """Print what was measured; the problems."""
    problems, everything = [], [one for kind in load.values() for client in kind for one in client.asked]
    failed = [one for one in everything if one.status != 200]
    print(f"{len(everything)} requests, {answered(load)} answers, {len(failed)} failed")
    for kind, asking in load.items():
        print(f"  {kind:>10}: {summary([one for client in asking for one in client.asked])}")
    if failed:
        problems.append(f"{len(failed)} requests failed: {failed[0].status} {failed[0].body[:200]!r}")
    settled = [size for passed, size in memory if passed > memory[-1][0] / 5]
    ends = [np.mean(part) for part in (settled[: len(settled) // 5], settled[-len(settled) // 5 :])]
    print(
        f"memory: {ends[0]:.0f} MiB after a fifth of the time, {ends[1]:.0f} MiB at the end, at most {max(settled):.0f}"
    )
    if ends[1] > (1 + GROWTH) * ends[0]:
        problems.append(f"the memory grew from {ends[0]:.0f} to {ends[1]:.0f} MiB")
    return problems + changes(sorted(one for client in load["1 image"] for one in client.asked), switched)


def changes(asked: list[Asked], switched: list[float]) -> list[str]:
    """Print how soon each change of the champion answered; the problems."""
    versions = [(one.ended, json.loads(one.body)["version"]) for one in asked if one.status == 200]
    problems = []
    for moment, number in zip(switched, (2, 1), strict=True):
        first = next((when for when, version in versions if when > moment - 5 and version == number), None)
        if first is None:
            problems.append(f"version {number} never answered after it became the champion")
        else:
            print(f"version {number} answers {first - moment:+.1f} s after the command ended")
    last = versions[-1][1]
    return problems + ([] if last == 1 else [f"version {last} answers at the end, expected 1"])


def beside_mlflow(address: str) -> None:
    """Print what both servers reach with the same file, one after the other."""
    with mlflow_serves(Path.cwd(), f"{NETWORK}@champion", Path("mlflow.log")) as other:
        for kind in clients(address, "lists"):
            for name, place, form in (
                ("convzoo, base64", address, "base64"),
                ("convzoo, lists", address, "lists"),
                ("mlflow, lists", other, "mlflow"),
            ):
                print(f"  {kind:>10}  {name:<16}{asyncio.run(measure(clients(place, form), kind))}", flush=True)


def main() -> None:
    """Soak a server in a temporary project."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--answers", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="convzoo-soak-") as folder:
        os.chdir(folder)
        Path("src/convzoo").mkdir(parents=True)  # by which a project is found
        promotions.write_params(NETWORK)
        promotions.write_noise(SHAPE, CLASSES)
        assert write_version(0) == 1
        assert promote(NETWORK, force=True, reason="soak").done
        assert write_version(1) == 2
        with served.server(Path(folder)) as (address, process, log):
            predict = f"{address}/v1/{NETWORK}/predict"
            problems = asyncio.run(soak(predict, psutil.Process(process.pid), options.seconds, options.answers))
            print(f"beside MLflow's server, {SECONDS_BESIDE} s each:", flush=True)
            beside_mlflow(predict)
            process.terminate()
            problems += [f"the server ended with {code}"] if (code := process.wait(60)) else []
            problems += [line for line in log.read_text().splitlines() if " ERROR " in line or "Traceback" in line]
    sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
