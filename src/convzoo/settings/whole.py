"""Checks all of params.yaml: every block, and the names by which one block refers to another."""

from collections.abc import Callable

from convzoo.errors import SettingsError, did_you_mean
from convzoo.families.find import family_module
from convzoo.settings.compute import ComputeSettings
from convzoo.settings.data import DataSettings, prepare_settings
from convzoo.settings.load import Params, Settings, block, check, dotted, place, shown
from convzoo.settings.networks import SECTIONS, Network, network_settings
from convzoo.settings.sources import Source
from convzoo.settings.types import Name
from convzoo.settings.weights import Weights


class Sections(Settings):
    """The top-level keys of params.yaml."""

    profile: str
    compute: dict
    sources: dict
    weights: dict
    data: dict
    networks: dict
    export: dict
    evaluation: dict
    promotion: dict


class Blocks(Sections):
    """The blocks in the sections; those of networks are then checked against the settings of their family."""

    compute: ComputeSettings
    sources: dict[Name, Source]
    weights: dict[Name, Weights]
    data: dict[Name, DataSettings]
    networks: dict[Name, Network]


def network_names(params: Params) -> list[str]:
    """The names in the block `networks`. Raises SettingsError if a section is missing."""
    return list(check(params, (), Sections).networks)


def check_network_name(params: Params, name: str) -> None:
    """Raises SettingsError if params.yaml has no network of this name."""
    known = network_names(params)
    if name not in known:
        expected = f"{did_you_mean(name, known)}expected one of: {', '.join(known)}"
        raise SettingsError(f"network '{name}': not in {params.file}, {expected}")


def check_all(params: Params) -> None:
    """Raises SettingsError with a line per mistake in the file."""
    check(params, (), Sections)
    mistakes = _mistakes(check, params, (), Blocks)
    for name in params.values["data"]:
        mistakes += _mistakes(_check_reference, params, ("data", name, "source"), "sources")
    for name in params.values["networks"]:
        mistakes += _network_mistakes(params, name)
    for section in SECTIONS:
        for name in params.values[section]:
            if name not in params.values["networks"]:
                problem = "there is no network of this name; take it out, or give `networks` one"
                mistakes.append(f"{place(params, (section, name))}: {problem}")
    if mistakes:
        raise SettingsError("\n".join(dict.fromkeys(mistakes)))


def _mistakes(step: Callable[..., object], *arguments: object) -> list[str]:
    try:
        step(*arguments)
    except SettingsError as error:
        return str(error).splitlines()
    return []


def _network_mistakes(params: Params, name: str) -> list[str]:
    mistakes = []
    for section in SECTIONS:
        if section != "promotion" or name in params.values[section]:  # promotion is optional
            mistakes += _mistakes(network_settings, params, section, name)
    for section in ("data", "weights"):
        mistakes += _mistakes(_check_reference, params, ("networks", name, section), section)
    return mistakes or _mistakes(_check_fit, params, name)


def _check_fit(params: Params, name: str) -> None:
    settings = network_settings(params, "networks", name)
    prepare = prepare_settings(params, settings.data)
    misfits = family_module(settings.family, "settings").misfits(settings, prepare.height, prepare.width)
    messages = [f"{place(params, ('networks', name, *path))}: {message}" for path, message in misfits]
    if messages:
        raise SettingsError("\n".join(messages))


def _check_reference(params: Params, path: tuple[str, ...], section: str) -> None:
    try:
        value = block(params, path)
    except SettingsError:
        return  # the check of the block reports it
    known = params.values[section]
    if not isinstance(value, str) or value not in known:
        expected = f"expected a block of `{section}`: {', '.join(dotted((name,)) for name in known)}"
        raise SettingsError(f"{place(params, path)}: got {shown(value)}, {expected}")
