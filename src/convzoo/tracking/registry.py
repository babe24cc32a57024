"""Registers a network in MLflow: its run completed, its model a version with a card, the alias `candidate` on it."""

import os
from collections.abc import Iterator
from typing import Any

from convzoo.tracking import store  # before mlflow, which reads environment variables that it sets

# isort: split
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from convzoo.cards.card import Card, Provenance
from convzoo.errors import without_account
from convzoo.files import write_json
from convzoo.lineage.record import lineage_of
from convzoo.shipping.network_files import NetworkFiles, read_network
from convzoo.tracking.addresses import remedy_for
from convzoo.tracking.aliases import CANDIDATE, aliases_of, restore_alias, set_alias
from convzoo.tracking.live import tracking_is_off
from convzoo.tracking.locks import locked
from convzoo.tracking.models import is_whole, link_model, log_model
from convzoo.tracking.registered import EXPERIMENT, SHA256, existing_run, is_by_hand, model_of, versions_of
from convzoo.tracking.run_files import BACKFILLED, COMPLETED, SOURCE, complete_run, read_record
from convzoo.tracking.runs import restore_run

DESCRIPTION = "A network of convzoo: one version per exported file, each with its model card."


def register(network: str, warn: bool = False) -> str:
    """Register models/NETWORK in MLflow, write card.md and registration.json; a line that names the version.

    Registering again changes nothing. Raises ConvzooError for a missing file and for a model that is not the exported
    one, and TrackingError if the store fails; with `warn`, the line reports that failure instead. The card is written
    in any case, without what only the store knows.
    """
    files = read_network(network)
    lineage = lineage_of(files)
    card = Card(files, lineage)
    try:
        message, card = _register(files, lineage, card)
    except store.TrackingError as error:
        if not warn:
            raise
        message = f"warning: {without_account(str(error))}; the pipeline continues"
    finally:
        card.write()
    registration = {"model": network, "model_sha256": files.sha256, "fingerprint": files.identity["fingerprint"]}
    write_json(files.folder / "registration.json", registration)
    return message


def _register(files: NetworkFiles, lineage: dict[str, Any], card: Card) -> tuple[str, Card]:
    """Complete the run, make the version and move the alias; a message, and the card with what MLflow knows."""
    if tracking_is_off():
        return f"{files.network}: not registered, since CONVZOO_TRACKING is off", card
    try:
        if store.is_shared():  # the lock is a tag of the registered model
            _create_registered_model(store.use_store(), files.network)
        with locked(files.network, "register"):
            client = store.use_store()
            run = complete_run(client, files, lineage)
            version, is_new, broken = _version_of(client, files, run)
            card = Card(files, lineage, _provenance(run, version))
            _describe(client, files, version, card)
            aliases = [_move_alias(client, version), *_repair_aliases(client, version, broken)]
    except Exception as error:
        if not store.is_failure(error) and not isinstance(error, store.TrackingError):
            raise
        reason = str(error)
        if not isinstance(error, store.TrackingError):
            remedy = remedy_for(error)
            reason = f"{store.tracking_uri()}: {store.describe(error)}" + (f"; {remedy}" if remedy else "")
        raise store.TrackingError(
            f"{files.network}: not registered ({reason}), expected a working store; fix it and run: convzoo sync, or "
            "set CONVZOO_TRACKING=off to work without it"
        ) from error
    status = f"version {version.version} registered" if is_new else f"already registered as version {version.version}"
    return f"{files.network}: {', '.join([status, *aliases])}", card


def _version_of(client: MlflowClient, files: NetworkFiles, run: Run) -> tuple[ModelVersion, bool, list[ModelVersion]]:
    """The version of this model, whether it is new, and the older ones of which the store lost something.

    There is one version per exported file, unless the store lost something of it.
    """
    versions = versions_of(client, files.network)
    same = [found for found in versions if found.tags.get(SHA256) == files.sha256 and not is_by_hand(found)]
    broken = []
    for version in reversed(same):
        if _is_whole(client, version, run, files.sha256):
            break
        broken.append(version)
    is_new = len(broken) == len(same)
    if is_new:
        version = _new_version(client, files, run)
    link_model(client, run, model_of(version), files)
    return version, is_new, broken if is_new else []


