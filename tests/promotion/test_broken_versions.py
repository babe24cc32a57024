"""Promotion and rollback where a version was registered by hand, or has lost its run."""

import shutil
from pathlib import Path

import pytest
from helpers.promotions import aliases, champion_and, failed, version
from helpers.registered import folder_of

from convzoo.errors import ConvzooError
from convzoo.promotion.promote import promote, rollback
from convzoo.tracking import store
from convzoo.tracking.sync import sync
from convzoo.tracking.versions import find_version


def make_champion_by_hand(network: str) -> str:
    client = store.use_store()
    made = client.create_model_version(network, str(Path("models", network).absolute()))
    client.set_registered_model_alias(network, "champion", made.version)
    return str(made.version)


def test_a_champion_by_hand_can_only_be_replaced_by_force(network):
    version(network, "good")
    number = make_champion_by_hand(network)
    outcome = promote(network)
    assert failed(outcome) == ["lineage of the champion"] and not outcome.done
    assert "registered by hand" in "\n".join(outcome.messages) and "--force" in "\n".join(outcome.messages)
    assert promote(network, force=True, reason="the other one cannot be traced").done
    assert aliases(network)["champion"] == 1 and aliases(network)["previous"] == int(number)
    with pytest.raises(ConvzooError, match="registered by hand"):
        rollback(network)


def test_a_candidate_by_hand_is_refused_with_a_message(network):
    version(network, "good")
    number = make_champion_by_hand(network)
    store.use_store().delete_registered_model_alias(network, "champion")
    with pytest.raises(ConvzooError, match="registered by hand, and it has no run"):
        promote(network, int(number))


def test_a_rollback_needs_nothing_of_the_champion(network):
    candidate = champion_and(network, "best")
    assert promote(network).done
    run = find_version(f"{network}@v{candidate}").run
    shutil.rmtree(folder_of(run.info.artifact_uri))
    assert "version 1 is the champion again" in rollback(network)


def test_a_run_that_is_deleted_is_restored_by_sync_and_then_promoted(network):
    version(network, "good")
    store.use_store().delete_run(find_version(network).run.info.run_id)
    with pytest.raises(ConvzooError, match=r"is deleted, expected .* mlflow runs restore --run-id"):
        promote(network)
    sync([network])
    assert promote(network).done
