"""What a stage costs besides its work: what its entry imports, and what DVC adds.

`make bench-stages` prints both for this project. The imports are those of real runs, so all stages must have run
before; what it runs writes the same bytes again. DVC is timed on a copy of the pipeline in a temporary folder, in which
the command of each stage only writes its outputs.
"""

import os
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dvc.utils.serialize import dump_yaml, load_yaml, parse_yaml_for_update

from convzoo.repro.lock import processor
from convzoo.repro.machine import core_count
from convzoo.repro.plan import PIPELINE, Stage, resolved_stages
from convzoo.settings.load import read_params

REPEATS = 3
ROW = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)
SHOWN = 6  # packages
LOCK = Path("dvc.lock")
OF_NETWORKS = ("train", "export", "evaluate", "register")


def main() -> None:
    """Print both tables for the project in the current folder."""
    params = read_params().values
    stages = dict(resolved_stages(load_yaml(PIPELINE), params))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    versions = ", ".join(f"{name} {version(name)}" for name in ("dvc", "mlflow", "torch"))
    print(f"{processor()}, {core_count()} cores, load {load}; Python {platform.python_version()}, {versions}")
    print(f"medians of {REPEATS}, in seconds\n\nimports, of all packages and of the slowest")
    for name in sorted(_one_per_family(stages, params), key=list(stages).index):
        print(f"{name:32}", *_imports(stages[name].cmd))
    print("\nDVC")
    for what, seconds in _of_dvc(stages):
        print(f"{what:60} {seconds:.2f}")


def _one_per_family(stages: Mapping[str, Stage], params: Mapping[str, Any]) -> set[str]:
    """A stage for each entry; for those of networks, one for each family."""
    kinds: dict[tuple[str, str], str] = {}
    for name in stages:
        entry, _, item = name.partition("@")
        family = params["networks"][item]["family"] if entry in OF_NETWORKS else ""
        kinds.setdefault((entry, family), name)
    return set(kinds.values())


def _imports(command: str) -> Iterator[str]:
    """The seconds that an entry spends on imports, and those of each package that takes long."""
    words = [word for word in shlex.split(command) if "=" not in word]
    environment = os.environ | {"PYTHONPATH": "src", "PYTHONPROFILEIMPORTTIME": "1"}
    runs: list[dict[str, float]] = []
    for _ in range(REPEATS):
        done = subprocess.run([sys.executable, *words[1:]], env=environment, capture_output=True, text=True, check=True)
        seconds: dict[str, float] = {}
        for microseconds, module in ROW.findall(done.stderr):
            package = module.partition(".")[0]
            seconds[package] = seconds.get(package, 0.0) + int(microseconds) / 1e6
        runs.append(seconds)
    packages = {name: statistics.median(run.get(name, 0.0) for run in runs) for run in runs for name in run}
    yield f"{statistics.median(sum(run.values()) for run in runs):5.2f} "
    for name, seconds in sorted(packages.items(), key=lambda item: -item[1])[:SHOWN]:
        yield f"{name} {seconds:.2f}"


def _of_dvc(stages: Mapping[str, Stage]) -> Iterator[tuple[str, float]]:
    """What was timed, and the seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder, passes = Path(name), []
        _write_copy(folder, stages)
        for _ in range(REPEATS):
            for made in (".dvc/cache", ".dvc/tmp", "dvc.lock"):
                path = folder / made
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            passes.append(_seconds(folder, "repro"))
        nothing = statistics.median(_seconds(folder, "repro") for _ in range(REPEATS))
        yield f"dvc repro with nothing to do, {len(stages)} stages", nothing
        yield "what DVC adds to each stage that runs", (statistics.median(passes) - nothing) / len(stages)
        single = statistics.median(_seconds(folder, "repro", "-s", _name(next(iter(stages)))) for _ in range(REPEATS))
        yield "dvc repro -s of one stage with nothing to do", single
    text, reads, writes = LOCK.read_text(encoding="utf-8"), [], []
    for _ in range(REPEATS):
        began = time.perf_counter()
        data = parse_yaml_for_update(text, LOCK)
        reads.append(time.perf_counter() - began)
        began = time.perf_counter()
        with tempfile.NamedTemporaryFile() as file:
            dump_yaml(file.name, data)
        writes.append(time.perf_counter() - began)
    yield f"of it, DVC reads dvc.lock of {len(text) // 1024} kB", statistics.median(reads)
    yield "of it, DVC writes dvc.lock", statistics.median(writes)


def _write_copy(folder: Path, stages: Mapping[str, Stage]) -> None:
    """The pipeline, in which each command writes the files that other stages read."""
    shutil.copy("params.yaml", folder)
    deps = {Path(dep) for stage in stages.values() for dep in stage.deps}
    copies = {}
    for name, stage in stages.items():
        commands = []
        for out in map(Path, stage.outs):
            files = [dep for dep in deps if dep != out and dep.is_relative_to(out)]
            for file in files or [out]:
                commands.append(f"mkdir -p '{file.parent}' && echo '{name} {file}' > '{file}'")
        copy = {"cmd": commands, "deps": stage.deps, "params": stage.params, "outs": stage.outs}
        copies[_name(name)] = {key: value for key, value in copy.items() if value}
    dump_yaml(folder / "dvc.yaml", {"stages": copies})
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)


def _name(stage: str) -> str:
    return stage.replace("@", "-")


def _seconds(folder: Path, *arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