def _is_whole(client: MlflowClient, version: ModelVersion, run: Run, sha256: str) -> bool:
    """Whether the store has all of a version: logged model, run and lineage. Restores a run that is only deleted."""
    model_id = model_of(version)
    if model_id is None or not is_whole(client, model_id, sha256):
        return False
    if version.run_id == run.info.run_id:
        return True  # it was completed before
    own = existing_run(client, version.run_id)
    if own is None or read_record(own) is None:
        return False
    if own.info.lifecycle_stage != LifecycleStage.ACTIVE:
        restore_run(client, own)
    return True


def _new_version(client: MlflowClient, files: NetworkFiles, run: Run) -> ModelVersion:
    tags = {"convzoo.fingerprint": files.identity["fingerprint"], SHA256: files.sha256}
    model_id = log_model(client, files, run, tags)
    _create_registered_model(client, files.network)
    tags |= {"convzoo.profile": run.data.tags.get("convzoo.profile", "unknown")}
    tags |= {SOURCE: files.source["name"]} if files.source else {}
    if experiment := os.environ.get("DVC_EXP_NAME"):
        tags[EXPERIMENT] = experiment
    return client.create_model_version(
        files.network,
        source=f"models:/{model_id}",
        run_id=run.info.run_id,
        model_id=model_id,
        tags=tags | _metric_tags(files),
    )


def _create_registered_model(client: MlflowClient, network: str) -> None:
    try:
        client.create_registered_model(network, description=DESCRIPTION)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _describe(client: MlflowClient, files: NetworkFiles, version: ModelVersion, card: Card) -> None:
    """Set the version's tags and description to what the files say now."""
    for key, value in _metric_tags(files).items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(files.network, version.version, key, value)
    description = card.description(version.description)
    if description != version.description:
        client.update_model_version(files.network, version.version, description)


def _metric_tags(files: NetworkFiles) -> dict[str, str]:
    return {key: repr(value) for key, value in files.numbers.items()}


def _provenance(run: Run, version: ModelVersion) -> Provenance:
    """What the run knows; without its times if they are not those of the training."""
    tags = run.data.tags
    has_times = not {BACKFILLED, COMPLETED} & tags.keys()
    return Provenance(
        version=str(version.version),
        run_id=run.info.run_id,
        started=run.info.start_time if has_times else None,
        ended=run.info.end_time if has_times else None,
        machine=tags.get("convzoo.machine"),
        commit=tags.get("mlflow.source.git.commit"),
        changed=tags.get("convzoo.dirty"),
        profile=tags.get("convzoo.profile"),
    )


def _move_alias(client: MlflowClient, version: ModelVersion) -> str:
    """Move `candidate` to the version, unless in an experiment of `dvc exp run`; a message about it."""
    if os.environ.get("DVC_EXP_NAME"):
        return f"not made the {CANDIDATE}, because this is an experiment"
    current = client.get_registered_model(version.name).aliases.get(CANDIDATE)
    if str(current) == str(version.version):
        return f"alias {CANDIDATE}"
    set_alias(client, version.name, CANDIDATE, str(version.version))
    if EXPERIMENT in version.tags:
        client.delete_model_version_tag(version.name, str(version.version), EXPERIMENT)
    return f"alias {CANDIDATE}" if current is None else f"alias {CANDIDATE} moved here from version {current}"


def _repair_aliases(client: MlflowClient, version: ModelVersion, broken: list[ModelVersion]) -> Iterator[str]:
    """Move the aliases of broken versions to `version`, which has the same file; a message about each."""
    if os.environ.get("DVC_EXP_NAME"):
        return
    numbers = {str(old.version) for old in broken}
    for alias, old in aliases_of(client, version.name).items():
        if old.version in numbers:
            restore_alias(client, version.name, alias, old._replace(version=str(version.version)))
            yield f"alias {alias} moved here from version {old.version}, which has the same file but lost a part"
