"""Families by their names: a family is a folder beside this file that has a settings.py."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from convzoo.settings.load import Params, block


def family_names() -> list[str]:
    """The names of all families, sorted."""
    return sorted(file.parent.name for file in Path(__file__).parent.glob("*/settings.py"))


def family_of(params: Params, network: str) -> str:
    """The family of a network of params.yaml. Raises SettingsError for a network that is not there."""
    return block(params, ("networks", network, "family"))


def family_module(family: str, name: str) -> ModuleType:
    """A module of a family's folder, such as `train`."""
    return import_module(f"convzoo.families.{family}.{name}")
