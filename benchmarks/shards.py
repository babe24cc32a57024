"""What a data set in shards costs by its size: `prepare`, `validate` and `train`, each with 2 GB of memory at most.

`make bench-shards` prints a Markdown table. Each stage runs in a process of its own. Its RLIMIT_DATA (heap and private
mappings: all memory that cannot be read again from a file) is LIMIT, and a stage that needs more fails. The images are
drawn here: noise in the colour of their class, all different. `--arrays` measures the same in memory-mapped arrays,
without a limit, since their private mapping would count as a whole.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.repro.lock import processor

LIMIT = 2_000_000_000  # bytes
SIDE, CLASSES, CHUNK_BYTES = 32, 10, 1 << 26
SIZES = (20_000, 200_000, 2_000_000)
STAGES = ("prepare", "validate", "train")
NETWORK, DATASET = "mnist-classifier", "mnist"
POLL = 0.05  # seconds


def main() -> None:
    """Print a row for each size and stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES, help="numbers of images")
    parser.add_argument(
        "--arrays", action="store_true", help="memory-mapped arrays in place of shards, without a limit"
    )
    parser.add_argument("--side", type=int, default=SIDE, help="pixels")
    parser.add_argument("--folder", type=Path, help="where there is room for three times the pixels")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run_stage(options.stage, options.arrays, options.side)
        return
    print(
        f"{processor()}; Python {platform.python_version()}; storage: {'arrays' if options.arrays else 'shards'}; "
        f"{options.side}x{options.side} pixels\n"
    )
    print("| images | stage | seconds | µs of processor per image | peak resident MB | peak anonymous MB |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for size in options.sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            draw(Path(name, "data/raw", DATASET), size, options.side)
            for stage in STAGES:
                row = measured(Path(name), stage, options.arrays, options.side)
                cells = (f"{size:,}", stage, f"{row['seconds']:.1f}", f"{row['cpu'] / size * 1e6:.1f}")
                memory = (f"{row[kind] / 1e6:,.0f}" for kind in ("resident", "anonymous"))
                print(f"| {' | '.join((*cells, *memory))} |", flush=True)


def draw(raw: Path, count: int, side: int) -> None:
    """The raw folder of a data set, as the stage `download` leaves one that is drawn."""
    raw.mkdir(parents=True)
    labels = np.random.default_rng(0).permutation(np.arange(count) % CLASSES)
    colours = np.random.default_rng(1).integers(0, 128, (CLASSES, 1, 1, 3), dtype=np.uint8)
    with (raw / "images.npy").open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, side, side, 3)}
        np.lib.format.write_array_header_1_0(stream, header)
        step = CHUNK_BYTES // (side * side * 3)
        for start in range(0, count, step):
            part = labels[start : start + step]
            noise = np.random.default_rng([2, start]).integers(0, 128, (len(part), side, side, 3), dtype=np.uint8)
            stream.write((noise + colours[part]).data)
    np.save(raw / "labels.npy", labels)
    names = {"classes": [str(number) for number in range(CLASSES)], "superclasses": [], "superclass_of": []}
    (raw / "names.json").write_text(json.dumps(names))
    (raw / "source.json").write_text(json.dumps({"name": "drawn", "kind": "synthetic", "format": "arrays"}))


def measured(folder: Path, stage: str, arrays: bool, side: int) -> dict[str, float]:
    """Run a stage in a process of its own: seconds, seconds of processor, peaks of memory in bytes."""
    command = [sys.executable, "-m", "benchmarks.shards", "--stage", stage, "--side", str(side), *["--arrays"] * arrays]
    paths = os.pathsep.join(str(Path(path).resolve()) for path in ("src", "."))
    environment = os.environ | {"PYTHONPATH": paths, "CONVZOO_TRACKING": "off", "DVC_ROOT": str(folder)}
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        anonymous = 0
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            anonymous = max(anonymous, anonymous_bytes(process.pid))
            time.sleep(POLL)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{stage} failed:\n{output.read()[-3000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu": cpu, "resident": usage.ru_maxrss * 1024, "anonymous": anonymous}


def anonymous_bytes(pid: int) -> int:
    """The resident memory of a process that is not a copy of a file."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    values = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(values[0]) * 1024 if values else 0


def run_stage(stage: str, arrays: bool, side: int) -> None:
    """Run a stage as its entry in pipeline/ does, in the current folder."""
    if not arrays:
        resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    params = small_params("arrays" if arrays else "shards", side)
    folder = Path("data/prepared", DATASET)
    if stage == "prepare":
        from convzoo.data.augment import augment
        from convzoo.data.prepare import prepare
        from convzoo.settings.data import augment_settings, prepare_settings

        prepare(DATASET, prepare_settings(params, DATASET), Path("data/raw", DATASET), folder)
        augment(DATASET, augment_settings(params, DATASET), folder / "train", Path("data/augmented", DATASET))
        shutil.rmtree(Path("data/raw", DATASET))  # makes room; no other stage reads it
    elif stage == "validate":
        from convzoo.validation.validate import validate

        validate(params)
    else:
        from convzoo.families.classifier.train import train
        from convzoo.settings.compute import compute_settings
        from convzoo.settings.networks import network_settings

        train(NETWORK, network_settings(params, "networks", NETWORK), compute_settings(params), "bench")


def small_params(storage: str, side: int) -> Any:
    """The committed params.yaml with one data set of these images, and a tiny network of one epoch."""
    from convzoo.settings.load import Params, read_params

    params = read_params(Path(__file__).parents[1] / "params.yaml")
    data = params.values["data"][DATASET]
    data["prepare"] |= {"height": side, "width": side, "channels": 3, "storage": storage, "val_fraction": 0.01}
    data["prepare"] |= {"test_fraction": 0.01}
    data["augment"] = {"variants": 0, "pictured": 12}
    data["validate"] |= {"min_images": {"train": 1, "val": 1, "test": 1}, "min_class_share": 0.1}
    batch_size = max(32, 500 * SIDE**2 // side**2)
    network = params.values["networks"][NETWORK] | {"epochs": 1, "batch_size": batch_size, "flip": "alternating"}
    network |= {"architecture": "reference", "ema_decay": 0, "sizes": []}
    network["reference"] = {"blocks": [[4]], "padding": "same", "dense": 8, "dropout": 0}
    compute = params.values["compute"] | {"portable": False, "device": "cpu", "precision": "fp32", "threads": 1}
    values = params.values | {"data": {DATASET: data}, "networks": {NETWORK: network}}
    return Params(params.file, values | {"compute": compute | {"deterministic": True}}, params.lines)


if __name__ == "__main__":
    main()
