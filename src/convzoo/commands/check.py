"""Validate params.yaml.

Also checks that the project is in a git repository, which DVC and the lineage of every network need.
"""

from convzoo.checks.check import check_locale
from convzoo.lineage.commits import check_repository
from convzoo.settings.load import read_params
from convzoo.settings.whole import check_all

EXAMPLES = ("convzoo check",)


def command() -> None:
    """Raises SettingsError with a line for each mistake, and ConvzooError outside a git repository or without UTF-8."""
    check_locale()
    check_all(read_params())
    check_repository()
    print("params.yaml is valid")
