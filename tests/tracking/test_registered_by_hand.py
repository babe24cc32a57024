"""Versions and models that a user registers by hand: what can work works, the rest is a message."""

from pathlib import Path

import mlflow
import pytest
from helpers.registered import stored_file, versions_of, write_model

from convzoo.commands.compare import compare
from convzoo.commands.models import as_text, listing
from convzoo.commands.reproduce import reproduce
from convzoo.commands.trace import trace
from convzoo.errors import ConvzooError
from convzoo.files import sha256_of
from convzoo.tracking import store
from convzoo.tracking.registered import model_of, registered_models
from convzoo.tracking.registry import register
from convzoo.tracking.sync import orphans, sync
from convzoo.tracking.versions import find_model, find_version

NAMES = ["it's", 'dou"ble', "both'\"", "100%", "_%", "a b", "back\\slash", "tick`", "ü", "semi;--"]


def by_hand(network: str, source: str, run_id: str | None = None) -> None:
    """A version 2 with the alias champion."""
    client = store.use_store()
    made = client.create_model_version(network, source, run_id=run_id)
    client.set_registered_model_alias(network, "champion", made.version)


def source_of(network: str, kind: str) -> str:
    folder = Path("models", network).absolute()
    return {
        "folder": str(folder),
        "relative folder": f"models/{network}",
        "URI": folder.as_uri(),
        "file": f"{folder}/model.onnx",
        "version": f"models:/{network}/1",
        "logged model": f"models:/{model_of(versions_of(network)[0])}",
        "nowhere": "/nowhere/at all",
        "nothing": "",
        "file that is no folder": str(folder / "evaluation.json"),
        "scheme without a driver": "s3://bucket/model",
        "unknown scheme": "weird://bucket/model",
        "server that is down": "http://127.0.0.1:9/model",
        "artifacts of a run": f"runs:/{versions_of(network)[0].run_id}/plots",
    }[kind]


@pytest.mark.parametrize("kind", ["folder", "relative folder", "URI", "file", "version", "logged model"])
def test_a_file_that_can_be_read_is_used_and_the_title_says_so(network, kind):
    by_hand(network, source_of(network, kind))
    model = find_model(network)
    assert sha256_of(model.file) == sha256_of(Path("models", network, "model.onnx"))
    assert model.title == f"{network}@champion: version 2, which was registered by hand"


@pytest.mark.parametrize(
    "kind",
    [
        "nowhere",
        "nothing",
        "file that is no folder",
        "scheme without a driver",
        "unknown scheme",
        "server that is down",
        "artifacts of a run",
    ],
)
def test_a_source_without_a_file_is_named(network, kind):
    by_hand(network, source_of(network, kind))
    with pytest.raises(ConvzooError, match=r"version 2 was registered by hand from .*no model\.onnx that can be read"):
        find_model(network)
    assert find_model(f"{network}@candidate").title == f"{network}@candidate: version 1"


def test_without_a_run_there_is_no_lineage_to_show(network):
    by_hand(network, source_of(network, "folder"))
    message = "version 2 was registered by hand, and it has no run, expected .*; choose another version"
    for look in (trace, reproduce, find_version, lambda name: compare(name, f"{network}@v1")):
        with pytest.raises(ConvzooError, match=message):
            look(network)


@pytest.mark.parametrize("run_id", ["0" * 32, "no ID at all: it's '%'"], ids=["unknown", "malformed"])
def test_a_run_that_never_existed_is_named(network, run_id):
    by_hand(network, source_of(network, "folder"), run_id)
    with pytest.raises(ConvzooError, match=f"by hand, and its run {run_id} is no longer in the store"):
        trace(network)


def test_the_lineage_of_a_run_is_that_of_a_version_by_hand_if_the_file_is_the_same(network, write_network):
    run = versions_of(network)[0].run_id
    by_hand(network, source_of(network, "logged model"))
    assert trace(network)["version"]["version"] == "2"
    by_hand(network, source_of(network, "folder"), run)
    assert trace(network)["run"]["id"] == run
    write_model(Path("models", network, "model.onnx"), 77)
    with pytest.raises(ConvzooError, match=r"version 3 was registered by hand from .*, expected the file of its run"):
        trace(network)
    write_network("another", 78)
    register("another")
    client = store.use_store()
    client.copy_model_version("models:/another/1", network)
    with pytest.raises(ConvzooError, match="which is the network another, expected"):
        trace(f"{network}@v4")


def test_sync_registers_nothing_again_and_calls_them_no_orphans(network):
    by_hand(network, source_of(network, "folder"))
    store.use_store().copy_model_version(f"models:/{network}/1", network)
    assert sync([network]) == [f"{network}: already registered as version 1, alias candidate"]
    assert [line for line in orphans({network}) if line.startswith(network)] == []
    stored_file(versions_of(network)[0]).unlink()
    assert sync([network])[0].startswith(f"{network}: version 4 registered")


def test_a_metric_that_was_set_by_hand_to_text_is_not_shown(network):
    store.use_store().set_model_version_tag(network, "1", "test_accuracy", "high")
    (row,) = listing(network)
    assert (row["measure"], row["value"]) == (None, None)
    assert "-" in as_text([row])


@pytest.mark.parametrize("number", ["v99", "v9" + "9" * 30])
def test_a_number_of_any_length_is_a_version_that_does_not_exist(network, number):
    with pytest.raises(ConvzooError, match=f"{network}@{number}: {network} has no "):
        find_model(f"{network}@{number}")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_may_have_any_characters(name, network):
    client = store.use_store()
    client.create_registered_model(name)
    client.create_model_version(name, f"models/{network}")
    client.set_registered_model_alias(name, "champion", "1")
    assert [(row["network"], row["version"]) for row in listing(name)] == [(name, 1)]
    assert find_model(name).title == f"{name}@champion: version 1, which was registered by hand"
    assert any(line.startswith(f"registered model {name}: ") for line in orphans({network}))
    client.delete_registered_model(name)


def test_more_models_than_mlflow_returns_at_once_are_listed(network, monkeypatch):
    client, search = store.use_store(), mlflow.MlflowClient.search_registered_models
    client.create_registered_model("another model")

    def one_at_a_time(client, *arguments, **more):
        return search(client, *arguments, **(more | {"max_results": 1}))

    monkeypatch.setattr(mlflow.MlflowClient, "search_registered_models", one_at_a_time)
    assert {network, "another model"} <= {model.name for model in registered_models(client)}
    client.delete_registered_model("another model")
