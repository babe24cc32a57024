"""Validate params.yaml."""

from convzoo.settings.load import read_params
from convzoo.settings.whole import check_all


def command() -> None:
    """Raises SettingsError with a line for each mistake."""
    check_all(read_params())
    print("params.yaml is valid")
