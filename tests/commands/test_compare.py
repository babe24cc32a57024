"""Runs side by side: the same few names of metrics, steps that are epochs, links, and search that works."""

import pytest
from helpers.project import ROOT

from convzoo.settings.load import read_params

# isort: split
from mlflow import MlflowClient

NETWORKS = read_params(ROOT / "params.yaml").values["networks"]
LARGEST = 29  # metrics of a run, the machine's load apart
CURVES = {
    "classifier": {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate"},
    "transfer": {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate"},
    "autoencoder": {"train_loss", "val_loss", "val_psnr", "learning_rate"},
    "dcgan": {"train_generator_loss", "train_discriminator_loss", "val_kid", "learning_rate"},
}
MEASURED = {
    "classifier": {"test_accuracy", "test_loss", "test_calibration_error"},
    "transfer": {"test_accuracy", "test_loss", "test_calibration_error"},
    "autoencoder": {"test_psnr", "test_ssim"},
    "dcgan": {"test_kid", "test_frechet_distance"},
}
PICTURES = {
    "classifier": "confusion",
    "transfer": "confusion",
    "autoencoder": "reconstructions",
    "dcgan": "generated",
}


@pytest.fixture(scope="module")
def client(rebuilt) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{rebuilt.folder}/mlruns/mlflow.db")


def runs_of(client: MlflowClient, network: str, search: str = "") -> list:
    experiment = client.get_experiment_by_name(f"convzoo/{network}")
    return client.search_runs([experiment.experiment_id], filter_string=search)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_run_has_few_metrics_of_the_familys_names_and_curves_by_epoch(client, network):
    [run] = runs_of(client, network)
    family = NETWORKS[network]["family"]
    found = {key for key in run.data.metrics if not key.startswith("system/")}
    assert found >= CURVES[family] | MEASURED[family]
    assert len(found) <= LARGEST
    epochs = {metric.step for metric in client.get_metric_history(run.info.run_id, "learning_rate")}
    assert epochs == set(range(1, max(epochs) + 1)) and len(epochs) > 1
    for key in CURVES[family]:
        steps = [metric.step for metric in client.get_metric_history(run.info.run_id, key)]
        assert len(steps) == len(set(steps)) and set(steps) <= epochs, key
        assert max(steps) == max(epochs), key


@pytest.mark.parametrize("network", NETWORKS)
def test_params_are_flat_and_short(client, network):
    [run] = runs_of(client, network)
    assert len(run.data.params) < 50
    for key, value in run.data.params.items():
        assert key.count(".") <= 1 and len(value) <= 64, key
        assert "{" not in value, key


@pytest.mark.parametrize("network", NETWORKS)
def test_a_run_its_model_and_its_data_are_linked_and_its_pictures_shown(client, network):
    [run] = runs_of(client, network)
    family = NETWORKS[network]["family"]
    assert run.data.tags["convzoo.profile"] == "test"
    assert run.data.tags["convzoo.made_by"] == "dvc repro"
    inputs = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
    assert set(inputs) == {"train", "val", "augmented", "test"}
    assert {dataset.name for dataset in inputs.values()} == {NETWORKS[network]["data"]}
    [output] = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert model.source_run_id == run.info.run_id
    on = {metric.key: metric.dataset_digest for metric in model.metrics}
    assert on.keys() >= MEASURED[family] and not any(key.startswith("system/") for key in on)
    assert {on[key] for key in MEASURED[family]} == {inputs["test"].digest}
    names = [entry.path for entry in client.list_artifacts(run.info.run_id, "images")]
    assert [name for name in names if name.startswith(f"images/{PICTURES[family]}+step+") and name.endswith(".png")]


def test_search_finds_runs_by_figures_params_tags_and_data(client):
    network = "mnist-classifier"
    [run] = runs_of(client, network)
    assert run.data.metrics["test_accuracy"] > 0.8
    for search in (
        "metrics.test_accuracy > 0.8 and params.optimizer = 'sgd'",
        "params.`fast.widths` = '[16, 32, 64]'",
        "tags.`convzoo.profile` = 'test' and attributes.status = 'FINISHED'",
        "attributes.run_name LIKE 'profile=test %'",
        "dataset.name = 'mnist' and dataset.context = 'test'",
    ):
        assert [found.info.run_id for found in runs_of(client, network, search)] == [run.info.run_id], search
    assert runs_of(client, network, "metrics.test_accuracy > 0.99 and params.optimizer = 'adam'") == []
