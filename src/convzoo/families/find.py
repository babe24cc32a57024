"""Finds families by name: a family is a folder next to this file that contains a train.py."""

from importlib import import_module
from pathlib import Path
from types import ModuleType


def family_names() -> list[str]:
    """Return the names of all families, sorted."""
    return sorted(file.parent.name for file in Path(__file__).parent.glob("*/train.py"))


def family_module(family: str, name: str) -> ModuleType:
    """Import a module of a family, such as `train`."""
    return import_module(f"convzoo.families.{family}.{name}")
