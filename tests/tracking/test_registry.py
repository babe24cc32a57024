"""Registration: from files to a run and a version, once, however often it is asked for."""

from pathlib import Path

import mlflow
import numpy as np
import pytest
from helpers.registered import (
    SIDE,
    artifacts_of,
    candidate_of,
    identity_of,
    runs_of,
    stored_file,
    versions_of,
    write_model,
)

from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of, write_json
from convzoo.shipping.model import Model
from convzoo.tracking import store
from convzoo.tracking.live import LiveRun
from convzoo.tracking.registry import register
from convzoo.tracking.sync import sync
from convzoo.tracking.versions import find_model, find_version


def test_a_live_run_is_completed_and_its_model_registered_once(write_network):
    write_network("net", 1)
    with LiveRun("net", identity_of(1), {"convzoo.profile": "starter"}) as run:
        run.log(1, {"train_loss": 2.5, "learning_rate": 0.1})  # epoch 2 was lost

    assert register("net") == "net: version 1 registered, alias candidate"
    state = Path("models/net/registration.json").read_bytes(), artifacts_of(*runs_of("net"))
    assert register("net") == "net: already registered as version 1, alias candidate"

    (run,) = runs_of("net")
    history = store.open_store().get_metric_history(run.info.run_id, "train_loss")
    assert sorted((metric.step, metric.value) for metric in history) == [(1, 2.5), (2, 1.25)]
    assert run.data.metrics["test_accuracy"] == 0.51 and "classes" not in run.data.metrics
    assert len(store.open_store().get_metric_history(run.info.run_id, "test_accuracy")) == 1
    assert "convzoo.backfilled" not in run.data.tags
    assert state == (Path("models/net/registration.json").read_bytes(), artifacts_of(run))
    assert [path for path in artifacts_of(run) if not path.startswith("images/")] == [
        "data/data_docs/index.html",
        "data/preview.png",
        "data/shapes.json",
        "descent/descent.json",
        "evaluation/evaluation.json",
        "evaluation/export.json",
        "parts/features_head.onnx",
        "plots/augmented_batch.png",
        "plots/confusion.png",
    ]

    (version,) = versions_of("net")
    sha256 = sha256_of(Path("models/net/model.onnx"))
    assert version.run_id == run.info.run_id
    assert version.tags == {
        "convzoo.fingerprint": identity_of(1)["fingerprint"],
        "convzoo.model_sha256": sha256,
        "convzoo.profile": "starter",
        "test_accuracy": "0.51",
        "test_images": "8",
    }
    assert sha256_of(stored_file(version)) == sha256
    assert read_json(Path("models/net/registration.json")) == {
        "model": "net",
        "model_sha256": sha256,
        "fingerprint": identity_of(1)["fingerprint"],
    }


@pytest.fixture
def source_of_shapes():
    """Says of the data set `shapes` where its images come from, for one test."""
    meta = Path("data/prepared/shapes/meta.json")
    yield lambda **source: write_json(meta, {"dataset": "shapes", "source": source})
    meta.unlink()


def test_a_network_of_drawn_images_says_so_wherever_mlflow_shows_it(write_network, source_of_shapes):
    write_network("drawn", 1)
    source_of_shapes(name="shapes-drawn", kind="synthetic")
    register("drawn")
    (version,), (run,) = versions_of("drawn"), runs_of("drawn")
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("Trained and measured on shapes-drawn: images drawn from a seed.")
    assert version.description.startswith("Classifies images of the drawn data set shapes")
    assert f"\n\n{note}\n\n## Model" in version.description
    assert version.tags["convzoo.source"] == run.data.tags["convzoo.source"] == "shapes-drawn"


def test_a_network_of_real_images_names_their_source_and_has_no_such_note(write_network, source_of_shapes):
    write_network("real", 1)
    source_of_shapes(name="shapes-published", kind="archive")
    register("real")
    (version,), (run,) = versions_of("real"), runs_of("real")
    assert version.description.startswith("Classifies images of the data set shapes")
    assert "mlflow.note.content" not in run.data.tags
    assert "drawn" not in version.description
    assert version.tags["convzoo.source"] == "shapes-published"


def test_the_candidate_follows_the_files_and_old_bytes_make_no_new_version(write_network):
    told = []
    for seed in (1, 2, 1):
        write_network("back", seed)
        told.append(register("back"))
    assert told == [
        "back: version 1 registered, alias candidate",
        "back: version 2 registered, alias candidate moved here from version 1",
        "back: already registered as version 1, alias candidate moved here from version 2",
    ]
    assert len(versions_of("back")) == 2
    assert store.open_store().get_registered_model("back").description.startswith("A network of convzoo: ")
    assert candidate_of("back") == 1


def test_the_same_model_from_another_training_is_linked_to_both_runs(write_network):
    write_network("twice", 1)
    register("twice")
    write_json(Path("models/twice/fingerprint.json"), identity_of(2))
    assert register("twice") == "twice: already registered as version 1, alias candidate"
    linked = [output.model_id for run in runs_of("twice") for output in run.outputs.model_outputs]
    assert len(linked) == 2 and len(set(linked)) == 1


def test_an_experiment_leaves_the_alias_alone(write_network, monkeypatch):
    write_network("tried", 1)
    register("tried")
    write_network("tried", 2)
    monkeypatch.setenv("DVC_EXP_NAME", "wet-sock")
    assert register("tried") == "tried: version 2 registered, not made the candidate, because this is an experiment"
    assert candidate_of("tried") == 1


