"""Families by their names: a family is a folder beside this file with a train.py."""

from importlib import import_module
from pathlib import Path
from types import ModuleType


def family_names() -> list[str]:
    """The names of all families, sorted."""
    return sorted(file.parent.name for file in Path(__file__).parent.glob("*/train.py"))


def family_module(family: str, name: str) -> ModuleType:
    """A module of a family's folder, such as `train`."""
    return import_module(f"convzoo.families.{family}.{name}")
