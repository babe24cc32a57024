"""List the profiles, or write the values of one to params.yaml.

Only values are replaced: comments and layout stay as they are.
"""

import contextlib
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

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

    Only the characters of a value are replaced, so that a round trip through all profiles gives the same bytes. `name`
    stands for the profile in the error. Raises SettingsError for a key that `params` lacks.
    """
    current, values = _values(params), _values(profile)
    changed, newline = [], "\r\n" if "\r\n" in params else "\n"
    # From the end of the text to its start, so that the places of the values that are still to come stay right.
    for path in sorted(values, key=lambda path: current[path].start if path in current else 0, reverse=True):
        if path not in current:
            raise SettingsError(f"{name}: {dotted(path)}: not in params.yaml, expected one of its keys; remove it here")
        place = current[path]
        new = [part.replace("\n", newline) for part in values[path].parts(profile)]
        if [*place.parts(params)] != new:
            comment = params[place.middle : place.line_end]
            params = params[: place.start] + new[0] + comment + new[1] + params[place.end :]
            changed.insert(0, ".".join(map(str, path)))
    return params, changed


def profile_keys(profile: str) -> set[KeyPath]:
    """The paths of the values that a profile's text sets."""
    return set(_values(profile))


class Place(NamedTuple):
    """Where a value is in a text: on the line of its key, below that line (lists), or in parts on both."""

    start: int  # of the value on the line of its key, after the colon
    middle: int  # its end
    line_end: int  # of that line, after a comment
    end: int  # of the lines below; the same as `line_end` if there are none

    def parts(self, text: str) -> tuple[str, str]:
        """The value on the line of its key, and on the lines below."""
        return text[self.start : self.middle], text[self.line_end : self.end]


def _values(text: str) -> dict[KeyPath, Place]:
    """The place of each value that is not a block mapping, by its path."""
    places: dict[KeyPath, Place] = {}

    def walk(node: Node, path: KeyPath) -> None:
        for key, value in node.value:
            if isinstance(value, MappingNode) and not value.flow_style:
                walk(value, (*path, key.value))
            else:
                places[(*path, key.value)] = _place(text, text.index(":", key.end_mark.index) + 1, value)

    walk(YAML(typ="safe", pure=True).compose(text), ())
    return places


def _place(text: str, start: int, value: Node) -> Place:
    """The place of the value whose key ends with the colon before `start`."""
    line_end = _line_end(text, start)
    is_empty = value.start_mark.index == value.end_mark.index  # null; ruamel's mark is at the next key
    if value.start_mark.index > line_end and not is_empty:
        is_commented = text[start:line_end].strip()
        return Place(start, start if is_commented else line_end, line_end, _end(value))
    middle = start if is_empty else _end(value)
    line_end = _line_end(text, middle)
    return Place(start, middle, line_end, line_end)


def _line_end(text: str, index: int) -> int:
    """The index after the last character of a line, before its line break."""
    return index + len(text[index:].partition("\n")[0].removesuffix("\r"))


def _end(node: Node) -> int:
    """The index after the last character of a value. For a block list, ruamel's own mark is at the next key."""
    is_block = isinstance(node, SequenceNode) and not node.flow_style
    return _end(node.value[-1]) if is_block else node.end_mark.index
