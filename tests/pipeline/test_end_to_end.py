"""From a clone to a registered model, as a user runs it, on the profile `test`."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
from helpers.project import ROOT, commit, convzoo, dvc, git, python, query, ran

from convzoo.files import sha256_of
from convzoo.settings.load import read_params

NETWORK = "mnist-classifier"
PARAMS = read_params(ROOT / "params.yaml").values
SETS, NETWORKS = list(PARAMS["data"]), list(PARAMS["networks"])
FIRST_LOOK = {"autoencoder": "reconstructions.png", "dcgan": "samples.png"}  # the others: what is taken for what
PICTURES = {name: FIRST_LOOK.get(block["family"], "confusion.png") for name, block in PARAMS["networks"].items()}
STAGES = [f"{verb}@{name}" for verb in ("download", "prepare", "augment") for name in SETS]
STAGES += [f"{verb}@{name}" for verb in ("train", "export", "evaluate", "register") for name in NETWORKS]
STAGES += ["check", "validate", "report", *(f"weights@{name}" for name in PARAMS["weights"])]


def last_epoch(folder: Path, network: str) -> str:
    """What a training says after the last epoch that params.yaml asks for; transfer learning has two phases."""
    settings = read_params(folder / "params.yaml").values["networks"][network]
    epochs = settings.get("epochs") or settings["features"]["epochs"] + settings["finetune"]["epochs"]
    return f"{network} epoch {epochs}/{epochs}"


def test_a_repro_from_nothing_runs_every_stage_and_makes_every_output(rebuilt):
    folder, output, _ = rebuilt
    assert sorted(ran(output)) == sorted(STAGES)
    assert ran(output)[0] == "check"
    made = [f"data/validated/{name}.json" for name in SETS]
    made += [f"models/{name}/{file}" for name in NETWORKS for file in ("model.onnx", f"plots/{PICTURES[name]}")]
    for path in (*made, "reports/index.html", "reports/data_docs/index.html"):
        assert (folder / path).stat().st_size > 0, path
    assert not list(folder.glob("**/*.new"))
    for network in NETWORKS:
        assert last_epoch(folder, network) in output


def test_the_network_learned_real_digits(rebuilt):
    metrics = json.loads((rebuilt.folder / f"models/{NETWORK}/evaluation.json").read_text())
    assert metrics["test_images"] == 1000
    assert metrics["test_accuracy"] > 0.8


def test_the_metrics_of_all_networks_fit_on_a_screen_and_are_in_git(rebuilt):
    header, *rows = dvc(rebuilt.folder, "metrics", "show").splitlines()
    assert len(rows) == len(NETWORKS) and max(map(len, (header, *rows))) <= 140
    command = ["git", "ls-files", "models"]
    tracked = subprocess.run(command, cwd=rebuilt.folder, capture_output=True, text=True, check=True).stdout
    assert tracked.split() == sorted(f"models/{name}/metrics.json" for name in NETWORKS)


def test_a_second_repro_has_nothing_to_do(clone):
    before = (clone / "dvc.lock").read_bytes()
    assert ran(dvc(clone, "repro")) == ["check"]
    assert (clone / "dvc.lock").read_bytes() == before


def test_a_second_network_is_a_block_in_params_and_makes_no_other_train(clone):
    params = clone / "params.yaml"
    text = params.read_text()
    for section in ("networks", "export", "evaluation"):
        block = re.search(rf"^{section}:\n(  {NETWORK}:\n(?:    .*\n)+)", text, re.M).group(1)
        second = block.replace(NETWORK, "mnist-reference").replace("architecture: fast", "architecture: reference")
        text = text.replace(f"{section}:\n{block}", f"{section}:\n{second}{block}")
    params.write_text(re.sub(r"learning_rate: 0.2\n", "learning_rate: 0.02\n", text, count=1))
    told = dvc(clone, "repro")
    new = [f"{verb}@mnist-reference" for verb in ("train", "export", "evaluate", "register")]
    assert sorted(ran(told)) == sorted(["check", *new, "report"])
    aliases = query(clone, "SELECT name, alias, version FROM registered_model_aliases")
    assert sorted(aliases) == sorted((name, "candidate", 1) for name in (*NETWORKS, "mnist-reference"))
    assert "mnist-reference" in (clone / "reports/index.html").read_text()
    assert json.loads((clone / "models/mnist-reference/metrics.json").read_text())["test_accuracy"] > 0.5


def test_a_learning_rate_makes_only_its_network_run_again(clone):
    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("learning_rate: 0.2\n", "learning_rate: 0.3\n"))
    told = dvc(clone, "status")
    changed = [line.rstrip(":") for line in told.splitlines() if re.match(r"\S+:$", line)]
    assert sorted(changed) == ["check", f"train@{NETWORK}"]


def test_a_comment_in_params_makes_only_the_check_run_again(clone):
    params = clone / "params.yaml"
    params.write_text("# A comment.\n" + params.read_text())
    assert ran(dvc(clone, "repro")) == ["check"]


def test_broken_settings_stop_everything_with_a_line(clone):
    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("epochs: 2", "epochs: ten"))
    told = dvc(clone, "repro", expected=255)
    assert "networks.mnist-classifier.epochs: got 'ten', expected a whole number of at least 1" in told
    assert "Traceback" not in told
    assert ran(told) == ["check"]
    told = convzoo(clone, "check", expected=1)
    assert re.match(r"error: params.yaml:\d+: networks.mnist-classifier.epochs", told)


def test_the_run_in_mlflow_has_all_that_was_live_and_all_that_came_after(rebuilt):
    folder = rebuilt.folder
    assert query(folder, "SELECT DISTINCT status FROM runs") == [("FINISHED",)]
    [(run,)] = query(folder, f"SELECT run_id FROM model_versions WHERE name = '{NETWORK}'")
    metrics = query(folder, f"SELECT key, step FROM metrics WHERE run_uuid = '{run}' AND key NOT LIKE 'system/%'")
    for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate"):
        assert [step for name, step in sorted(metrics) if name == key] == [1, 2]
    assert {"test_accuracy", "test_calibration_error"} <= {key for key, _ in metrics}
    assert query(folder, "SELECT count(*) FROM metrics WHERE key LIKE 'system/cpu%'")[0][0] > 0
    params = dict(query(folder, f"SELECT key, value FROM params WHERE run_uuid = '{run}'"))
    assert params["optimizer"] == "sgd"
    assert params["epochs"] == "2"
    tags = dict(query(folder, f"SELECT key, value FROM tags WHERE run_uuid = '{run}'"))
    identity = json.loads((folder / f"models/{NETWORK}/fingerprint.json").read_text())
    assert tags["convzoo.fingerprint"] == identity["fingerprint"]
    assert tags["convzoo.profile"] == "test"
    assert tags["convzoo.dirty"] == "params.yaml", "`convzoo profile test` changed it, and nobody committed that"
    assert re.fullmatch("[0-9a-f]{40}", tags["mlflow.source.git.commit"])
    digests = {digest for (digest,) in query(folder, "SELECT digest FROM datasets")}
    assert identity["data"]["train"][:32] in digests


def test_the_registered_file_is_the_one_that_was_evaluated(rebuilt):
    folder = rebuilt.folder
    aliases = query(folder, "SELECT name, alias, version FROM registered_model_aliases")
    assert sorted(aliases) == sorted((name, "candidate", 1) for name in NETWORKS)
    stored = [sha256_of(file) for file in (folder / "mlruns/artifacts").rglob("model.onnx")]
    shipped = [sha256_of(folder / f"models/{name}/model.onnx") for name in NETWORKS]
    assert all(stored.count(sha256) == 1 for sha256 in shipped)
    families = [PARAMS["networks"][name]["family"] for name in NETWORKS]
    served = [family for family in families if family in ("classifier", "transfer")]
    assert len(stored) == len(shipped) + len(served), "a second file of those that MLflow serves with class names"
    artifacts = {file.name for file in (folder / "mlruns/artifacts").rglob("*.*")}
    assert {"confusion.png", "mistakes.png", "preview.png", "mnist.json", "index.html"} <= artifacts


def test_nothing_in_an_output_tells_of_the_machine(rebuilt):
    folder = rebuilt.folder
    files = [file for name in ("models", "reports/data", "data/validated") for file in (folder / name).rglob("*.*")]
    files.append(folder / "reports/index.html")
    assert len(files) > 12
    for file in files:
        content = file.read_bytes()
        assert str(folder).encode() not in content, file
        assert b"site-packages" not in content, file


def test_sync_fills_a_lost_database_again_and_twice_changes_nothing(clone):
    shutil.rmtree(clone / "mlruns/artifacts")
    (clone / "mlruns/mlflow.db").unlink()
    assert f"{NETWORK}: version 1 registered, alias candidate" in convzoo(clone, "sync", NETWORK)
    before = query(clone, "SELECT count(*) FROM metrics")
    assert f"{NETWORK}: already registered as version 1" in convzoo(clone, "sync", NETWORK)
    assert query(clone, "SELECT count(*) FROM metrics") == before


def test_dvc_shows_metrics_plots_graph_and_differences(clone):
    assert "test_accuracy" in dvc(clone, "metrics", "show", "--md")
    assert f"train@{NETWORK}" in dvc(clone, "dag")
    dvc(clone, "plots", "show")
    page = (clone / "dvc_plots/index.html").read_text()
    assert "val_accuracy" in page
    assert list((clone / "dvc_plots/static").rglob("*confusion.png"))

    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("label_smoothing: 0.1", "label_smoothing: 0.2"))
    told = dvc(clone, "params", "diff")
    assert "networks.mnist-classifier.label_smoothing" in told


def test_an_experiment_with_another_rate_is_compared_and_moves_no_alias(clone):
    told = dvc(clone, "exp", "run", "-n", "slower", "-S", f"networks.{NETWORK}.learning_rate=0.01")
    assert f"{NETWORK} epoch 2/2" in told
    assert not [stage for stage in ran(told) if stage.startswith(("download", "prepare", "augment", "validate"))]
    assert query(clone, "SELECT DISTINCT alias, version FROM registered_model_aliases") == [("candidate", 1)]
    assert query(clone, "SELECT count(*) FROM runs") == [(len(NETWORKS) + 1,)]
    shown = dvc(clone, "exp", "show", "--csv", "--drop", ".*classes.*")
    rows = list(csv.DictReader(shown.splitlines()))
    assert "slower" in {row["Experiment"] for row in rows}
    assert "test_accuracy" in dvc(clone, "metrics", "diff")


def test_a_failed_data_check_stops_before_training(clone):
    labels = clone / "data/prepared/mnist/train/labels.npy"
    changed = np.load(labels)
    changed[7] = 11
    np.save(labels, changed)
    (clone / f"models/{NETWORK}/weights.safetensors").unlink()
    told = python(clone, "pipeline/validate.py", expected=1)
    assert "train" in told and "label" in told and "Traceback" not in told
    assert not (clone / "data/validated/mnist.json").exists()
    told = dvc(clone, "repro", "--single-item", f"train@{NETWORK}", expected=255)
    assert "data/validated/mnist.json" in told
    assert "epoch 1" not in told, "no training without the verdict"


def test_profiles_are_listed_and_written(clone):
    assert "* test" in convzoo(clone, "profile")
    assert "params.yaml now has the profile starter" in convzoo(clone, "profile", "starter")
    git(clone, "checkout", "-q", "HEAD~1", "--", "params.yaml")
    assert "already has the profile starter" in convzoo(clone, "profile", "starter")
    assert "expected one of: compact, cpu, full, starter, test" in convzoo(clone, "profile", "tiny", expected=1)
    commit(clone, "back to starter")
