"""Validate params.yaml and show which stages are out of date.

Runs the stage `check`, which digests the source code, and then `dvc status`, which alone knows the code only as of the
last check. The exit code is that of the one that fails.
"""

import os
import subprocess
import sys
from typing import Annotated

import typer

EXAMPLES = ("convzoo status", "convzoo status train@mnist-classifier")
CHECK = "pipeline/check.py"


def command(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="STAGE", help="Stages or files, as for `dvc status`. Default: all.")
    ] = None,
) -> None:
    """Print what the check and DVC say. Raises ConvzooError for a name that is no stage."""
    _run(CHECK)
    if targets:
        from convzoo.repro.plan import read_plan  # here, like the next: without a name nothing needs them
        from convzoo.settings.load import read_params

        read_plan(read_params().values, []).check_targets(targets)
    _run("-m", "dvc", "status", *(targets or []))


def _run(*arguments: str) -> None:
    environment = os.environ | {"PYTHONPATH": "src"}
    code = subprocess.run([sys.executable, *arguments], env=environment, check=False).returncode
    if code:
        raise typer.Exit(code)
