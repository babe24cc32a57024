"""What a user deletes from MLflow by hand: a message says what to do, and after one `sync` all is whole again."""

import shutil
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner
from helpers.registered import candidate_of, folder_of, runs_of, stored_file, versions_of, write_model
from mlflow.cli import gc

from convzoo.commands.compare import compare
from convzoo.commands.trace import trace
from convzoo.errors import ConvzooError
from convzoo.lineage.record import RECORD
from convzoo.tracking import store
from convzoo.tracking.aliases import aliases_of, set_alias
from convzoo.tracking.registered import model_of
from convzoo.tracking.registry import register
from convzoo.tracking.sync import orphans, sync
from convzoo.tracking.versions import find_model, find_version


def collect(*arguments: str) -> None:
    """Run `mlflow gc`."""
    done = CliRunner().invoke(gc, ["--backend-store-uri", store.tracking_uri(), *arguments])
    assert done.exit_code == 0, done.output


def delete_model(network):
    store.use_store().delete_logged_model(model_of(versions_of(network)[0]))


def collect_model(network):
    delete_model(network)
    collect("--logged-model-ids", model_of(versions_of(network)[0]))


def lose_model(network):
    shutil.rmtree(stored_file(versions_of(network)[0]).parent)


def lose_file(network):
    stored_file(versions_of(network)[0]).unlink()


def delete_experiment(network):
    client = store.use_store()
    client.delete_experiment(client.get_experiment_by_name(f"convzoo/{network}").experiment_id)


def collect_experiment(network):
    experiment = store.use_store().get_experiment_by_name(f"convzoo/{network}").experiment_id
    delete_experiment(network)
    collect("--experiment-ids", experiment)


def delete_run(network):
    store.use_store().delete_run(versions_of(network)[0].run_id)


def collect_run(network):
    delete_run(network)
    collect("--run-ids", versions_of(network)[0].run_id)


def artifacts_of(network) -> Path:
    return folder_of(runs_of(network)[0].info.artifact_uri)


def lose_artifacts(network):
    shutil.rmtree(artifacts_of(network))


def cut_artifacts(network):
    for name in (RECORD, "evaluation/evaluation.json"):
        file = artifacts_of(network) / name
        file.write_bytes(file.read_bytes()[:-5])
    (artifacts_of(network) / "evaluation/export.json").unlink()
    next((artifacts_of(network) / "images").glob("*.png")).unlink()


LOSSES = [
    delete_model,
    collect_model,
    lose_model,
    lose_file,
    delete_experiment,
    collect_experiment,
    delete_run,
    collect_run,
    lose_artifacts,
    cut_artifacts,
]


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_whatever_is_lost_one_sync_makes_it_whole(network, lose):
    set_alias(store.use_store(), network, "champion", "1")
    before = {path.relative_to(artifacts_of(network)) for path in artifacts_of(network).rglob("*") if path.is_file()}
    lose(network)
    for look in (find_model, find_version, trace):
        try:
            look(network)
        except ConvzooError as error:
            assert "convzoo sync" in str(error)
    list(orphans({network}))

    (message,) = sync([network])
    number = len(versions_of(network))
    assert message.startswith(
        f"{network}: already registered as version 1" if number == 1 else f"{network}: version 2 registered"
    )
    whole = find_version(f"{network}@champion")
    assert int(whole.version.version) == number and candidate_of(network) == number
    assert whole.run.info.lifecycle_stage == "active" and whole.download(Path("unused")).is_file()
    assert whole.export()["model_sha256"] == whole.lineage["model_sha256"]
    assert find_model(network).title == f"{network}@champion: version {number}"
    assert trace(network)["version"]["version"] == str(number)
    assert mlflow.pyfunc.load_model(f"models:/{network}@candidate")
    now = {path.relative_to(artifacts_of(network)) for path in artifacts_of(network).rglob("*") if path.is_file()}
    assert {path for path in now if path.parts[0] != "images"} == {path for path in before if path.parts[0] != "images"}
    assert sync([network]) == [f"{network}: already registered as version {number}, alias candidate"]
    assert len(runs_of(network)) == 1


def test_a_version_that_was_replaced_names_the_one_that_has_its_file(network):
    collect_run(network)
    sync([network])
    with pytest.raises(ConvzooError, match=f"version 2 has the same file: use {network}@v2"):
        trace(f"{network}@v1")
    told = [line for line in orphans({network}) if line.startswith(f"{network} version")]
    assert len(told) == 1 and told[0].endswith("version 2 has the same file, so this one can be deleted")


def test_what_models_does_not_hold_any_more_is_not_sent_to_sync_in_vain(network, write_network):
    write_network(network, 99)
    register(network)
    lose_artifacts_of_first = folder_of(find_version(f"{network}@v1").run.info.artifact_uri)
    shutil.rmtree(lose_artifacts_of_first)
    stored_file(versions_of(network)[0]).unlink()
    for look in (find_model, trace):
        with pytest.raises(ConvzooError, match=r"models/.*model\.onnx is another one, so restore the files"):
            look(f"{network}@v1")


def test_a_version_with_the_exported_file_among_its_extra_files_is_that_file(network):
    """As in versions of an older convzoo, and if MLflow wrote other bytes."""
    stored = stored_file(versions_of(network)[0])
    exported = stored.parent / "extra_files/model.onnx"
    shutil.copy(stored, exported)
    stored.write_bytes(b"serialized again")
    assert find_model(network).file.read_bytes() == exported.read_bytes()
    assert register(network).startswith(f"{network}: already registered as version 1")
    exported.write_bytes(b"changed")
    with pytest.raises(ConvzooError, match="is another one, expected the one that was registered"):
        find_model(network)


def test_an_alias_set_by_hand_still_says_so_after_it_was_moved_along(network):
    client = store.use_store()
    client.set_registered_model_alias(network, "production", "1")
    collect_run(network)
    (told,) = sync([network])
    assert "alias production moved here from version 1" in told
    alias = aliases_of(client, network)["production"]
    assert (alias.version, alias.by_hand) == ("2", True)


def test_an_experiment_moves_no_alias(network, monkeypatch):
    set_alias(store.use_store(), network, "champion", "1")
    collect_run(network)
    monkeypatch.setenv("DVC_EXP_NAME", "wet-sock")
    assert sync([network]) == [
        f"{network}: version 2 registered, not made the candidate, because this is an experiment"
    ]
    assert aliases_of(store.use_store(), network)["champion"].version == "1"


def test_a_file_that_was_exchanged_is_another_matter_than_a_lost_one(network):
    write_model(stored_file(versions_of(network)[0]), seed=9)
    with pytest.raises(ConvzooError, match=r"file of version 1 is another one, expected the one .* convzoo sync"):
        find_model(network)


def test_a_run_that_is_gone_is_named_in_a_comparison():
    with pytest.raises(ConvzooError, match=r"0{32}: cannot be looked up, .* has no such run, expected"):
        compare("0" * 32, "0" * 32)
