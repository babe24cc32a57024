"""Train a network with several seeds and print mean and spread.

Uses the prepared data and a temporary folder; models/ and MLflow do not change.
"""

import hashlib
import json
import os
import platform
import shutil
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from convzoo.checks.code import code_file
from convzoo.commands.outputs import cannot_be_written, must_be_free
from convzoo.commands.results import FOLDER
from convzoo.commands.shared import Network
from convzoo.errors import ConvzooError
from convzoo.files import new_folder, read_json, write_json
from convzoo.lineage.commits import git, head
from convzoo.portable import processor
from convzoo.settings.load import Params, read_params
from convzoo.settings.search import with_values
from convzoo.trials.trainings import Steps, checked_params, last_lines, run_step, write_copy

EXAMPLES = ("convzoo repeat mnist-classifier", "convzoo repeat mnist-classifier --seeds 5 --jobs 2 --record")
STEPS = ("train", "export", "evaluate")
KEPT = ("train_petaflops",)  # columns of the history that go into a row, besides those of val


def repeat(network: str, seeds: int, kept: Path | None = None, recorded: bool = False, jobs: int = 1) -> None:
    """Train, export and evaluate `network` with seeds 0 to `seeds` - 1 on the prepared data, as the stages do but in a
    temporary folder and without tracking, and print a table. What seed N makes stays in the folder `kept`/seed-N.
    `jobs` seeds run side by side, each with the threads of params.yaml.

    If they are to be `recorded`, each row goes to the file that `convzoo results` reads once it is measured. Seeds that
    this file has from the same settings, data and code, on whatever machine, are not trained again, unless their files
    are to be kept. Raises ConvzooError if data or network are missing, and if `kept` has files or cannot be made.
    """
    params, source = checked_params(network)
    if kept:
        try:  # now rather than after a long training
            must_be_free(kept)
            kept.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_be_written(kept, error) from error

    file = FOLDER / params.values["profile"] / f"{network}.json"
    described = _described(network, params, source) if recorded else {}
    rows = _recorded(file, described) if recorded and not kept else []
    commit = _commit() if recorded else None
    where = {"machine": _machine(), "python": platform.python_version(), "jobs": jobs, "commit": commit}
    if rows:
        names = ", ".join(str(row["seed"]) for row in rows)
        print(f"{file}: has the seeds {names} of the same training; remove it to train them again", flush=True)
    missing, steps, lock = sorted(set(range(seeds)) - {row["seed"] for row in rows}), Steps(), threading.Lock()

    def measure(seed: int) -> None:
        row, precision = _seed(network, seed, kept, steps)
        with lock:
            print("  ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)
            rows.append(row | {"measured": where | {"precision": precision}})
            rows.sort(key=lambda row: row["seed"])
            if recorded:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_json(file, described | {"rows": rows})

    with ThreadPoolExecutor(jobs) as executor:
        try:
            for finished in as_completed([executor.submit(measure, seed) for seed in missing]):
                finished.result()
        except BaseException:  # also of an interrupt: the other trainings would continue
            steps.stop()
            raise
    if recorded:
        print(f"recorded in {file}; convzoo results shows it")
    print(
        f"\n{network}, profile {params.values['profile']}, {len(rows)} seed(s): "
        "mean +- sample standard deviation (range)"
    )
    for name in [name for name in rows[0] if name not in ("seed", "measured")]:
        values = [row[name] for row in rows]
        spread = f" +- {statistics.stdev(values):.4g}" if len(rows) > 1 else ""
        print(f"  {name:<28} {statistics.mean(values):.6g}{spread} ({min(values):g} to {max(values):g})")
    machines = dict.fromkeys("{machine}, Python {python}".format(**row["measured"]) for row in rows)
    print(f"  on {'; '.join(machines)}; torch {version('torch')}")


def _described(network: str, params: Params, source: dict[str, Any]) -> dict[str, Any]:
    """All that the rows of a record have in common: what decides their numbers, apart from seed and machine."""
    settings, compute = params.values["networks"][network], params.values["compute"]
    digests = read_json(Path("data/validated", f"{settings['data']}.json"))
    code = [read_json(code_file(stage, settings["family"])) for stage in STEPS]  # the stages run no other
    modules = json.dumps([each["modules"] for each in code], sort_keys=True)
    return {
        "network": network,
        "family": settings["family"],
        "source": source["name"],
        "is_synthetic": source["kind"] == "synthetic",
        "data": {split: digests[split] for split in ("train", "augmented", "val")},
        "code": hashlib.sha256(modules.encode()).hexdigest(),
        "versions": {package: number for each in code for package, number in each["versions"].items()},
        "compute": compute,
        "settings": settings,
        "export": params.values["export"][network],
        "evaluation": params.values["evaluation"][network],
        "weights": params.values["weights"][settings["weights"]],
    }


def _commit() -> str | None:
    """The commit of the code; none if src or pipeline differ from it."""
    return None if git("status", "--porcelain", "--", "src", "pipeline") else head()


def _recorded(file: Path, described: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the file, if all that is described was the same."""
    try:
        record = read_json(file)
        rows = record.pop("rows")
    except (OSError, ValueError, KeyError, AttributeError):  # no record: it is replaced
        return []
    return rows if record == described else []


def _machine() -> str:
    """The processor and the number of cores, as in `Intel(R) Xeon(R) Processor, 2 cores`."""
    return f"{processor()}, {os.cpu_count()} cores"


def _seed(network: str, seed: int, kept: Path | None, steps: Steps) -> tuple[dict[str, float], str]:
    """What one seed measured, and the precision of its training."""
    with tempfile.TemporaryDirectory(prefix="convzoo-") as folder:
        measured = _once(Path(folder), network, seed, steps)
        if kept:
            with new_folder(kept.absolute() / f"seed-{seed}") as temporary:
                shutil.copytree(Path(folder, "models", network), temporary, dirs_exist_ok=True)
    return measured


def _once(folder: Path, network: str, seed: int, steps: Steps) -> tuple[dict[str, float], str]:
    write_copy(folder, with_values(read_params(), network, {("seed",): seed}))
    row: dict[str, float] = {"seed": seed}
    for step in STEPS:
        started = time.perf_counter()
        status, peak = run_step(folder, step, network, steps, {"CONVZOO_TRACKING": "off"})
        if status:
            raise ConvzooError(f"seed {seed}: {step} failed:\n{last_lines(folder, step)}")
        if step == "train":
            history = (folder / "models" / network / "history.csv").read_text().splitlines()
            last = dict(zip(history[0].split(","), history[-1].split(","), strict=True))
            row |= {name: float(value) for name, value in last.items() if name in KEPT or name.startswith("val_")}
            row["train_seconds"] = round(time.perf_counter() - started, 1)
            row["train_peak_mb"] = round(peak / 1e6)
    metrics = read_json(folder / "models" / network / "evaluation.json")
    row |= {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    return row, read_json(folder / "models" / network / "fingerprint.json")["compute"]["precision"]


def command(
    network: Network,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="The number of trainings, with the seeds 0, 1, ...")
    ] = 3,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the files of each seed in DIR/seed-N.")] = None,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="The number of trainings that run side by side.")] = 1,
    record: Annotated[
        bool, typer.Option("--record", help="Record the results in docs/results, for convzoo results.")
    ] = False,
) -> None:
    """Print a line per seed and the table."""
    repeat(network, seeds, out, record, jobs)
