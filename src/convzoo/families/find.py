"""Finds families by name: a family is a folder next to this file that contains a train.py."""

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from convzoo.errors import ConvzooError

FOLDER = Path(__file__).parent


def family_names() -> list[str]:
    """Return the names of all families, sorted."""
    return sorted(file.parent.name for file in FOLDER.glob("*/train.py"))


def has_module(family: str, name: str) -> bool:
    """Return whether there is a family of this name with a module `name`, such as `train`."""
    return family in family_names() and (FOLDER / family / f"{name}.py").is_file()


@cache
def family_module(family: str, name: str) -> ModuleType:
    """Import a module of a family, such as `train`. Raises ConvzooError if there is none."""
    if not has_module(family, name):
        raise ConvzooError(
            f"src/convzoo/families/{family}/{name}.py: is missing, expected the module `{name}` of this family; write "
            f"it like those of the other families: {', '.join(family_names())}"
        )
    return import_module(f"convzoo.families.{family}.{name}")
