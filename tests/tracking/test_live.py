"""A training's run: told live, continued after a stop, and never in the way of the training."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers.registered import identity_of

from convzoo.tracking import live, runs, store
from convzoo.tracking.labels import command_tags, git_state, run_params
from convzoo.tracking.live import LiveRun

TAGS = {"convzoo.profile": "test"}


def the_run(network: str, seed: int):
    client = store.open_store()
    (run,) = runs.runs_of(client, runs.experiment_of(client, network), identity_of(seed)["fingerprint"])
    return client, run


def losses(client, run) -> list[tuple[int, float]]:
    return sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "train_loss"))


def git(*arguments: str) -> None:
    author = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *author, *arguments], check=True, capture_output=True)


def test_runs_of_an_experiment_have_different_colours_and_the_experiment_a_description():
    for seed in (21, 22, 23):
        LiveRun("coloured", identity_of(seed), {}).close()
    client, run = the_run("coloured", 21)
    found = client.search_runs([run.info.experiment_id])
    colours = {run.data.tags["mlflow.runColor"] for run in found}
    assert len(colours) == len(found) == 3 and all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    tags = client.get_experiment(run.info.experiment_id).tags
    assert tags["mlflow.note.content"].startswith("One run per training of coloured")
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    client.set_experiment_tag(run.info.experiment_id, "mlflow.note.content", "by hand")
    runs.experiment_of(client, "coloured")
    assert client.get_experiment(run.info.experiment_id).tags["mlflow.note.content"] == "by hand"


def test_a_finished_training_has_its_run_with_everything_on_it(monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "wet-sock")
    with LiveRun("lively", identity_of(1), TAGS) as run:
        run.log(1, {"train_loss": 2.0, "learning_rate": 0.1})
        run.log(2, {"train_loss": 1.0, "learning_rate": 0.05})

    client, run = the_run("lively", 1)
    assert run.info.status == "FINISHED"
    assert run.info.run_name.startswith("as committed wet-sock")
    assert losses(client, run) == [(1, 2.0), (2, 1.0)]
    assert run.data.params == {
        "family": "classifier",
        "architecture": "fast",
        "optimizer": "sgd",
        "learning_rate": "0.1",
        "seed": "1",
        "fast.widths": "[4, 8]",
        "fast.dirac": "true",
        "device": "cpu",
        "precision": "fp32",
        "threads": "2",
    }
    assert run.data.tags["convzoo.profile"] == "test"
    assert run.data.tags["convzoo.dvc_experiment"] == "wet-sock"
    assert any(key.startswith("system/") for key in run.data.metrics)
    inputs = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
    assert {split: (data.name, data.digest) for split, data in inputs.items()} == {
        "train": ("shapes", "a" * 32),
        "val": ("shapes", "b" * 32),
        "augmented": ("shapes", "c" * 32),
    }


def test_a_run_says_which_command_made_it(monkeypatch):
    assert command_tags() == {"convzoo.made_by": "by hand, without DVC"}
    monkeypatch.setenv("DVC_STAGE", "train@net")
    assert command_tags() == {"convzoo.made_by": "dvc repro", "convzoo.stage": "train@net"}
    monkeypatch.setenv("DVC_EXP_NAME", "wet-sock")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "3d56737" + "0" * 33)
    assert command_tags() == {
        "convzoo.made_by": "dvc exp run, experiment wet-sock on 3d56737",
        "convzoo.stage": "train@net",
        "convzoo.dvc_experiment": "wet-sock",
        "convzoo.dvc_baseline": "3d56737" + "0" * 33,
    }


def test_a_killed_training_goes_on_in_the_same_run_and_no_epoch_is_told_twice():
    with pytest.raises(KeyboardInterrupt), LiveRun("resumed", identity_of(1), TAGS) as run:
        run.log(1, {"train_loss": 2.0})
        run.log(2, {"train_loss": 1.5})
        raise KeyboardInterrupt
    client, first = the_run("resumed", 1)
    assert first.info.status == "KILLED"

    with LiveRun("resumed", identity_of(1), TAGS) as run:
        run.log(2, {"train_loss": 1.5})
        run.log(3, {"train_loss": 1.0})
    client, second = the_run("resumed", 1)
    assert second.info.run_id == first.info.run_id
    assert second.info.status == "FINISHED"
    assert losses(client, second) == [(1, 2.0), (2, 1.5), (3, 1.0)]


def test_a_failed_training_is_marked_and_a_finished_one_is_left_alone():
    with pytest.raises(ValueError), LiveRun("again", identity_of(1), TAGS):
        raise ValueError("loss is not finite")
    client, first = the_run("again", 1)
    assert first.info.status == "FAILED"
    client.set_terminated(first.info.run_id, "FINISHED")

    LiveRun("again", identity_of(1), TAGS).close()
    found = runs.runs_of(client, first.info.experiment_id, identity_of(1)["fingerprint"])
    assert len(found) == 2


def test_a_server_that_is_down_costs_one_warning_and_no_error(monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with LiveRun("offline", identity_of(1), TAGS) as run:
        run.log(1, {"train_loss": 2.0})
    run.log(2, {"train_loss": 1.0})
    (warning,) = capfd.readouterr().err.splitlines()
    assert warning.startswith("warning: offline: tracking stopped (")
    assert "training continues" in warning and "convzoo sync" in warning
    assert "http://127.0.0.1:9" in warning and "secret" not in warning


def test_a_store_that_never_answers_is_waited_for_no_longer_than_the_limit(monkeypatch, capfd):
    asked, answer = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        answer.wait()

    monkeypatch.setattr(store, "open_store", hang)
    monkeypatch.setattr(live, "TIME_LIMIT", 0.2)
    run = LiveRun("silent", identity_of(1), TAGS)
    assert asked.wait(30)
    run.close()
    told = capfd.readouterr().err
    assert "no answer for 0.2 s" in told and "training continues" in told

    monkeypatch.setattr(live, "TIME_LIMIT_STOPPED", 0.1)
    with pytest.raises(KeyboardInterrupt), LiveRun("silent", identity_of(2), TAGS):
        raise KeyboardInterrupt
    told = capfd.readouterr().err
    assert "no answer for 0.1 s" in told and "training continues" not in told
    answer.set()


def test_a_failure_in_the_middle_stops_the_telling_and_nothing_else(monkeypatch, capfd):
    def fail(*_) -> None:
        raise OSError("No space left on device")

    run = LiveRun("middle", identity_of(1), TAGS)
    monkeypatch.setattr(runs, "add_metrics", fail)
    for epoch in range(1, 5):
        run.log(epoch, {"train_loss": 1.0})
    run.close()
    (warning,) = capfd.readouterr().err.splitlines()
    assert "No space left on device" in warning


@pytest.mark.parametrize("variable, enabled", [("off", True), ("", False)])
def test_tracking_turned_off_starts_nothing(monkeypatch, variable, enabled):
    monkeypatch.setenv("CONVZOO_TRACKING", variable)
    before = threading.active_count()
    with LiveRun("unseen", identity_of(1), TAGS, enabled=enabled) as run:
        run.log(1, {"train_loss": 1.0})
        assert threading.active_count() == before


def test_training_starts_without_waiting_for_mlflow():
    code = "import sys, convzoo.tracking.live; print('mlflow' in sys.modules)"
    source = str(Path(live.__file__).parents[2])
    found = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": source}, capture_output=True)
    assert found.stdout == b"False\n"


def test_params_and_code_that_differ_from_the_commit_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() == (None, "unknown")
    git("init")
    Path("src").mkdir()
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", "src/a.py"):
        Path(name).write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    commit, dirty = git_state()
    assert len(commit) == 40 and dirty == "clean"

    Path("dvc.lock").write_text("2")
    assert git_state()[1] == "clean"
    Path("params.yaml").write_text("2")
    Path("src/ü b.py").write_text("2")
    assert git_state()[1] == 'params.yaml, "src/ü b.py"'


def test_blocks_that_are_no_alternatives_to_the_architecture_are_all_kept():
    identity = {"params": {"latent": 64, "generator": {"width": 8}, "judge": {"width": 4}}, "compute": {"threads": 2}}
    assert run_params(identity) == {"latent": 64, "generator.width": 8, "judge.width": 4, "threads": 2}
