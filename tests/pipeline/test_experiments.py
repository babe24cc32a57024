"""Experiments that DVC runs in copies of the clone: MLflow's one database has them, and DVC's figures are the same."""

import csv
import json

import pytest
from helpers.killing import until
from helpers.project import convzoo, dvc, query

NETWORK = "mnist-classifier"
RATE = f"networks.{NETWORK}.learning_rate"
FIGURES = f"models/{NETWORK}/metrics.json"
CURVES = f"models/{NETWORK}/history.csv"


def run_of(clone, experiment: str) -> tuple[str, str]:
    """Id and name of the run that an experiment made, which must be one."""
    tagged = f"SELECT run_uuid FROM tags WHERE key = 'convzoo.dvc_experiment' AND value = '{experiment}'"
    [found] = query(clone, f"SELECT run_uuid, name FROM runs WHERE status = 'FINISHED' AND run_uuid IN ({tagged})")
    return found


def metric_of(clone, run: str, key: str) -> list[float]:
    """A metric of a run, by step."""
    sql = f"SELECT value FROM metrics WHERE run_uuid = '{run}' AND key = '{key}' ORDER BY step"
    return [value for (value,) in query(clone, sql)]


def tags_of(clone, run: str) -> dict[str, str]:
    return dict(query(clone, f"SELECT key, value FROM tags WHERE run_uuid = '{run}'"))


def head_of(clone) -> str:
    return (clone / ".git/refs/heads/main").read_text().strip()


@pytest.fixture
def queued(clone):
    """A clone whose queue has run one experiment, called `queued`."""
    dvc(clone, "exp", "run", "--queue", "-n", "queued", "-S", f"{RATE}=0.02", f"register@{NETWORK}")
    try:
        dvc(clone, "queue", "start")
        until(lambda: [*(clone / ".git/refs/exps").rglob("queued")], seconds=300)  # asking DVC takes seconds each time
        until(lambda: "Running" not in (told := dvc(clone, "queue", "status")) and "Queued" not in told, seconds=300)
        assert "Success" in dvc(clone, "queue", "status"), dvc(clone, "queue", "logs", "queued")
    finally:
        dvc(clone, "queue", "stop", "--kill")
    return clone


@pytest.mark.prove
def test_a_queued_experiment_lands_in_the_clones_database_and_dvc_says_the_same(queued):
    run, name = run_of(queued, "queued")
    assert name == f"learning_rate=0.02 queued {head_of(queued)[:7]}"
    assert query(queued, f"SELECT value FROM params WHERE run_uuid = '{run}' AND key = 'learning_rate'") == [("0.02",)]
    tags = tags_of(queued, run)
    assert tags["convzoo.dvc_baseline"] == tags["mlflow.source.git.commit"] == head_of(queued)
    assert tags["convzoo.made_by"] == f"dvc exp run, experiment queued on {head_of(queued)[:7]}"
    assert query(queued, f"SELECT version FROM model_versions WHERE run_id = '{run}'") == [(2,)]
    aliases = query(queued, f"SELECT alias, version FROM registered_model_aliases WHERE name = '{NETWORK}'")
    assert aliases == [("candidate", 1)], "an experiment leaves aliases alone"
    assert not list((queued / ".dvc/tmp").rglob("mlflow.db"))

    [accuracy] = metric_of(queued, run, "test_accuracy")
    rows = csv.DictReader(dvc(queued, "exp", "show", "--csv").splitlines())
    [shown] = [row[f"{FIGURES}:test_accuracy"] for row in rows if row["Experiment"] == "queued"]
    assert float(shown) == accuracy
    told = json.loads(dvc(queued, "metrics", "diff", "HEAD", "queued", "--json", "--targets", FIGURES))
    [(before,)] = query(
        queued,
        f"SELECT value FROM model_version_tags WHERE name = '{NETWORK}' AND version = 1 AND key = 'test_accuracy'",
    )
    assert told[FIGURES]["test_accuracy"]["new"] == accuracy != float(before)
    assert told[FIGURES]["test_accuracy"]["old"] == float(before)
    told = json.loads(dvc(queued, "plots", "diff", "HEAD", "queued", "--json", "--targets", CURVES))
    points = told["data"][CURVES][0]["content"]["data"]["values"]
    drawn = [float(point["val_accuracy"]) for point in points if point["rev"] == "queued"]
    assert drawn == metric_of(queued, run, "val_accuracy") and len(drawn) == 2


def test_an_experiment_in_a_temporary_copy_lands_in_the_clones_database(clone):
    before = (clone / "params.yaml").read_text()
    dvc(clone, "exp", "run", "--temp", "-n", "aside", "-S", f"{RATE}=0.02", f"train@{NETWORK}")
    run, name = run_of(clone, "aside")
    assert name.startswith("learning_rate=0.02 aside ")
    assert len(metric_of(clone, run, "val_accuracy")) == 2
    assert (clone / "params.yaml").read_text() == before, "the clone itself is left alone"
    assert not list((clone / ".dvc/tmp").rglob("mlflow.db"))

    dvc(clone, "exp", "apply", "aside")
    lines = zip(before.splitlines(), (clone / "params.yaml").read_text().splitlines(), strict=True)
    assert [new for old, new in lines if old != new] == ["    learning_rate: 0.02"]
    printed = convzoo(clone, "status", f"train@{NETWORK}", "validate", "prepare@mnist")
    assert "changed" not in printed, printed
