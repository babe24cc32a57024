"""Make the previous champion the champion again.

Prints what changes before it does; --dry-run changes nothing. A version that was forced past the gate and then rolled
back does not come back this way.
"""

from typing import Annotated

import typer

from convzoo.commands.shared import Network, Reason
from convzoo.promotion.promote import rollback

EXAMPLES = ("convzoo rollback mnist-classifier", 'convzoo rollback mnist-classifier --reason "fails on scans"')


def command(
    network: Network,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would change, and change nothing.")] = False,
    reason: Reason = None,
) -> None:
    """Print what changes, and which version is the champion now."""
    print(rollback(network, reason, dry_run))
