"""List the profiles, or write the values of one to params.yaml.

Only values are replaced: comments and layout stay as they are.
"""

import contextlib
from pathlib import Path
from typing import Annotated

import typer
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from convzoo.errors import ConvzooError, SettingsError, did_you_mean
from convzoo.files import new_file
from convzoo.project import in_project
from convzoo.settings.load import PARAMS, KeyPath, dotted, read_params
from convzoo.settings.whole import check_all

EXAMPLES = ("convzoo profile", "convzoo profile compact", "convzoo profile compact --verbose")
PROFILES = Path("profiles")


def complete_profile(incomplete: str) -> list[str]:
    """The profiles that start with `incomplete`, for the shell."""
    with contextlib.suppress(ConvzooError), in_project():
        return [name for name in profile_names() if name.startswith(incomplete)]
    return []


def command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A profile. Default: list all and mark the current one.",
            autocompletion=complete_profile,
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List the settings that changed.")] = False,
) -> None:
    """Print the profiles or what changed."""
    if name is None:
        current = read_params().values.get("profile")
        for known in profile_names():
            print(f"{'*' if known == current else ' '} {known}")
        return
    changed = use_profile(name)
    if not changed:
        print(f"params.yaml already has the profile {name}")
        return
    count = f"{len(changed)} setting{'s' if len(changed) > 1 else ''}"
    print(f"params.yaml now has the profile {name}: {count} changed" + ("" if verbose else " (git diff shows them)"))
    if verbose:
        print("\n".join(f"  {key}" for key in changed))


def profile_names() -> list[str]:
    """The names of the profiles, sorted."""
    return sorted(file.stem for file in PROFILES.glob("*.yaml"))


def use_profile(name: str) -> list[str]:
    """Write the values in profiles/NAME.yaml into params.yaml; returns the dotted keys of those that changed.

    Raises SettingsError for an unknown profile, a key that params.yaml lacks, and values that are not valid;
    params.yaml then stays as it was.
    """
    if name not in profile_names():
        known = profile_names()
        expected = f"{did_you_mean(name, known)}expected one of: {', '.join(known)}"
        if not known:
            expected = f"expected it in {PROFILES}/; restore that folder: git checkout {PROFILES}"
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

    Only the characters of a value are replaced, so that a round trip through all profiles gives the same bytes. A flow
    mapping ({key: value}) in the profile replaces a whole value; one in `params` may also have single values replaced.
    `name` stands for the profile in the error. Raises SettingsError for a key that `params` lacks.
    """
    current, values = _values(params, inside_flow=True), _values(profile)
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


def _values(text: str, inside_flow: bool = False) -> dict[KeyPath, Node]:
    """The node of each value that is not a block mapping, by its path; optionally also those inside flow mappings."""
    nodes: dict[KeyPath, Node] = {}

    def walk(node: Node, path: KeyPath) -> None:
        is_mapping = isinstance(node, MappingNode)
        if not is_mapping or node.flow_style:
            nodes[path] = node
        if is_mapping and (inside_flow or not node.flow_style):
            for key, value in node.value:
                walk(value, (*path, key.value))

    walk(YAML(typ="safe", pure=True).compose(text), ())
    return nodes
