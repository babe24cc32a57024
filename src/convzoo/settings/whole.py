"""All of params.yaml at once: every block by itself, and the names by which one block refers to another."""

import re
from collections.abc import Callable

from convzoo.errors import SettingsError
from convzoo.families.autoencoder import settings as autoencoder
from convzoo.families.classifier import settings as classifier
from convzoo.families.dcgan import settings as dcgan
from convzoo.families.transfer import settings as transfer
from convzoo.settings.compute import compute_settings
from convzoo.settings.data import data_settings, prepare_settings
from convzoo.settings.load import Params, Settings, check, dotted, shown
from convzoo.settings.promotion import promotion_settings
from convzoo.settings.sources import source_settings
from convzoo.settings.weights import weights_settings

# The functions that check a network's three blocks, by family, and what does not fit its pictures.
FAMILIES = {
    "classifier": (classifier.training_settings, classifier.export_settings, classifier.evaluation_settings),
    "autoencoder": (autoencoder.training_settings, autoencoder.export_settings, autoencoder.evaluation_settings),
    "dcgan": (dcgan.training_settings, dcgan.export_settings, dcgan.evaluation_settings),
    "transfer": (transfer.training_settings, transfer.export_settings, transfer.evaluation_settings),
}
MISFITS = {
    "classifier": classifier.misfits,
    "autoencoder": autoencoder.misfits,
    "dcgan": dcgan.misfits,
    "transfer": transfer.misfits,
}

# Names become folders, MLflow models and DVC stages.
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


class Sections(Settings):
    """The top of params.yaml."""

    profile: str
    compute: dict
    sources: dict
    weights: dict
    data: dict
    networks: dict
    export: dict
    evaluation: dict
    promotion: dict


def network_names(params: Params) -> list[str]:
    """The names in the block `networks`. Raises SettingsError where the file has not its sections."""
    return list(check(params, (), Sections).networks)


def check_network_name(params: Params, name: str) -> None:
    """Raises SettingsError if params.yaml has no network of this name."""
    known = network_names(params)
    if name not in known:
        raise SettingsError(f"network '{name}': not in {params.file}, expected one of: {', '.join(known)}")


def check_all(params: Params) -> None:
    """Raises SettingsError with a line for each mistake anywhere in the file."""
    check(params, (), Sections)
    values, mistakes = params.values, []

    def attempt(step: Callable[..., object], *arguments: object) -> None:
        try:
            step(*arguments)
        except SettingsError as error:
            mistakes.append(str(error))

    attempt(compute_settings, params)
    for name in values["sources"]:
        attempt(_check_name, params, ("sources", name))
        attempt(source_settings, params, name)
    for name in values["weights"]:
        attempt(_check_name, params, ("weights", name))
        attempt(weights_settings, params, name)
    for name in values["data"]:
        attempt(_check_name, params, ("data", name))
        attempt(data_settings, params, name)
        attempt(_check_reference, params, ("data", name, "source"), "sources")
    for name in values["networks"]:
        attempt(_check_network, params, name)
    for section in ("export", "evaluation", "promotion"):
        for name in values[section]:
            if name not in values["networks"]:
                where = f"{params.file}:{params.lines[section, name]}: {dotted((section, name))}"
                mistakes.append(f"{where}: there is no network of this name; take it out, or give `networks` one")
    if mistakes:
        raise SettingsError("\n".join(dict.fromkeys("\n".join(mistakes).splitlines())))


def _check_network(params: Params, name: str) -> None:
    _check_name(params, ("networks", name))
    network = params.values["networks"][name]
    family = network.get("family") if isinstance(network, dict) else None
    if not isinstance(family, str) or family not in FAMILIES:
        line = params.lines.get(("networks", name, "family"), params.lines["networks", name])
        where = f"{params.file}:{line}: {dotted(('networks', name, 'family'))}"
        raise SettingsError(f"{where}: got {shown(family)}, expected one of: {', '.join(FAMILIES)}")
    mistakes = []
    promoted = (promotion_settings,) if name in params.values["promotion"] else ()  # a network can go without
    for settings in (*FAMILIES[family], *promoted):
        try:
            settings(params, name)
        except SettingsError as error:
            mistakes.append(str(error))
    for key, section in (("data", "data"), ("weights", "weights")):
        try:
            _check_reference(params, ("networks", name, key), section)
        except SettingsError as error:
            mistakes.append(str(error))
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    prepare = prepare_settings(params, network["data"])
    settings = FAMILIES[family][0](params, name)
    for path, told in MISFITS[family](settings, prepare.height, prepare.width):
        where = f"{params.file}:{params.lines['networks', name, *path]}"
        mistakes.append(f"{where}: {dotted(('networks', name, *path))}: {told}")
    if mistakes:
        raise SettingsError("\n".join(mistakes))


def _check_name(params: Params, path: tuple[str, ...]) -> None:
    if not NAME.fullmatch(path[-1]):
        where = f"{params.file}:{params.lines[path]}: {dotted(path)}"
        raise SettingsError(f"{where}: expected a name of small letters, digits and hyphens; rename it")


def _check_reference(params: Params, path: tuple[str, ...], section: str) -> None:
    value = params.values
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return  # missing: said already
        value = value[key]
    known = params.values[section]
    if not isinstance(value, str) or value not in known:
        expected = f"expected a block of `{section}`: {', '.join(dotted((name,)) for name in known)}"
        raise SettingsError(f"{params.file}:{params.lines[path]}: {dotted(path)}: got {shown(value)}, {expected}")
