"""`convzoo drift` in a project: what it prints, writes and returns, and what it refuses."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.project import ROOT
from helpers.served import CLASSES, images, write_watched
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.errors import ConvzooError
from convzoo.processes import process_name
from convzoo.serving.limits import LogOptions
from convzoo.serving.served import load
from convzoo.serving.sources import Folder, wanted
from convzoo.tracking import runs, store
from convzoo.watching.found import period
from convzoo.watching.log import RequestLog

Log = Callable[[np.ndarray], None]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the exported network `pets`, which is not registered."""
    folder = tmp_path / "project"
    (folder / "src/convzoo").mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", folder)
    write_watched(folder / "models")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    return folder


@pytest.fixture
def answer(project: Path) -> Iterator[Log]:
    """Logs the answer about some images to `logs`, as a server does."""
    (project / "loaded").mkdir()
    served = load(wanted(Folder(project / "models").snapshot().releases["pets"], None), project / "loaded", logged=True)

    def write(given: np.ndarray) -> None:
        log = RequestLog(LogOptions(project / "logs"))
        log.offer(served, "predict", given, served.model.run(given), 0.1)
        log.close()

    return write


def drift(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["drift", *arguments])


def test_nothing_is_reported_about_images_like_those_of_val(answer, project):
    answer(images(200, seed=30))
    result = drift("pets")
    assert result.exit_code == 0, result.output
    assert "200 images from" in result.output and "against 300 of val" in result.output
    assert "drifted: nothing (level 0.05; p-values are corrected for 14 tests)" in result.output
    assert "YES" not in result.output
    page = (project / "reports/drift/pets.html").read_text()
    assert "None of 14 measurements" in page and "http" not in page.replace("http-equiv", "")


