"""What `convzoo prune` removes, and what it must keep."""

import hashlib
import json
import os
import subprocess
import time
import zlib
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.registered import runs_of, stored_file, versions_of
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.errors import ConvzooError
from convzoo.lineage.commits import REFS
from convzoo.pruning.prune import find_items
from convzoo.tracking import store
from convzoo.tracking.aliases import set_alias
from convzoo.tracking.registry import register

YEAR = 365


def items(*kinds: str, days: int = 30, later: int = YEAR) -> dict[str, object]:
    """What would be removed in a year, by its name."""
    return {item.name: item for item in find_items(kinds, days, time.time() + later * 86_400)}


@pytest.fixture
def three(request, write_network) -> str:
    """A network with three versions, of which the last is the candidate."""
    name = f"prune-{request.node.name[5:40]}"
    for seed in range(3):
        write_network(name, 100 + zlib.crc32(name.encode()) % 10**6 + seed)  # the trainings of no other test
        register(name)
    return name


def git(*arguments: str) -> str:
    command = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(project):
    """The project as a git repository, which is removed afterwards."""
    git("init", "-q", "-b", "main")
    Path("dvc.lock").write_text("outs: []\n")
    git("add", "dvc.lock", "params.yaml")
    git("commit", "-q", "-m", "first")
    yield project
    subprocess.run(["rm", "-rf", ".git", "dvc.lock"], check=True)


def test_old_versions_without_an_alias_go_and_those_with_one_stay(three):
    assert {f"{three} version 1", f"{three} version 2"} <= items("versions").keys()
    assert f"{three} version 3" not in items("versions"), "the candidate"
    set_alias(store.open_store(), three, "mine", "1")
    assert f"{three} version 1" not in items("versions")
    assert not [name for name in items("versions", later=10) if name.startswith(three)], "too young"


def test_a_removed_version_takes_its_model_and_run_along(three):
    client = store.open_store()
    first = versions_of(three)[0]
    found = items("versions", "runs")
    for name in (f"{three} version 1", next(name for name in found if first.run_id in name)):
        found[name].remove()
    assert [version.version for version in versions_of(three)] == [2, 3]
    assert client.get_run(first.run_id).info.lifecycle_stage == "deleted"
    with pytest.raises(Exception, match="not found"):
        client.get_logged_model(first.source.removeprefix("models:/"))
    assert store.open_store().get_model_version_by_alias(three, "candidate").version == 3
    assert not any(first.run_id in name for name in items("runs"))


def test_runs_of_versions_that_stay_stay(three):
    kept = {version.run_id for version in versions_of(three)}
    assert not [name for name in items("runs") for run_id in kept if run_id in name], "versions are not to be removed"
    last = versions_of(three)[2].run_id
    assert not [name for name in items("runs", "versions") if last in name]


def test_a_run_without_a_version_goes_unless_it_runs_or_models_has_its_training(write_network):
    from convzoo.tracking import runs

    client, network = store.open_store(), "prune-runs"
    experiment = runs.experiment_of(client, network)
    write_network(network, 7)
    fingerprint = json.loads(Path("models", network, "fingerprint.json").read_text())["fingerprint"]
    made = {}
    for name, status, tags in (
        ("failed", "FAILED", {"convzoo.fingerprint": "a" * 64}),
        ("running", "RUNNING", {}),
        ("in models", "FINISHED", {"convzoo.fingerprint": fingerprint}),
        ("of another clone", "FINISHED", {"mlflow.source.git.commit": "e" * 40}),
    ):
        run = client.create_run(experiment, run_name=name, tags=tags)
        made[name] = run.info.run_id
        if status != "RUNNING":
            client.set_terminated(run.info.run_id, status)
    parent = client.create_run(experiment, run_name="sweep", tags={"convzoo.sweep": "s"})
    client.set_terminated(parent.info.run_id)
    client.set_tag(made["running"], "mlflow.parentRunId", parent.info.run_id)
    found = items("runs")
    assert [name for name, run_id in made.items() if any(run_id in item for item in found)] == ["failed"]
    assert not any(parent.info.run_id in item for item in found), "a run below it stays"
    assert len(runs_of(network)) == 5, "finding them removes nothing"


def test_what_the_ledger_names_stays(three):
    sha256 = versions_of(three)[1].tags["convzoo.model_sha256"]
    ledger = Path("promotions.jsonl")
    lines = [{"network": three, "what": "refused", "version": 1, "champion_before": None}]
    lines.append({"network": "another", "what": "promoted", "version": 9, "model_sha256": sha256})
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert not [name for name in items("versions") if name.startswith(three)]
    ledger.write_text(json.dumps(lines[0] | {"version": 2, "champion_before": 1}) + "\n")
    assert not [name for name in items("versions") if name.startswith(three)], "a former champion"
    ledger.unlink()
    store.open_store().set_model_version_tag(three, "1", "convzoo.promotion.verdict", "refused")
    assert f"{three} version 1" not in items("versions"), "the ledger of another clone may name it"


def test_what_a_commit_needs_stays_also_if_the_branch_is_gone(three, repository):
    def lock(number: int) -> str:
        content = stored_file(versions_of(three)[number]).read_bytes()
        return f"outs:\n- path: models/{three}/model.onnx\n  md5: {hashlib.md5(content).hexdigest()}\n"

    assert {f"{three} version 1", f"{three} version 2"} <= items("versions").keys()
    Path("dvc.lock").write_text(lock(0))
    git("commit", "-q", "-am", "with version 1")
    Path("dvc.lock").write_text("outs: []\n")
    git("commit", "-q", "-am", "without it")
    assert [name for name in items("versions") if name.startswith(three)] == [f"{three} version 2"]
    Path("dvc.lock").write_text(lock(1))
    assert not [name for name in items("versions") if name.startswith(three)], "not committed yet"


