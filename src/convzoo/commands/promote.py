"""Make a version the champion if it passes the gate.

The block `promotion` in params.yaml defines the gate. The exit code is 0 only if the version is now the champion. With
--dry-run it is 3 if the version passes on the val split, and 1 otherwise.
"""

from pathlib import Path
from typing import Annotated

import typer

from convzoo.commands.shared import Network, Reason
from convzoo.errors import ConvzooError
from convzoo.promotion.gate import as_text
from convzoo.promotion.promote import promote

EXAMPLES = (
    "convzoo promote mnist-classifier --dry-run",
    "convzoo promote mnist-classifier --version 3",
    "convzoo promote mnist-classifier --sign ~/keys/key.pem",
    'convzoo promote mnist-classifier --force --reason "demo on Friday"',
)
DRY_RUN_PASSES = 3  # an exit code that means neither success nor an error


def command(
    network: Network,
    version: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The version. Default: the candidate.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure on val only and change nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Override the gate; requires --reason.")] = False,
    reason: Reason = None,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY", help="Sign the new champion with this private key, a PEM file.")
    ] = None,
) -> None:
    """Print the conditions of the gate and the outcome."""
    if force and not (reason or "").strip():
        raise ConvzooError("--force: expected a reason to record in the ledger; add --reason TEXT")
    outcome = promote(network, version, dry_run=dry_run, force=force, reason=reason, key=sign)
    if outcome.conditions:
        print(as_text(outcome.conditions), end="\n\n")
    print("\n".join(outcome.messages))
    if not outcome.done:
        raise typer.Exit(DRY_RUN_PASSES if dry_run and outcome.fits else 1)
