"""Search for good values of a network's settings.

Trains with values that the block `search` of params.yaml allows, judges each training on val, and prints the best
values. An interrupted sweep continues, and several workers can share one. Does not change models/; --apply writes the
best values so far into params.yaml.
"""

import json
import re
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Annotated, Any

import typer

from convzoo.commands.profile import merged
from convzoo.commands.shared import Network
from convzoo.errors import ConvzooError
from convzoo.files import new_file
from convzoo.settings.load import PARAMS, read_params
from convzoo.settings.whole import check_all
from convzoo.trials.trainings import checked_params

PLAIN = re.compile(r"[a-z][a-z0-9_]*")  # text that needs no quotes
EXAMPLES = (
    "convzoo sweep mnist-classifier --trials 20 --jobs 2",
    "convzoo sweep mnist-classifier --apply",
    "convzoo sweep mnist-classifier --storage postgresql+psycopg://me@db.example.org/sweeps",
)


def command(
    network: Network,
    trials: Annotated[int, typer.Option(metavar="N", min=1, help="The number of trials in the whole study.")] = 20,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="The number of trials that run side by side.")] = 1,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The database of the study. Default: .sweeps/studies.db in the project."),
    ] = None,
    pruning: Annotated[
        bool,
        typer.Option(
            "--pruning/--no-pruning",
            help="End trials that are worse than the median of earlier ones at the same epoch.",
        ),
    ] = True,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the best values so far into params.yaml, without training.")
    ] = False,
) -> None:
    """Print a line per trial, and the best values."""
    params, _ = checked_params(network)
    sweeps = _optuna()
    from convzoo.trials.storage import failures_explained  # imports Optuna, too

    search = sweeps.plan(network, params)
    study = sweeps.study_of(search, storage, pruning)
    with failures_explained(study.address):
        if not apply:
            print(f"study {search.study}, judged by {search.metric}", flush=True)
            try:
                sweeps.sweep(search, study, trials, jobs)
            finally:
                print("\n".join(["", *sweeps.summary(search, study, trials)]), flush=True)
        best = study.best()
    if best is None:
        raise ConvzooError(
            f"{search.study}: no trial has completed, expected at least one; run: convzoo sweep {network}"
        )
    values = sweeps.by_path(sweeps.values_of(best))
    print(f"best: trial {best.number}, {search.metric} {best.value:.6g}")
    for path, old, new in _changes(params.values["networks"][network], values):
        print(f"  networks.{network}.{path}: {old} -> {new}" if old != new else f"  networks.{network}.{path}: {old}")
    if apply:
        _apply(network, values)
        print("params.yaml now has these values (git diff shows them); to train with them, run: convzoo repro")
    else:
        more = " --storage URL" if storage else ""
        print(f"to write these values into params.yaml, run: convzoo sweep {network}{more} --apply")


def _optuna() -> Any:
    """The module that runs sweeps. Raises ConvzooError if Optuna is not installed."""
    try:
        from convzoo.trials import sweep  # imports Optuna, which is optional
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise ConvzooError(
            "Optuna is not installed, expected the extra `sweep`; run: python -m pip install -c constraints.txt "
            "-e '.[sweep]'"
        ) from None
    return sweep


def _changes(block: dict[str, Any], values: dict[tuple[str, ...], Any]) -> list[tuple[str, Any, Any]]:
    """The dotted key of each value, its value in the network's block, and the new one."""
    return [(".".join(path), reduce(getitem, path, block), new) for path, new in values.items()]


def _apply(network: str, values: dict[tuple[str, ...], Any], file: Path = PARAMS) -> None:
    """Write the values into params.yaml, whose comments and layout stay. Raises SettingsError for invalid ones."""
    with file.open(encoding="utf-8", newline="") as stream:
        before = stream.read()
    after, _ = merged(before, _as_yaml(network, values), "the best trial")
    with new_file(file) as temporary:
        temporary.write_text(after, encoding="utf-8", newline="")
        check_all(read_params(temporary)._replace(file=file))


def _as_yaml(network: str, values: dict[tuple[str, ...], Any]) -> str:
    """The values as a part of params.yaml, one per line."""
    lines, above = ["networks:", f"  {network}:"], ()
    for path, value in sorted(values.items()):
        for depth, key in enumerate(path[:-1]):
            if path[: depth + 1] != above[: depth + 1]:
                lines.append(f"{'':{4 + 2 * depth}}{key}:")
        above = path[:-1]
        lines.append(f"{'':{2 + 2 * len(path)}}{path[-1]}: {_scalar(value)}")
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    """A value as params.yaml spells it."""
    return value if isinstance(value, str) and PLAIN.fullmatch(value) else json.dumps(value)