def test_darker_images_give_exit_code_3_a_page_and_a_run(answer, project, monkeypatch):
    monkeypatch.delenv("CONVZOO_TRACKING")
    answer(images(200, seed=30) // 2)
    result = drift("pets", "--json")
    assert result.exit_code == 3, result.output
    found = json.loads(result.stdout)
    assert {"brightness", "contrast", "border", "detail"} <= set(found["drifted"])
    rows = {row["name"]: row for row in found["comparisons"]}
    assert rows["brightness"]["logged"] == pytest.approx((images(200, seed=30) // 2).mean() / 255, rel=1e-5)
    assert rows["brightness"]["reference"] == pytest.approx(images(300, seed=2).mean() / 255, rel=1e-5)
    page = (project / "reports/drift/pets.html").read_text()
    assert page.count('<tr class="failed">') == len(found["drifted"])
    client = store.use_store()
    [run] = client.search_runs([client.get_experiment_by_name("drift/pets").experiment_id])
    assert (run.info.run_name, run.info.status) == (found["run"], "FINISHED")
    assert run.data.metrics["drifted"] == 1 and run.data.metrics["images"] == 200
    assert run.data.metrics["distance_brightness"] == rows["brightness"]["distance"]
    assert run.data.params["sha256"] == found["sha256"]
    assert [entry.path for entry in client.list_artifacts(run.info.run_id)] == ["pets.html"]


def test_a_run_whose_page_cannot_be_stored_is_a_failed_one(answer, monkeypatch):
    monkeypatch.delenv("CONVZOO_TRACKING")
    answer(images(200, seed=30))

    def fail(*_: Any) -> None:
        raise MlflowException("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_artifact", fail)
        result = drift("pets")
    assert result.exit_code == 0 and "warning: not logged to MLflow: " in result.stderr
    client = store.use_store()
    experiment = client.get_experiment_by_name("drift/pets").experiment_id
    [failed] = client.search_runs([experiment])
    assert failed.info.status == "FAILED"

    # As if the store had failed before it could take the end, and the process had ended.
    client.update_run(failed.info.run_id, status="RUNNING")
    client.set_tag(failed.info.run_id, runs.PROCESS, process_name().replace(f" {os.getpid()} ", " 4194300 "))
    assert drift("pets").exit_code == 0
    assert sorted(run.info.status for run in client.search_runs([experiment])) == ["FINISHED", "KILLED"]


def test_small_distances_can_be_ignored_and_old_rows_left_out(answer, monkeypatch):
    answer((0.9 * images(200, seed=30)).astype(np.uint8))
    assert drift("pets", "--distance", "0.99").exit_code == 0
    assert drift("pets", "--level", "0").exit_code == 0
    from convzoo.watching import found

    class Later(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) + timedelta(days=3)

    monkeypatch.setattr(found, "datetime", Later)
    assert drift("pets").exit_code == 3
    result = drift("pets", "--since", "2d")
    assert result.exit_code == 1 and "has 0 images of file" in result.output


def test_what_cannot_be_examined_is_refused_with_what_to_do(answer, project):
    def refused(*arguments: str) -> str:
        result = drift(*arguments)
        assert result.exit_code == 1 and "error: " in result.output, result.output
        return result.output

    assert "logs: there is no such folder, expected the log of a server; start one with" in refused("pets")
    answer(images(20))
    assert "has 20 images of file" in refused("pets") and "expected at least 50" in refused("pets")
    assert "got 'week', expected days, hours or minutes" in refused("pets", "--since", "week")
    assert "cats: there is no such network" in refused("cats")
    answer(images(60))
    shutil.move("logs/pets", "logs/pet")
    assert "has no rows of pets, did you mean 'pet'? expected a folder of that name" in refused("pets")
    shutil.move("logs/pet", "logs/pets")
    [file, *_] = (project / "logs/pets").rglob("*.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[:-50])
    assert f"{file.name}: cannot be read (" in refused("pets")
    file.write_bytes(whole)
    (project / "models/pets/parts/reference.npz").write_bytes(b"PK")
    assert "reference.npz: cannot be read" in refused("pets")
    (project / "models/pets/parts/reference.npz").unlink()
    assert "reference.npz: is missing, expected the measurements of val" in refused("pets")


def test_the_rows_of_another_version_are_left_out_and_named(answer, project):
    answer(images(80, seed=30))
    write_watched(project / "models", seed=1)  # a newer file
    result = drift("pets")
    assert result.exit_code == 1
    assert "has no rows of the file with sha256" in result.output and "but found 80 of" in result.output


def test_a_reference_of_another_file_is_refused(answer, project):
    answer(images(80, seed=30))
    old = (project / "models/pets/parts/reference.npz").read_bytes()
    write_watched(project / "models", seed=1)
    (project / "models/pets/parts/reference.npz").write_bytes(old)
    result = drift("pets")
    assert result.exit_code == 1 and "reference.npz: belongs to the file with sha256" in result.output


def test_classes_are_compared_by_name(answer, project):
    answer(images(200, seed=30))
    found = json.loads(drift("pets", "--json").stdout)
    [row] = [row for row in found["comparisons"] if row["name"] == "class"]
    with np.load(project / "models/pets/parts/reference.npz") as stored:
        known = np.bincount(stored["class"], minlength=len(CLASSES)) / 300
    assert 0 < row["distance"] < 0.2 and len(known) == 3
    assert found["days"] == {f"{datetime.now(UTC):%Y-%m-%d}": 200}


@pytest.mark.parametrize(
    ("text", "expected"), [("7d", timedelta(days=7)), ("12h", timedelta(hours=12)), ("30m", timedelta(minutes=30))]
)
def test_a_period_is_a_number_and_a_unit(text, expected):
    assert period(text) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-1d", "7 d", "1w", "1.5d", "999999d", "\u0663d"])
def test_other_periods_are_refused(text):
    with pytest.raises(ConvzooError, match="expected days, hours or minutes from 1 to 99999, as in 7d, 12h or 30m"):
        period(text)
