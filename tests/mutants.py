"""Breaks the code in one place at a time, and shows the changes that no test notices: make mutants AREA=metrics.

The changes are mutmut's; its own runs leave out constants and decorated functions, and put each function behind a
trampoline, which torch would trace. cosmic-ray starts a new Python per mutant, in which the import of torch alone takes
longer than most tests. Works on a copy of the project.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Area(NamedTuple):
    """Code, and the tests that judge it: those that train, or need a database of runs, are left out."""

    code: list[str]  # patterns below src/convzoo
    tests: list[str]  # patterns below tests


INPUTS = "families/test_augmented_inputs.py"
TRAINING = [
    INPUTS,
    "families/test_described.py",
    "families/test_loop_*.py",
    "families/test_judging.py",
    "families/test_*_steps.py",
    "families/test_*_training.py",
]
AREAS = {
    "promotion": Area(
        ["promotion/*.py", "families/*/promote.py"],
        ["promotion/test_comparison.py", "promotion/test_gate.py", "promotion/test_decisions.py"],
    ),
    "metrics": Area(["metrics/*.py"], ["metrics/test_*.py"]),
    "export": Area(
        ["shipping/*.py", "families/*/export.py"],
        ["shipping/test_*.py", "families/test_export_untrained.py", "families/test_temperature.py"],
    ),
    "splits": Area(["data/splits.py"], ["data/test_splits.py"]),
    "optimizers": Area(["training/optimizers.py"], ["training/test_optimizers.py", "training/test_schedules.py"]),
    "schedules": Area(["training/schedules.py"], ["training/test_schedules.py"]),
    "augmentation": Area(["training/augmentation.py"], ["training/test_augmentation*.py", INPUTS]),
    "serving": Area(
        ["serving/*.py"],
        [f"serving/test_{name}.py" for name in ("answers", "bounds", "champions", "refusals", "security", "shadow")],
    ),
    "drift": Area(
        ["watching/*.py", "shipping/reference.py"],
        ["watching/test_drift.py", "watching/test_log.py", "shipping/test_reference.py"],
    ),
    "loops": Area(["families/*/train.py"], TRAINING),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("areas", nargs="*", help=f"some of {', '.join(AREAS)}; all by default")
    parser.add_argument("--count", type=int, default=60, help="mutants per area, drawn at random; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--copy", action="store_true", help=argparse.SUPPRESS)  # this process may change the files
    options = parser.parse_args()
    if unknown := set(options.areas) - set(AREAS):
        parser.error(f"there is no area {', '.join(sorted(unknown))}, expected some of {', '.join(AREAS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # with the clean-up of an exception
    if not options.copy:
        sys.exit(run_in_copy())
    for name in options.areas or AREAS:
        judge(name, AREAS[name], options.count, options.seed)


def run_in_copy() -> int:
    """Start this script again in a copy of the project."""
    from helpers.project import copy_project

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = copy_project(Path(folder, "project"))
        paths = os.pathsep.join(str(copy / name) for name in ("src", "tests"))
        variables = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "TMPDIR": folder}
        command = [sys.executable, "tests/mutants.py", "--copy", *sys.argv[1:]]
        with subprocess.Popen(command, cwd=copy, env=os.environ | variables) as running:
            try:
                return running.wait()
            finally:
                running.terminate()


def judge(name: str, area: Area, count: int, seed: int) -> None:
    """Print the share of an area's mutants that its tests catch, and those that survive, as diffs."""
    from helpers.forking import preload, run_forked
    from helpers.mutating import draw

    files = sorted({file for pattern in area.code for file in (ROOT / "src/convzoo").glob(pattern)})
    tests = [str(file) for pattern in area.tests for file in sorted((ROOT / "tests").glob(pattern))]
    drawn, total = draw({str(file.relative_to(ROOT)): file.read_text() for file in files}, count, seed)

    failures: Counter[str] = Counter()
    first = run_forked(tests, failures, limit=1800, keep_bytecode=True)
    if not first.passed:
        sys.exit(f"{name}: the tests fail without any change: {', '.join(first.failed)}; fix that first")
    preload(first.libraries)
    limit = 20 + 3 * run_forked(tests, failures, limit=1800).seconds
    print(f"{name}: {len(drawn)} of {total} mutants, at most {limit:.0f} s each", flush=True)
    survivors = []
    for number, mutant in enumerate(drawn, 1):
        file = ROOT / mutant.path
        file.write_text(mutant.code)
        try:
            ran = run_forked(tests, failures, limit)
        finally:
            file.write_text(mutant.original)
        failures.update(ran.failed)
        print("" if ran.passed else ".", end="", flush=True)
        if ran.passed:
            survivors.append(mutant)
            print(f"\n{mutant.path} survives {number}:\n{mutant.diff()}", flush=True)
    caught = len(drawn) - len(survivors)
    print(f"\n{name}: {caught} of {len(drawn)} mutants caught, {caught / len(drawn):.0%}\n", flush=True)


if __name__ == "__main__":
    main()
