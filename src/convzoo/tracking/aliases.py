"""The aliases of registered versions: which version each stands for, and moving them.

Imports no MLflow: the client is MLflow's or, for reading, a Reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from convzoo.tracking import store

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, PREVIOUS, CANDIDATE = "champion", "previous", "candidate"
SET_BY_CONVZOO = "convzoo.alias."  # a registered model's tag with the version that convzoo put this alias on


class Alias(NamedTuple):
    """The version that an alias stands for."""

    version: str
    by_hand: bool  # not the version that convzoo put it on

    def named(self, alias: str) -> str:
        """The alias, with a note if it was set by hand."""
        return f"{alias} (set by hand)" if self.by_hand else alias


def aliases_of(client: MlflowClient, network: str) -> dict[str, Alias]:
    """All aliases of a registered model, by name; none if there is no such model."""
    try:
        model = client.get_registered_model(network)
    except Exception as error:
        if not store.is_missing(error):
            raise
        return {}
    aliases = {}
    for alias, version in sorted(model.aliases.items()):
        # Versions before this tag existed have `candidate` without it.
        expected = model.tags.get(SET_BY_CONVZOO + alias, str(version) if alias == CANDIDATE else None)
        aliases[alias] = Alias(str(version), by_hand=expected != str(version))
    return aliases


def set_alias(client: MlflowClient, network: str, alias: str, version: str) -> None:
    """Put an alias on a version, and record that convzoo did."""
    client.set_registered_model_tag(network, SET_BY_CONVZOO + alias, str(version))
    client.set_registered_model_alias(network, alias, str(version))


def restore_alias(client: MlflowClient, network: str, alias: str, before: Alias | None) -> None:
    """Put an alias back on the version it stood for before, or remove it if it did not exist."""
    if before and before.by_hand:
        client.set_registered_model_alias(network, alias, before.version)
    elif before:
        set_alias(client, network, alias, before.version)
    elif alias in client.get_registered_model(network).aliases:
        client.delete_registered_model_alias(network, alias)
        client.delete_registered_model_tag(network, SET_BY_CONVZOO + alias)
