"""Profiles: sets of values that are written into params.yaml, its comments and layout untouched."""

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from convzoo.errors import SettingsError
from convzoo.files import new_file
from convzoo.settings.load import PARAMS, KeyPath, dotted, read_params
from convzoo.settings.whole import check_all

PROFILES = Path("profiles")


def profile_names() -> list[str]:
    """The names of the profiles, sorted."""
    return sorted(file.stem for file in PROFILES.glob("*.yaml"))


def use_profile(name: str) -> list[str]:
    """Write the values of profiles/NAME.yaml into params.yaml; the dotted keys whose values that changed.

    Raises SettingsError for an unknown profile, a key that params.yaml lacks, and values that do not pass its check;
    params.yaml is then as it was.
    """
    if name not in profile_names():
        known = ", ".join(profile_names()) or "none is in the folder profiles; run this from the project's folder"
        raise SettingsError(f"profile '{name}': there is none; expected one of: {known}")
    file = PROFILES / f"{name}.yaml"
    for checked in (PARAMS, file):
        read_params(checked)
    after, changed = merged(PARAMS.read_text(encoding="utf-8"), file.read_text(encoding="utf-8"), str(file))
    if changed:
        with new_file(PARAMS) as temporary:
            temporary.write_text(after, encoding="utf-8")
            check_all(read_params(temporary)._replace(file=PARAMS))
    return changed


def merged(params: str, profile: str, name: str) -> tuple[str, list[str]]:
    """`params` with the values of `profile` spliced into its text, and the dotted keys whose text that changed.

    Only the characters of a value are replaced, so that going round all profiles and back gives the same bytes.
    """
    here, values = _values(params), _values(profile)
    changed = []
    for path in sorted(values, key=lambda path: here[path].start_mark.index if path in here else 0, reverse=True):
        if path not in here:
            told = "params.yaml has no such value, expected one; take it out of the profile"
            raise SettingsError(f"{name}: {dotted(path)}: {told}")
        start, end = here[path].start_mark.index, here[path].end_mark.index
        wanted = profile[values[path].start_mark.index : values[path].end_mark.index]
        if params[start:end] != wanted:
            params = params[:start] + wanted + params[end:]
            changed.insert(0, ".".join(map(str, path)))
    return params, changed


def profile_keys(profile: str) -> set[KeyPath]:
    """The paths of the values that a profile's text sets."""
    return set(_values(profile))


def _values(text: str) -> dict[KeyPath, Node]:
    """The node of each value that is no block mapping, by its path."""
    found: dict[KeyPath, Node] = {}

    def walk(node: Node, path: KeyPath) -> None:
        if isinstance(node, MappingNode) and not node.flow_style:
            for key, value in node.value:
                walk(value, (*path, key.value))
        else:
            found[path] = node

    walk(YAML(typ="safe", pure=True).compose(text), ())
    return found