def test_a_run_that_is_not_there_is_filled_in_from_the_files_and_says_so(write_network):
    write_network("filled", 1)
    assert sync(["filled", "unheard-of"]) == [
        "filled: version 1 registered, alias candidate",
        "unheard-of: skipped, models/unheard-of has no architecture.json, fingerprint.json, history.csv, "
        "model.onnx, export.json, evaluation.json",
    ]
    started, done = [], []
    sync(["filled", "unheard-of"], started.append, done.append)
    assert started[1] == "unheard-of: comparing models/unheard-of with MLflow (2 of 2)"
    assert done[0] == "filled: already registered as version 1, alias candidate" and len(started) == len(done) == 2
    (run,) = runs_of("filled")
    assert run.data.tags["convzoo.backfilled"] == "true"
    assert run.data.tags["convzoo.profile"] == "test"
    assert run.data.params["learning_rate"] == "0.1"
    assert run.data.metrics["learning_rate"] == 0.05
    assert run.info.status == "FINISHED"
    assert len(run.inputs.dataset_inputs) == 3
    sync(["filled"])
    assert len(runs_of("filled")) == 1


def test_a_changed_file_in_the_registry_is_noticed_and_registered_anew(write_network):
    write_network("tampered", 1)
    register("tampered")
    write_model(stored_file(*versions_of("tampered")), seed=9)
    assert register("tampered") == "tampered: version 2 registered, alias candidate moved here from version 1"
    assert sha256_of(stored_file(versions_of("tampered")[1])) == sha256_of(Path("models/tampered/model.onnx"))


def test_a_registration_cut_off_after_the_model_was_stored_uses_that_model(write_network):
    write_network("cut", 1)
    register("cut")
    client = store.open_store()
    client.delete_registered_model("cut")
    assert register("cut") == "cut: version 1 registered, alias candidate"
    (run,) = runs_of("cut")
    assert len(client.search_logged_models([run.info.experiment_id])) == 1


def test_new_measurements_of_the_same_model_reach_the_run_and_the_version(write_network):
    write_network("measured", 1)
    register("measured")
    write_json(Path("models/measured/evaluation.json"), {"test_accuracy": 0.75})
    register("measured")
    (run,), (version,) = runs_of("measured"), versions_of("measured")
    assert run.data.metrics["test_accuracy"] == 0.75
    assert version.tags["test_accuracy"] == "0.75"


def test_a_network_that_takes_no_pixels_gets_a_signature_and_an_example_too(write_network):
    write_network("numbers", 1)
    export = read_json(Path("models/numbers/export.json"))
    export["input"] = {"name": "images", "dtype": "uint8", "shape": [None, 16, 1]}
    write_json(Path("models/numbers/export.json"), export)
    register("numbers")
    info = mlflow.models.get_model_info("models:/numbers@candidate")
    assert info.signature.inputs.inputs[0].shape == (-1, 16, 1)


def test_a_registered_classifier_answers_with_class_names_and_keeps_its_probabilities(write_network, tmp_path):
    write_network("named", 1)
    export = read_json(Path("models/named/export.json")) | {"classes": ["Katze 猫", "dog", "fish"]}
    write_json(Path("models/named/export.json"), export)
    register("named")
    model = mlflow.pyfunc.load_model("models:/named@candidate")
    images = np.random.default_rng(0).integers(0, 256, (20, SIDE, SIDE, 1), np.uint8)
    answer, expected = model.predict(images), Model(Path("models/named/model.onnx"))(images)
    np.testing.assert_array_equal(answer["probabilities"], expected)
    np.testing.assert_array_equal(answer["probability"], expected.max(axis=1))
    assert list(answer["label"]) == [export["classes"][best] for best in expected.argmax(axis=1)]
    assert len(set(answer["label"])) > 1
    assert model.metadata.signature.outputs.input_names() == ["label", "probability", "probabilities"]
    assert sha256_of(stored_file(versions_of("named")[0])) == export["model_sha256"], "the exported file is kept"
    for client in (None, store.open_store()):  # without MLflow, and with it
        file = find_model("named@v1").file if client is None else find_version("named@v1", client).download(tmp_path)
        assert read_json(file.with_name("export.json")) == export


def test_a_missing_file_and_another_model_are_named_with_what_to_do(write_network):
    write_network("broken", 1)
    write_model(Path("models/broken/model.onnx"), seed=2)
    with pytest.raises(ConvzooError, match=r"model\.onnx: has sha256 .* convzoo repro -f export@broken"):
        register("broken")
    Path("models/broken/evaluation.json").unlink()
    with pytest.raises(ConvzooError, match=r"evaluation\.json: is missing; run: convzoo repro evaluate@broken"):
        register("broken")
    assert not Path("models/broken/registration.json").exists()


def test_a_server_that_is_down_is_an_error_with_what_to_do(write_network, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    write_network("offline-net", 1)
    with pytest.raises(ConvzooError, match="run: convzoo sync"):
        sync(["offline-net"])
    assert not Path("models/offline-net/registration.json").exists()


def test_tracking_turned_off_writes_the_file_and_registers_nothing(write_network, monkeypatch):
    write_network("untracked", 1)
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    assert register("untracked") == "untracked: not registered, since CONVZOO_TRACKING is off"
    assert Path("models/untracked/registration.json").exists()
    assert store.open_store().get_experiment_by_name("convzoo/untracked") is None
