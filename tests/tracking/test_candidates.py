"""An experiment that was applied becomes the candidate: register runs again, and promote names the version."""

from pathlib import Path

import pytest
from helpers.registered import candidate_of

from convzoo.tracking import store
from convzoo.tracking.aliases import set_alias
from convzoo.tracking.candidates import request_registrations, version_in_models
from convzoo.tracking.registry import register


@pytest.fixture
def applied(network, write_network, monkeypatch):
    """A network whose second version was registered by an experiment, which is in models/ now."""
    write_network(network, 80)
    with monkeypatch.context() as experiment:
        experiment.setenv("DVC_EXP_NAME", "wet-sock")
        register(network)
        assert request_registrations([network]) == []
    return network


def test_the_next_repro_moves_the_candidate_to_an_applied_experiment(applied):
    file = Path("models", applied, "registration.json")
    before = file.read_bytes()
    (line,) = request_registrations([applied, "unheard-of"])
    assert line.startswith(f"{applied}: version 2 is in models/{applied}, but not the candidate yet")
    assert not file.exists(), "so that DVC runs the stage"
    assert register(applied).endswith("already registered as version 2, alias candidate moved here from version 1")
    assert candidate_of(applied) == 2 and file.read_bytes() == before
    assert request_registrations([applied]) == [] and file.exists()

    set_alias(store.use_store(), applied, "candidate", "1")  # as another clone with the same database does
    assert request_registrations([applied]) == [], "it has been the candidate"


@pytest.mark.parametrize("reason", ["moved by hand", "tracking is off"])
def test_an_alias_moved_by_hand_stays(reason, applied, monkeypatch):
    client = store.use_store()
    if reason == "tracking is off":
        monkeypatch.setenv("CONVZOO_TRACKING", "off")
    else:
        client.create_model_version(applied, source="models/x")
        client.set_registered_model_alias(applied, "candidate", "3")
    assert request_registrations([applied]) == []
    assert Path("models", applied, "registration.json").exists()
    assert str(version_in_models(client, applied).version) == "2", "what promote names"


def test_files_that_are_not_registered_or_damaged_name_no_version(network, write_network):
    client = store.use_store()
    assert version_in_models(client, network) is None, "it is the candidate"
    write_network(network, 81)
    assert version_in_models(client, network) is None, "it is not registered yet"
    Path("models", network, "export.json").write_text("{}")
    assert version_in_models(client, network) is None and request_registrations([network]) == []
