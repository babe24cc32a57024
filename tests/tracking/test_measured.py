"""Models in MLflow are linked to runs and to the images that they were measured on."""

from pathlib import Path

import pytest
from helpers.registered import identity_of, runs_of, versions_of

from convzoo.files import write_json
from convzoo.tracking.live import LiveRun
from convzoo.tracking.registered import model_of
from convzoo.tracking.registry import register
from convzoo.tracking.store import open_store
from convzoo.tracking.versions import find_version

TEST = "d" * 64
SPLITS = {"train": "a" * 64, "val": "b" * 64, "test": TEST}  # of the data in `identity_of`


@pytest.fixture
def write_splits(project):
    """Writes the digests of the splits to meta.json, as `prepare` does; there are no test images."""
    meta = project / "data/prepared/shapes/meta.json"
    yield lambda splits: write_json(meta, {"source": {}, "splits": splits})
    meta.unlink(missing_ok=True)


def model_behind(version):
    return open_store().get_logged_model(model_of(version))


def metrics_of(model) -> list[tuple]:
    return sorted((metric.key, metric.value, metric.dataset_name, metric.dataset_digest) for metric in model.metrics)


def test_a_models_metrics_name_the_test_images_and_the_run(write_network, write_splits):
    write_network("linked", 1)
    write_splits(SPLITS)
    on = ("shapes", TEST[:32])
    with LiveRun("linked", identity_of(1), {}) as live:
        live.log(1, {"train_loss": 2.5})
    for _ in range(2):
        register("linked")
        (run,), (version,) = runs_of("linked"), versions_of("linked")
        model = model_behind(version)
        assert metrics_of(model) == [("test_accuracy", 0.51, *on), ("test_images", 8, *on)], "no load of the machine"
        assert model.source_run_id == run.info.run_id
        assert [(output.model_id, output.step) for output in run.outputs.model_outputs] == [(model.model_id, 2)]
        inputs = {entry.tags[0].value: entry.dataset.digest for entry in run.inputs.dataset_inputs}
        assert inputs == {"train": "a" * 32, "val": "b" * 32, "augmented": "c" * 32, "test": on[1]}
        assert len(open_store().get_metric_history(run.info.run_id, "test_accuracy")) == 1


def test_without_the_digest_of_test_the_metrics_name_no_data_set_and_stay_as_they_are(write_network, write_splits):
    write_network("unlinked", 1)
    register("unlinked")
    metrics = metrics_of(model_behind(*versions_of("unlinked")))
    assert metrics == [("test_accuracy", 0.51, None, None), ("test_images", 8, None, None)]
    write_splits(SPLITS)
    register("unlinked")
    assert metrics_of(model_behind(*versions_of("unlinked"))) == metrics
    [run] = runs_of("unlinked")
    assert TEST[:32] in {entry.dataset.digest for entry in run.inputs.dataset_inputs}


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_test_images_of_other_data_are_not_taken_for_those_of_the_network(write_network, write_splits, split):
    network = f"elsewhere-{split}"
    write_network(network, 1)
    write_splits(SPLITS | {split: "e" * 64})
    register(network)
    [run] = runs_of(network)
    assert {entry.tags[0].value for entry in run.inputs.dataset_inputs} == {"train", "val", "augmented"}
    assert find_version(network).lineage["splits"] == {}


def test_new_measurements_are_added_to_the_model_too(write_network):
    write_network("measured", 1)
    register("measured")
    write_json(Path("models/measured/metrics.json"), {"test_accuracy": 0.75})
    register("measured")
    values = [value for key, value, *_ in metrics_of(model_behind(*versions_of("measured"))) if key == "test_accuracy"]
    assert values == [0.51, 0.75]
    assert runs_of("measured")[0].data.metrics["test_accuracy"] == 0.75
