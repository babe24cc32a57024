"""Checks all of params.yaml: every block, and the names by which one block refers to another."""

import contextlib
from collections.abc import Callable

from convzoo.errors import SettingsError, did_you_mean
from convzoo.families.find import family_module
from convzoo.settings.compute import ComputeSettings, batch_misfits, compute_settings
from convzoo.settings.data import DataSettings, prepare_settings
from convzoo.settings.load import Params, Settings, block, check, dotted, place, shown
from convzoo.settings.networks import FAMILIES, SECTIONS, Network, network_settings
from convzoo.settings.search import Space, searched_settings
from convzoo.settings.sources import Source
from convzoo.settings.types import Name
from convzoo.settings.weights import Weights

FOREIGN_KEYS = 5  # so many fewer missing and unknown keys in another family mean that `family` is wrong


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
    search: dict


class Blocks(Sections):
    """The blocks in the sections; those of networks are then checked against the settings of their family."""

    compute: ComputeSettings
    sources: dict[Name, Source]
    weights: dict[Name, Weights]
    data: dict[Name, DataSettings]
    networks: dict[Name, Network]
    search: dict[Name, dict[str, Space]]


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
    mistakes += _mistakes(compute_settings, params)
    for name in params.values["data"]:
        mistakes += _mistakes(_check_reference, params, ("data", name, "source"), "sources")
    for name in params.values["networks"]:
        mistakes += _network_mistakes(params, name)
    for section in (*SECTIONS, "search"):
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
    if mistake := _mistake_of_family(params, name):
        return [mistake]
    mistakes = []
    for section in SECTIONS:
        if name in params.values[section]:
            mistakes += _mistakes(network_settings, params, section, name)
        elif section != "promotion":  # which is optional
            unused = [other for other in params.values[section] if other not in params.values["networks"]]
            where, guess = place(params, (section, name)), did_you_mean(name, unused)
            mistakes.append(f"{where}: is missing; {guess}expected a block for the network of this name")
    for section in ("data", "weights"):
        mistakes += _mistakes(_check_reference, params, ("networks", name, section), section)
    mistakes = mistakes or _mistakes(_check_fit, params, name)
    if name in params.values["search"] and not mistakes:  # whose values must be valid in the network's block
        mistakes = _mistakes(searched_settings, params, name)
    return mistakes


def _mistake_of_family(params: Params, name: str) -> str:
    """A line about a network with the keys of another family, which would be a line for each of them; else empty."""
    values = params.values["networks"][name]
    if not isinstance(values, dict) or values.get("family") not in FAMILIES:
        return ""
    family, settings = values["family"], SECTIONS["networks"]
    wrong = {
        other: len(values.keys() ^ getattr(family_module(other, "settings"), settings).model_fields.keys())
        for other in FAMILIES
    }
    fitting = min(FAMILIES, key=wrong.__getitem__)
    if wrong[family] < wrong[fitting] + FOREIGN_KEYS:
        return ""
    return (
        f"{place(params, ('networks', name, 'family'))}: got {shown(family)}, but the keys of this block belong to the "
        f"family {fitting}; set it to {fitting}, or copy the blocks of a network of the family {family}"
    )


def _check_fit(params: Params, name: str) -> None:
    settings = network_settings(params, "networks", name)
    prepare = prepare_settings(params, settings.data)
    family = family_module(settings.family, "settings")
    misfits = [*family.misfits(settings, prepare.height, prepare.width)]
    reason = getattr(family, "IN_MEMORY", "")
    if reason and prepare.storage == "shards":
        got = f"got {shown(settings.data)}, whose images are in shards, expected images in arrays, because {reason}"
        misfits.append((("data",), f"{got}; set data.{settings.data}.prepare.storage to arrays"))
    with contextlib.suppress(SettingsError):  # which the check of the block `compute` reports
        misfits += batch_misfits(settings.model_dump(), compute_settings(params).processes)
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
