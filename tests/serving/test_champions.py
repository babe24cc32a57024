"""Which version answers: loaded and checked before it takes the place of another, whatever happens to the files."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.onnx_files import describe, save_linear
from helpers.served import write_autoencoder, write_classifier, write_generator

from convzoo.errors import ConvzooError
from convzoo.files import sha256_of, write_json
from convzoo.serving import champions as champions_module
from convzoo.serving.app import Service
from convzoo.serving.champions import Champions
from convzoo.serving.served import load
from convzoo.serving.sources import Folder
from convzoo.shipping.model import THREADS, Model


@pytest.fixture
def champions(tmp_path) -> Champions:
    """Those of a folder with one classifier."""
    write_classifier(tmp_path)
    found = Champions(Folder(tmp_path))
    found.start()
    return found


def test_a_new_file_takes_the_place_of_the_old_one(champions, tmp_path, caplog):
    old = champions.serving["pets"]
    assert not champions.is_due()
    file = write_classifier(tmp_path, seed=1)
    assert champions.is_due()
    with caplog.at_level(logging.INFO, "convzoo.serve"):
        logging.getLogger("convzoo.serve").propagate = True
        champions.refresh()
    new = champions.serving["pets"]
    assert (new.sha256, champions.problems) == (sha256_of(file), {}) and new.sha256 != old.sha256
    assert f"pets: file {new.sha256[:12]} (sha256 {new.sha256[:12]}), before: file {old.sha256[:12]}" in caplog.text
    assert not champions.is_due()


def test_what_did_not_change_is_not_loaded_again(champions):
    model = champions.serving["pets"].model
    champions.refresh()
    assert champions.serving["pets"].model is model


BROKEN = {
    "another file": (lambda file: file.write_bytes(b"x"), "model.onnx: has sha256 2d711642b726, expected "),
    "no file": (lambda file: file.unlink(), "no version has the alias champion or candidate; the last version stays"),
    "no description": (
        lambda file: file.with_name("export.json").write_text("{"),
        "is not JSON",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_leaves_the_old_one_answering(champions, tmp_path, what):
    old, (breaks, problem) = champions.serving["pets"], BROKEN[what]
    breaks(write_classifier(tmp_path, seed=1))
    champions.refresh()
    assert champions.serving["pets"].model is old.model and champions.is_ready
    assert [problem in text for text in champions.problems.values()] == [True]
    file = write_classifier(tmp_path, seed=1)
    champions._failed = {key: when - champions_module.RETRY for key, when in champions._failed.items()}
    champions.refresh()
    assert (champions.serving["pets"].sha256, champions.problems) == (sha256_of(file), {})


def test_a_version_that_failed_is_tried_again_only_after_a_while(champions, tmp_path, monkeypatch):
    write_classifier(tmp_path, seed=1).write_bytes(b"x")
    tried = []
    monkeypatch.setattr(champions_module, "load", lambda *given: tried.append(given) or load(*given))
    champions.refresh()
    champions.refresh()
    assert len(tried) == 1 and not champions.is_due()
    champions._failed = {key: when - champions_module.RETRY for key, when in champions._failed.items()}
    assert champions.is_due()
    champions.refresh()
    assert len(tried) == 2


def test_a_problem_is_logged_once(champions, tmp_path, caplog):
    logging.getLogger("convzoo.serve").propagate = True
    write_classifier(tmp_path, seed=1).write_bytes(b"x")
    for _ in range(3):
        champions.refresh()
        champions._failed = {}
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_a_file_that_cannot_answer_is_refused_before_it_serves(champions, tmp_path):
    folder = tmp_path / "pets"
    save_linear(folder / "model.onnx", np.eye(3), ("float32", (3,)), ("float32", (3,)))
    describe(folder / "model.onnx", network="pets", family="unknown")
    (folder / "export.json").write_text(f'{{"model_sha256": "{sha256_of(folder / "model.onnx")}"}}')
    champions.refresh()
    assert "expected a network that classifies, reconstructs or generates images" in champions.problems["pets"]


def test_a_new_network_is_served_too(champions, tmp_path):
    write_generator(tmp_path)
    champions.refresh()
    assert sorted(champions.serving) == ["maker", "pets"]


def test_only_the_networks_that_were_named_are_served(tmp_path):
    write_classifier(tmp_path)
    write_generator(tmp_path)
    found = Champions(Folder(tmp_path), ["maker"])
    found.start()
    assert list(found.serving) == ["maker"]


def test_an_unknown_network_is_named_with_the_known_ones(champions):
    with pytest.raises(ConvzooError, match=r"pet: there is no such network to serve, did you mean 'pets'\?"):
        Champions(champions.source, ["pet"]).start()


def test_an_alias_that_no_version_has_is_named(champions):
    with pytest.raises(ConvzooError, match="pets: no version has the alias v7, expected one"):
        Champions(champions.source, ["pets@v7"]).start()


def test_nothing_to_serve_is_an_error_with_the_reasons(tmp_path):
    with pytest.raises(ConvzooError, match="no network can be served, expected one with a champion or a candidate"):
        Champions(Folder(tmp_path)).start()
    write_classifier(tmp_path).write_bytes(b"x")
    with pytest.raises(ConvzooError, match=r"no network can be served.*\npets: .*has sha256"):
        Champions(Folder(tmp_path)).start()


def test_it_is_not_ready_while_a_network_has_no_version(champions, tmp_path):
    write_generator(tmp_path).write_bytes(b"x")
    champions.refresh()
    assert sorted(champions.serving) == ["pets"] and not champions.is_ready


def test_an_encoder_is_checked_and_may_be_missing(tmp_path):
    file = write_autoencoder(tmp_path)
    found = Champions(Folder(tmp_path))
    found.start()
    assert found.serving["copier"].operations == ["reconstruct", "encode"]
    encoder = file.with_name("parts") / "encoder.onnx"
    shutil.copy(file, encoder)
    with pytest.raises(ConvzooError, match=r"encoder\.onnx: has sha256"):
        Champions(Folder(tmp_path)).start()
    shutil.rmtree(encoder.parent)
    found = Champions(Folder(tmp_path))
    found.start()
    assert found.serving["copier"].operations == ["reconstruct"]


def test_a_source_that_fails_leaves_everything_as_it_is(champions, monkeypatch):
    monkeypatch.setattr(champions.source, "snapshot", lambda: (_ for _ in ()).throw(OSError(5, "broken", "mlflow.db")))
    old = champions.serving["pets"]
    champions.refresh()
    assert champions.serving["pets"] is old
    expected = "mlflow.db: cannot be read or written, the disk reports an error; check the disk"
    assert champions.problems == {"registry": expected}


def test_a_folder_that_does_not_exist_is_named():
    with pytest.raises(ConvzooError, match="--models: nowhere: is not a folder, expected one with NETWORK"):
        Folder(Path("nowhere"))


def test_a_network_that_fails_on_zeros_never_answers(champions, tmp_path):
    old, file = champions.serving["pets"], tmp_path / "pets/model.onnx"
    # 100 numbers are no picture, which onnxruntime only sees when it computes.
    save_linear(file, np.ones((192, 100)), ("uint8", (8, 8, 3)), ("uint8", (8, 8, 3)))
    write_json(file.with_name("export.json"), {"model_sha256": sha256_of(file)})
    champions.refresh()
    assert champions.serving["pets"].model is old.model
    assert "model.onnx fails on an image of zeros (" in champions.problems["pets"]


def test_a_network_computes_in_the_thread_that_asks_unlike_in_the_evaluation(champions, tmp_path):
    options = champions.serving["pets"].model._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert Model(tmp_path / "pets/model.onnx")._session.get_session_options().intra_op_num_threads == THREADS


def test_the_threads_are_as_many_as_are_allowed(champions, monkeypatch):
    monkeypatch.setattr("convzoo.serving.app.allowed_cpus", lambda: 3)
    assert Service(champions).workers.threads == 3


def test_large_images_are_computed_in_small_batches(champions):
    model = champions.serving["pets"].model
    assert model.batch == 128
    model.input = model.input._replace(shape=(None, 224, 224, 3))
    assert model.batch == 5
    model.input = model.input._replace(shape=(None, 4096, 4096, 3))
    assert model.batch == 1
    model.input, model.output = model.input._replace(shape=(None, 100)), model.input._replace(shape=(None, 64, 64, 3))
    assert model.batch == 64
