"""The blocks of `search` in params.yaml: the values that `convzoo sweep` tries for the settings of a network.

No stage reads them, so changing them reruns nothing.
"""

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import Discriminator, Field, Tag

from convzoo.errors import SettingsError, did_you_mean
from convzoo.families.find import family_module
from convzoo.settings.load import KeyPath, Params, Settings, check, place, shown
from convzoo.settings.networks import SECTIONS, family_of

# Settings that decide what a network is trained on, which needs other stages first, and the seed, which is no setting
# to choose: the best of many seeds on val is the luckiest one.
FIXED = ("family", "data", "weights", "seed")


class Range(Settings):
    """Numbers between two bounds: whole numbers for a setting that is one."""

    low: float
    high: float
    log: bool  # draw evenly in the logarithm, for values that span magnitudes


class Choices(Settings):
    """Some values of any type."""

    choices: Annotated[list[Any], Field(min_length=2)]


def _space_class(value: Any) -> str:
    has_choices = "choices" in value if isinstance(value, dict) else isinstance(value, Choices)
    return "Choices" if has_choices else "Range"


Space = Annotated[
    Annotated[Range, Tag("Range")] | Annotated[Choices, Tag("Choices")],
    Discriminator(_space_class),
]


class Searched(NamedTuple):
    """A setting of a network and the values to try."""

    path: tuple[str, ...]  # inside the network's block
    space: Range | Choices
    is_whole: bool  # of a range: whether the setting is a whole number

    @property
    def name(self) -> str:
        return ".".join(self.path)


def searched_settings(params: Params, network: str) -> list[Searched]:
    """The settings in the block `search.NETWORK`, in its order. Raises SettingsError with a line per mistake in it."""
    spaces = check(params, ("search", network), dict[str, Space])
    if not spaces:
        raise SettingsError(f"{place(params, ('search', network))}: is empty, expected a setting to search; add one")
    found, mistakes = [], []
    for name, space in spaces.items():
        try:
            found.append(_searched(params, network, name, space))
        except SettingsError as error:
            mistakes.append(str(error))
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return found


def with_values(params: Params, network: str, values: dict[tuple[str, ...], Any]) -> Params:
    """A copy of `params` in which the network's block has `values`, by their path in it."""
    changed = dict(params.values)
    for path, value in values.items():
        block = changed
        for key in ("networks", network, *path[:-1]):
            block[key] = dict(block[key])  # the original stays as it is
            block = block[key]
        block[path[-1]] = value
    return params._replace(values=changed)


def _searched(params: Params, network: str, name: str, space: Range | Choices) -> Searched:
    """One setting. Raises SettingsError."""
    where, path = place(params, ("search", network, name)), tuple(name.split("."))
    known = [key for key, _ in _settings(params.values["networks"][network]) if key not in FIXED]
    if name not in known:
        problem = "cannot be searched" if name in FIXED else "is no setting of this network"
        expected = f"{did_you_mean(name, known)}expected one of: {', '.join(known)}"
        raise SettingsError(f"{where}: {problem}; {expected}")
    kind, written = _annotation(params, network, path), params.values["search"][network][name]
    if isinstance(space, Choices):
        ends = [(("choices", index), value) for index, value in enumerate(space.choices)]
        if len({repr(value) for value in space.choices}) < len(space.choices):
            raise SettingsError(f"{where}: choices: has a value twice, expected each one once; remove the other")
    elif kind not in (int, float):
        raise SettingsError(f"{where}: got a range, but this setting is no number; list values: choices: [...]")
    else:
        ends = [((key,), written[key]) for key in ("low", "high")]
    for key, value in ends:
        _check_value(params, network, (name, *key), path, value)
    if isinstance(space, Range):
        if not space.low < space.high:
            raise SettingsError(f"{where}: got low {space.low:g} and high {space.high:g}, expected low below high")
        if space.log and space.low <= 0:
            raise SettingsError(f"{where}: got low {space.low:g} with log: true, expected more than 0")
    return Searched(path, space, kind is int)


def _check_value(params: Params, network: str, key: KeyPath, path: tuple[str, ...], value: Any) -> None:
    """Raises SettingsError if the network's settings do not allow a value."""
    settings = getattr(family_module(family_of(params, network), "settings"), SECTIONS["networks"])
    try:
        check(with_values(params, network, {path: value}), ("networks", network), settings)
    except SettingsError as error:
        problem = str(error).splitlines()[0].partition(f"networks.{network}.{'.'.join(path)}")[2]
        if not problem.startswith(":"):  # about a part of the value
            problem = f": got {shown(value)}, in which {problem.removeprefix('.')}"
        raise SettingsError(f"{place(params, ('search', network, *key))}{problem}") from None


def _annotation(params: Params, network: str, path: tuple[str, ...]) -> Any:
    """The type of a setting in the settings class of the network's family."""
    kind = getattr(family_module(family_of(params, network), "settings"), SECTIONS["networks"])
    for key in path:
        kind = kind.model_fields[key].annotation
    return kind


def _settings(block: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of each setting that is not a block."""
    for key, value in block.items():
        if isinstance(value, dict):
            yield from _settings(value, (*above, key))
        else:
            yield ".".join((*above, key)), value
