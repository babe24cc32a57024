"""Make the previous champion the champion again."""

from convzoo.commands.shared import Network, Reason
from convzoo.promotion.promote import rollback

EXAMPLES = ("convzoo rollback mnist-classifier", 'convzoo rollback mnist-classifier --reason "fails on scans"')


def command(network: Network, reason: Reason = None) -> None:
    """Print which version is the champion now."""
    print(rollback(network, reason))
