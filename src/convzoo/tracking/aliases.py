"""Aliases of versions: moved by convzoo, or set by hand in the UI, which is everyone's right and can be seen."""

from typing import NamedTuple

from mlflow import MlflowClient

CHAMPION, PREVIOUS, CANDIDATE = "champion", "previous", "candidate"
SET = "convzoo.alias."  # a registered model's tag: the version that convzoo put this alias on


class Alias(NamedTuple):
    """Where an alias stands."""

    version: str
    by_hand: bool  # not where convzoo put it

    def named(self, alias: str) -> str:
        """The alias, and a remark if need be."""
        return f"{alias} (set by hand)" if self.by_hand else alias


def aliases_of(client: MlflowClient, network: str) -> dict[str, Alias]:
    """All aliases of a registered model, by name."""
    model = client.get_registered_model(network)
    return {
        # Of candidate it is not remembered where it was set before convzoo remembered.
        alias: Alias(
            str(version), model.tags.get(SET + alias, str(version) if alias == CANDIDATE else None) != str(version)
        )
        for alias, version in sorted(model.aliases.items())
    }


def set_alias(client: MlflowClient, network: str, alias: str, version: str) -> None:
    """Put an alias on a version, and remember that convzoo did."""
    client.set_registered_model_tag(network, SET + alias, str(version))
    client.set_registered_model_alias(network, alias, str(version))


def put_back(client: MlflowClient, network: str, alias: str, before: Alias | None) -> None:
    """Leave an alias where it stood before, or take it away where there was none."""
    if before:
        set_alias(client, network, alias, before.version)
    elif alias in client.get_registered_model(network).aliases:
        client.delete_registered_model_alias(network, alias)
        client.delete_registered_model_tag(network, SET + alias)
