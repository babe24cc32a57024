"""The error for a name that stands for no registered version: what there is instead, and what to do.

Imports no MLflow: the client is MLflow's or a Reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from convzoo.errors import ConvzooError, did_you_mean
from convzoo.text import first_names
from convzoo.tracking.aliases import CANDIDATE, CHAMPION, PREVIOUS, Alias, aliases_of
from convzoo.tracking.registered import registered_models, versions_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from convzoo.tracking.reader import Reader

NUMBER = re.compile(r"[vV](\d{1,9})")  # a version in the place of an alias; a database takes no longer numbers
LISTED = 10  # versions in a message


def not_found(
    client: MlflowClient | Reader, name: str, more: str = "", suits: Callable[[str], bool] | None = None
) -> ConvzooError:
    """The error for NETWORK[@ALIAS] without a version; `more` is what else there is not.

    Lists the versions of the network or, if it has none, the registered networks: those that the command can use, for
    which `suits` is true.
    """
    network, _, alias = name.partition("@")
    known = [model.name for model in registered_models(client)]
    versions = _versions(client, network) if network in known else []
    if versions:
        return ConvzooError(f"{name}: {_problem(network, alias, versions)}")
    remedy = "to train and register networks, run: convzoo repro"
    if any(Path("models").glob("*/registration.json")):  # of stages that DVC would skip
        remedy = "to register what is in models/, run: convzoo sync"
    if not known:
        return ConvzooError(f"{name}: no model is registered yet{more}; {remedy}")
    usable = [other for other in known if suits is None or suits(other)]
    title = "registered models" if suits is None else "registered models for this command"
    return ConvzooError(
        f"{name}: no model with the name {network} is registered{more}; {did_you_mean(network, usable)}{title}: "
        f"{', '.join(usable) or 'none'}; {remedy}"
    )


def nothing_to_roll_back(network: str, aliases: Mapping[str, Alias]) -> ConvzooError | None:
    """The error for a network whose `aliases` lack the champion or the one before it; None if it has both."""
    if CHAMPION not in aliases:
        problem = "nothing to roll back: it has no champion yet; to make a version the champion, run: convzoo promote"
        return ConvzooError(f"{network}: {problem} {network}")
    if PREVIOUS not in aliases:
        return ConvzooError(
            f"{network}: nothing to roll back to: it has had only one champion, version {aliases[CHAMPION].version}; "
            f"to make another version the champion, run: convzoo promote {network} --version N (its versions: convzoo "
            f"models {network})"
        )
    return None


def _versions(client: MlflowClient | Reader, network: str) -> dict[str, list[str]]:
    """The aliases of each version, by names such as v3; newest first."""
    aliases = aliases_of(client, network)
    return {
        f"v{version.version}": [name for name, alias in aliases.items() if alias.version == str(version.version)]
        for version in reversed(versions_of(client, network))
    }


def _problem(network: str, alias: str, versions: dict[str, list[str]]) -> str:
    named = sorted(versions, key=lambda version: not versions[version])  # those with an alias are never cut off
    texts = [f"{version} ({', '.join(versions[version])})" if versions[version] else version for version in named]
    listed = f"its versions: {first_names(texts, LISTED)}"
    if alias == CHAMPION:
        return (
            f"{network} has no {CHAMPION} yet; to make its {CANDIDATE} the {CHAMPION}, run: convzoo promote {network}; "
            f"or name another version, as in {network}@{named[0]} ({listed})"
        )
    if not alias:
        return f"no version has the alias {CHAMPION} or {CANDIDATE}; name one, as in {network}@{named[0]} ({listed})"
    number = NUMBER.fullmatch(alias)
    missing = f"version {number[1]}" if number else f"alias {alias}"
    known = [] if number else [*(name for names in versions.values() for name in names), *versions]
    return f"{network} has no {missing}; {did_you_mean(alias, known)}choose one of {listed}"
