"""The blocks of a network in params.yaml, as the settings of its family."""

from typing import Any, Literal

from convzoo.families.find import family_module, family_names
from convzoo.settings.load import Params, Settings, check

FAMILIES = tuple(family_names())
# The sections with a block per network, and the settings class of the family for such a block.
SECTIONS = {
    "networks": "TrainingSettings",
    "export": "ExportSettings",
    "evaluation": "EvaluationSettings",
    "promotion": "PromotionSettings",
}


class Network(Settings, extra="ignore"):
    """The key that selects the settings class for a network's block."""

    family: Literal[FAMILIES]


def family_of(params: Params, network: str) -> str:
    """The family of a network of params.yaml. Raises SettingsError."""
    return check(params, ("networks", network), Network).family


def network_settings(params: Params, section: str, network: str) -> Any:
    """The block SECTION.NETWORK in the settings class of the network's family. Raises SettingsError."""
    settings = family_module(family_of(params, network), "settings")
    return check(params, (section, network), getattr(settings, SECTIONS[section]))
