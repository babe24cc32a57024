"""What was measured on a model, and on which images: the links between mlflow's runs, models and data sets."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Run

from convzoo.data.arrays import digest, load_split
from convzoo.shipping.network_files import Files


def data_of(files: Files) -> dict[str, str]:
    """The data of a run, as in fingerprint.json, and with `test` that it was measured on where this is at hand."""
    data, test = files.identity["data"], Path("data/prepared", files.export["dataset"], "test")
    return data | {"test": digest(load_split(test))} if test.is_dir() else data


def link_model(client: MlflowClient, run: Run, model_id: str, files: Files) -> None:
    """Make the model an output of the run, and say on it what the run's evaluation measured, on which data set."""
    run_id = run.info.run_id
    if model_id not in {output.model_id for output in run.outputs.model_outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=max(files.history))])
    told = client.get_logged_model(model_id).metrics or ()
    known = {(metric.key, metric.value) for metric in told if metric.run_id == run_id}
    sets = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
    linked = []
    for key, value in files.measured.items():
        if (key, value) in known:
            continue
        logged = client.get_metric_history(run_id, key)[-1]  # the same row, which mlflow does not keep twice
        found = sets.get(key.partition("_")[0])
        on = {"dataset_name": found.name, "dataset_digest": found.digest} if found else {}
        linked.append(Metric(key, value, logged.timestamp, logged.step, model_id=model_id, **on))
    if linked:
        client.log_batch(run_id, metrics=linked)
