"""List the profiles, or write the values of one to params.yaml.

Only values are replaced: comments and layout stay as they are.
"""

from pathlib import Path
from typing import Annotated

import typer
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from convzoo.errors import SettingsError
from convzoo.files import new_file
from convzoo.settings.load import PARAMS, KeyPath, dotted, read_params
from convzoo.settings.whole import check_all

PROFILES = Path("profiles")


def command(
    name: Annotated[str | None, typer.Argument(help="A profile. Default: list all and mark the current one.")] = None,
) -> None:
    """Print the profiles or what changed."""
    if name is None:
        current = read_params().values.get("profile")
        for known in profile_names():
            print(f"{'*' if known == current else ' '} {known}")
        return
    changed = use_profile(name)
    print(
        f"params.yaml now has the profile {name}; changed: {', '.join(changed)}"
        if changed
        else f"params.yaml already has the profile {name}"
    )


def profile_names() -> list[str]:
    """The names of the profiles, sorted."""
    return sorted(file.stem for file in PROFILES.glob("*.yaml"))


def use_profile(name: str) -> list[str]:
    """Write the values in profiles/NAME.yaml into params.yaml; returns the dotted keys of those that changed.

    Raises SettingsError for an unknown profile, a key that params.yaml lacks, and values that are not valid;
    params.yaml then stays as it was.
    """
    if name not in profile_names():
        known = ", ".join(profile_names())
        expected = (
            f"expected one of: {known}" if known else "there is no folder profiles; run this in the project's folder"
        )
        raise SettingsError(f"profile '{name}': not found, {expected}")
    file = PROFILES / f"{name}.yaml"
    for checked in (PARAMS, file):
        read_params(checked)
    with PARAMS.open(encoding="utf-8", newline="") as stream:  # keeps the line ends, as Windows' editors write them
        before = stream.read()
    after, changed = merged(before, file.read_text(encoding="utf-8"), str(file))
    if changed:
        with new_file(PARAMS) as temporary:
            temporary.write_text(after, encoding="utf-8", newline="")
            check_all(read_params(temporary)._replace(file=PARAMS))
    return changed


def merged(params: str, profile: str, name: str) -> tuple[str, list[str]]:
    """The text `params` with the values of the text `profile`, and the dotted keys of the values that changed.

    Only the characters of a value are replaced, so that a round trip through all profiles gives the same bytes. `name`
    stands for the profile in the error. Raises SettingsError for a key that `params` lacks.
    """
    current, values = _values(params), _values(profile)
    changed, newline = [], "\r\n" if "\r\n" in params else "\n"
    # From the end of the text to its start, so that the marks of the values that are still to come stay right.
    for path in sorted(values, key=lambda path: current[path].start_mark.index if path in current else 0, reverse=True):
        if path not in current:
            raise SettingsError(f"{name}: {dotted(path)}: not in params.yaml, expected one of its keys; remove it here")
        start, end = current[path].start_mark.index, current[path].end_mark.index
        value = profile[values[path].start_mark.index : values[path].end_mark.index].replace("\n", newline)
        if params[start:end] != value:
            params = params[:start] + value + params[end:]
            changed.insert(0, ".".join(map(str, path)))
    return params, changed


def profile_keys(profile: str) -> set[KeyPath]:
    """The paths of the values that a profile's text sets."""
    return set(_values(profile))


def _values(text: str) -> dict[KeyPath, Node]:
    """The node of each value that is not a block mapping, by its path."""
    nodes: dict[KeyPath, Node] = {}

    def walk(node: Node, path: KeyPath) -> None:
        if isinstance(node, MappingNode) and not node.flow_style:
            for key, value in node.value:
                walk(value, (*path, key.value))
        else:
            nodes[path] = node

    walk(YAML(typ="safe", pure=True).compose(text), ())
    return nodes
