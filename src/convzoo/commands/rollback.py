"""Make the previous champion the champion again."""

from convzoo.commands.shared import Network, Reason
from convzoo.promotion.promote import rollback


def command(network: Network, reason: Reason = None) -> None:
    """Print which version is the champion now."""
    print(rollback(network, reason))
