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
    """Print what the check and DVC say."""
    for arguments in ([CHECK], ["-m", "dvc", "status", *(targets or [])]):
        environment = os.environ | {"PYTHONPATH": "src"}
        code = subprocess.run([sys.executable, *arguments], env=environment, check=False).returncode
        if code:
            raise typer.Exit(code)
