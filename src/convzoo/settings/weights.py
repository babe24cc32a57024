"""Published weights that networks start from: the blocks of `weights` in params.yaml."""

from typing import Literal

from convzoo.settings.load import Params, Settings, check


class NoWeights(Settings):
    """Where a network starts from its own initialisation."""

    kind: Literal["none"]


def weights_settings(params: Params, name: str) -> NoWeights:
    """The block `weights.NAME`. Raises SettingsError."""
    return check(params, ("weights", name), NoWeights)