def test_what_a_merged_branch_needs_stays_also_if_the_merge_took_another_lock_file(three, repository):
    content = stored_file(versions_of(three)[0]).read_bytes()
    git("checkout", "-q", "-b", "side")
    Path("dvc.lock").write_text(f"outs:\n- md5: {hashlib.md5(content).hexdigest()}\n")
    git("commit", "-q", "-am", "with version 1")
    git("checkout", "-q", "main")
    git("commit", "-q", "--allow-empty", "-m", "meanwhile")
    git("merge", "-q", "-s", "ours", "side")
    git("branch", "-q", "-D", "side")
    subprocess.run(["rm", "-rf", ".git/logs"], check=True)  # as in a clone
    git("rm", "-q", "dvc.lock")
    git("commit", "-q", "-m", "without a lock file")
    assert [name for name in items("versions") if name.startswith(three)] == [f"{three} version 2"]


def test_a_commit_that_cannot_be_read_stops_the_search(three, repository):
    blob = git("rev-parse", "HEAD:dvc.lock")
    Path(f".git/objects/{blob[:2]}/{blob[2:]}").unlink()
    with pytest.raises(ConvzooError, match=f"git cannot read {blob}, expected the dvc.lock of some commit"):
        items("versions")


def test_a_version_whose_file_cannot_be_found_stays(three):
    stored_file(versions_of(three)[0]).unlink()
    assert [name for name in items("versions") if name.startswith(three)] == [f"{three} version 2"]


def test_snapshots_go_with_the_trainings_that_they_were_kept_for(three, repository):
    fingerprints = [version.tags["convzoo.fingerprint"] for version in versions_of(three)]
    commit = git("rev-parse", "HEAD")
    for fingerprint in (*fingerprints, "f" * 64, "e" * 64):
        git("update-ref", f"{REFS}/{fingerprint}", commit)
    Path(".checkpoints/net-eeeeeeeeeeeeeeee").mkdir(parents=True)
    assert items("snapshots").keys() == {f"{REFS}/{'f' * 64}"}
    assert not items("snapshots", later=10), "too young"
    found = items("versions", "runs", "snapshots")
    assert f"{REFS}/{fingerprints[0]}" in found and f"{REFS}/{fingerprints[2]}" not in found
    found[f"{REFS}/{'f' * 64}"].remove()
    assert f"{'f' * 64}" not in git("for-each-ref", REFS) and git("rev-parse", f"{REFS}/{'e' * 64}") == commit
    Path(".checkpoints/net-eeeeeeeeeeeeeeee").rmdir()


def test_checkpoints_go_by_age_unless_a_training_has_them(project):
    old = time.time() - 40 * 86_400
    for name in (
        ".checkpoints/a-1",
        ".checkpoints/b-2",
        ".sweeps/study/one/.checkpoints/c-3",
        ".features/d",
        ".decoded/e",
    ):
        folder = Path(name)
        folder.mkdir(parents=True)
        for file in (folder / "last.safetensors", folder / "lock"):
            file.write_bytes(b"x")
            os.utime(file, (old, old))
    Path(".sweeps/study/one/src").symlink_to(Path("src").absolute())
    with FileLock(".checkpoints/b-2/lock"):
        os.utime(".checkpoints/b-2/lock", (old, old))
        names = {".checkpoints/a-1", ".sweeps/study/one", ".features/d", ".decoded/e"}
        assert items("checkpoints", later=0).keys() == names
        assert items("checkpoints", days=50, later=0) == {}
        for item in items("checkpoints", later=0).values():
            item.remove()
    assert Path(".checkpoints/b-2/last.safetensors").exists() and Path("src/convzoo").is_dir()
    assert not any(map(os.path.exists, names))
    subprocess.run(["rm", "-rf", ".checkpoints", ".sweeps", ".features", ".decoded"], check=True)


def test_a_checkpoint_that_its_training_removes_meanwhile_is_left_alone(project, monkeypatch):
    folder = Path(".checkpoints/a-1")
    folder.mkdir(parents=True)
    monkeypatch.setattr("convzoo.pruning.prune._files", lambda place: [place / "gone"])
    assert items("checkpoints") == {}
    folder.rmdir()


def test_a_dry_run_prints_what_a_run_removes(three):
    name = f"{three} version 1"
    for _ in range(2):
        printed = CliRunner().invoke(app, ["prune", "versions", "--older-than", "0", "--dry-run"]).output
        assert f"would remove version {name}: 0 days old" in printed and "would be removed (dry run)" in printed
    assert len(versions_of(three)) == 3
    printed = CliRunner().invoke(app, ["prune", "versions", "--older-than", "0"]).output
    assert f"removing version {name}: 0 days old\n" in printed
    assert printed.endswith("run: python -m mlflow gc --backend-store-uri sqlite:///mlruns/mlflow.db\n")
    assert [version.version for version in versions_of(three)] == [3]


def test_a_wrong_kind_is_named(project):
    assert "'run': did you mean 'runs'? expected one of: versions, " in CliRunner().invoke(app, ["prune", "run"]).output


def test_without_mlflow_nothing_that_it_knows_goes(monkeypatch):
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    with pytest.raises(ConvzooError, match="CONVZOO_TRACKING is off, expected MLflow, which knows what is needed"):
        find_items(("snapshots",), 30)
    assert find_items(("checkpoints",), 30) == []
