"""Models in mlflow are linked to runs and to the images that they were measured on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.registered import SIDE, identity_of, runs_of, versions_of

from convzoo.data.arrays import digest, load_split
from convzoo.files import write_json
from convzoo.tracking import store
from convzoo.tracking.live import LiveRun
from convzoo.tracking.models import model_of
from convzoo.tracking.registry import register


@pytest.fixture
def write_test(project):
    """Writes a test split, for one test, and gives its digest as mlflow has it."""
    folder = project / "data/prepared/shapes/test"

    def write() -> str:
        folder.mkdir()
        np.save(folder / "images.npy", np.random.default_rng(1).integers(0, 256, (8, SIDE, SIDE, 1), dtype=np.uint8))
        np.save(folder / "labels.npy", np.arange(8))
        return digest(load_split(folder))[:32]

    yield write
    shutil.rmtree(folder)


def model_behind(version):
    return store.open_store().get_logged_model(model_of(version))


def told_of(model) -> list[tuple]:
    return sorted((metric.key, metric.value, metric.dataset_name, metric.dataset_digest) for metric in model.metrics)


def test_a_models_figures_name_the_test_images_and_the_run(write_network, write_test):
    write_network("linked", 1)
    on = ("shapes", write_test())
    with LiveRun("linked", identity_of(1), {}) as live:
        live.log(1, {"train_loss": 2.5})
    for _ in range(2):
        register("linked")
        (run,), (version,) = runs_of("linked"), versions_of("linked")
        model = model_behind(version)
        assert told_of(model) == [("test_accuracy", 0.51, *on), ("test_images", 8, *on)], "no load of the machine"
        assert model.source_run_id == run.info.run_id
        assert [(output.model_id, output.step) for output in run.outputs.model_outputs] == [(model.model_id, 2)]
        inputs = {entry.tags[0].value: entry.dataset.digest for entry in run.inputs.dataset_inputs}
        assert inputs == {"train": "a" * 32, "val": "b" * 32, "augmented": "c" * 32, "test": on[1]}
        assert len(store.open_store().get_metric_history(run.info.run_id, "test_accuracy")) == 1


def test_without_the_test_images_the_figures_name_no_data_set_and_stay_as_they_are(write_network, write_test):
    write_network("unlinked", 1)
    register("unlinked")
    told = told_of(model_behind(*versions_of("unlinked")))
    assert told == [("test_accuracy", 0.51, None, None), ("test_images", 8, None, None)]
    digest = write_test()
    register("unlinked")
    assert told_of(model_behind(*versions_of("unlinked"))) == told
    [run] = runs_of("unlinked")
    assert digest in {entry.dataset.digest for entry in run.inputs.dataset_inputs}


def test_figures_that_were_measured_anew_are_told_of_the_model_too(write_network):
    write_network("measured", 1)
    register("measured")
    write_json(Path("models/measured/metrics.json"), {"test_accuracy": 0.75})
    register("measured")
    values = [value for key, value, *_ in told_of(model_behind(*versions_of("measured"))) if key == "test_accuracy"]
    assert values == [0.51, 0.75]
    assert runs_of("measured")[0].data.metrics["test_accuracy"] == 0.75
