"""Benchmarks of training, inference and preparing data, each network in a process of its own.

`make bench` runs all of them for the project in the current folder, once its stages have run, and writes
reports/bench/. docs/performance.md says what the columns are.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import tables
from convzoo.errors import ConvzooError
from convzoo.files import new_file, write_json
from convzoo.portable import restart_with_levers
from convzoo.repro.lock import processor
from convzoo.repro.machine import core_count
from convzoo.settings.compute import compute_settings
from convzoo.settings.load import Params, read_params

FOLDER = Path("reports/bench")
PAGE, PLOT = Path("docs/performance.md"), Path("docs/images/bench.png")
PARTS = ("training", "textbook", "inference", "int8", "preparing")
VERSIONS = ("torch", "onnxruntime", "pillow")


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks; returns the exit status."""
    options = _parsed(arguments)
    try:
        if options.child:
            part, _, network = options.child.partition(":")
            print(json.dumps(_measured(part, network, options.repeats, options.seconds)))
            return 0
        params = read_params()
        if compute_settings(params).portable:
            restart_with_levers()
        networks = options.networks or list(params.values["networks"])
        if unknown := [name for name in networks if name not in params.values["networks"]]:
            known = ", ".join(params.values["networks"])
            raise ConvzooError(f"{unknown[0]}: is not a network of params.yaml, expected some of: {known}")
        results = run(params, networks, options.only or PARTS, options.repeats, options.seconds)
        write_json(FOLDER / "bench.json", results)
        for file in tables.write(results, FOLDER):
            print(file)
        if options.record:
            _record(results)
    except ConvzooError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def run(params: Params, networks: list[str], parts: list[str], repeats: int, seconds: float) -> dict[str, Any]:
    """Measure in one process after another. Raises ConvzooError if one of them fails."""
    from benchmarks.textbook.loops import LOOPS

    results: dict[str, Any] = {"about": _about(params, repeats, seconds)}
    began = time.perf_counter()
    for part in parts:
        if part == "preparing":
            results |= _in_child("preparing", "", repeats, seconds)
            continue
        chosen = [name for name in networks if part != "textbook" or name in LOOPS]
        results[part] = [_in_child(part, name, repeats, seconds) for name in chosen]
    if "inference" in results:
        results["inference"] = [row for rows in results["inference"] for row in rows]
    if "int8" in results:
        results["int8"] = [row for row in results["int8"] if row]
    if "training" in results:
        results["profile"] = results["training"]
    print(f"measured in {time.perf_counter() - began:.0f} s")
    return results


def _measured(part: str, network: str, repeats: int, seconds: float) -> Any:
    params = read_params()
    if part == "preparing":
        from benchmarks import preparing

        decoding = preparing.measure_decoding(params, repeats, min(seconds, 0.5))
        return {"decoding": decoding, "validation": preparing.measure_validation(params)}
    if part == "training":
        from benchmarks import training as module
    elif part == "textbook":
        from benchmarks.textbook import compare as module
    elif part == "int8":
        from benchmarks import int8

        return int8.measure(network, FOLDER, repeats, min(seconds, 0.5))
    else:
        from benchmarks import inference

        return inference.measure(network, repeats, min(seconds, 0.5))
    return module.measure(params, network, repeats, seconds)


def _in_child(part: str, network: str, repeats: int, seconds: float) -> Any:
    """Measure in a new process, whose peak memory and threads are its own."""
    what = f"{part}:{network}"
    print(what.rstrip(":"), flush=True)
    amounts = ["--repeats", str(repeats), "--seconds", str(seconds)]
    command = [sys.executable, "-m", "benchmarks", "--child", what, *amounts]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ConvzooError(f"{what} failed:\n{done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def _about(params: Params, repeats: int, seconds: float) -> dict[str, Any]:
    from convzoo.training.machine import resolved

    compute = resolved(compute_settings(params))
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    return {
        "processor": processor(),
        "cores": core_count(),
        "precision": compute["precision"],
        "threads": compute["threads"],
        "profile": params.values["profile"],
        "versions": f"Python {platform.python_version()}, {versions}",
        "load": os.getloadavg()[0],
        "repeats": repeats,
        "seconds": seconds,
    }


def _record(results: dict[str, Any]) -> None:
    text = tables.replaced(PAGE.read_text(encoding="utf-8"), tables.texts(results))
    with new_file(PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    if results.get("training"):
        tables.draw(results, PLOT)
    print(PAGE)


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="networks of params.yaml; all of them without")
    parser.add_argument("--repeats", type=_at_least(int, 1), default=5, help="turns, of which medians are taken")
    parser.add_argument("--seconds", type=_at_least(float, 0), default=3.0, help="of each part of a turn")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given several times")
    parser.add_argument("--record", action="store_true", help=f"also write the tables into {PAGE}")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _at_least(kind: Callable[[str], Any], least: float) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        value = kind(text)
        if not value >= least:
            raise argparse.ArgumentTypeError(f"got {text}, expected at least {least}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
