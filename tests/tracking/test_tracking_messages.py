"""The table of messages about the store, the registry and what is made again: the thing, what was expected, advice."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from helpers.messages import Row, each, look
from helpers.project import git
from helpers.registered import folder_of, identity_of, write_model

from convzoo.commands import reproduce as reproduction
from convzoo.lineage.record import RECORD
from convzoo.tracking import store
from convzoo.tracking.live import LiveRun
from convzoo.tracking.registry import register
from convzoo.tracking.sync import sync
from convzoo.tracking.versions import find_model, find_version

COMMIT = "c" * 40


@pytest.fixture
def world(write_network, monkeypatch, tmp_path):
    """A network in models/ that is not registered yet."""
    write_network("told", 1)
    return SimpleNamespace(patch=monkeypatch, empty=tmp_path)


def down(world):
    world.patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    world.patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def register_down(world):
    down(world)
    register("told")


def live_down(world):
    down(world)
    with LiveRun("told", identity_of(1), {}) as run:
        run.log(1, {"train_loss": 1.0})


def no_database(world):
    (world.empty / "mlruns").write_text("a file")
    (world.empty / "params.yaml").write_text("profile: test\n")
    world.patch.chdir(world.empty)
    store.open_store()


def held(world):
    world.patch.setattr(store, "LOCK_WAIT", 0.1)
    with FileLock(world.empty / ".register.lock"), store.locked(world.empty / "register"):
        pass


def changed_model(_):
    write_model(Path("models/told/model.onnx"), seed=2)
    register("told")


def missing_file(_):
    Path("models/told/evaluation.json").unlink()
    sync(["told"])
    register("told")


def artifacts() -> Path:
    return folder_of(find_version("told").run.info.artifact_uri)


def changed_registry(_):
    register("told")
    for file in Path("mlruns/artifacts/told").rglob("model.onnx"):
        file.write_bytes(file.read_bytes()[:-1])
    find_model("told")


def lost_lineage(_):
    register("told")
    (artifacts() / RECORD).unlink()
    find_version("told")


def trained(**tags):
    """Make a version again whose run has these tags."""

    def cause(world):
        git(world.empty, "init", "-q")
        world.patch.chdir(world.empty)
        run = SimpleNamespace(data=SimpleNamespace(tags=tags))
        reproduction._commit_of(SimpleNamespace(name="told@champion", run=run, fingerprint="f" * 64))

    return cause


TABLE = [
    Row("store: down at registration", register_down, "told: not registered .http", "Connection", "convzoo sync"),
    Row(
        "store: down in training",
        live_down,
        "warning: told: tracking stopped",
        "training continues",
        "run: convzoo sync",
    ),
    Row("store: no database", no_database, "mlflow.db: cannot be opened", "expected a database", "fix its folder's"),
    Row(
        "store: held", held, ".register.lock: held by another", "expected a moment", "wait for that process, or end it"
    ),
    Row(
        "registry: changed model", changed_model, "told/model.onnx: has sha256", "expected [0-9a-f]{12}", "dvc checkout"
    ),
    Row("registry: missing file", missing_file, "evaluation.json: ", "is missing", "run: convzoo repro evaluate@told"),
    Row("registry: changed file", changed_registry, "told: .* file of version", "sha256 [0-9a-f]{64}", "convzoo sync"),
    Row("registry: lost lineage", lost_lineage, "told: its run", "expected one", "run: convzoo sync"),
    Row(
        "registry: no alias",
        lambda _: find_model("told@best"),
        "told@best: ",
        "no alias best",
        "choose one of its versions: v2",
    ),
    Row(
        "reproduce: no commit", trained(), "told@champion: ", "names no commit, expected one", "train it in a git clone"
    ),
    Row(
        "reproduce: no snapshot",
        trained(**{"mlflow.source.git.commit": COMMIT, "convzoo.dirty": "params.yaml"}),
        r"told@champion: .*\(params.yaml\)",
        "the snapshot refs/convzoo/ffff.* is not in this clone",
        "git fetch OTHER-CLONE",
    ),
    Row(
        "reproduce: lost commit",
        trained(**{"mlflow.source.git.commit": COMMIT, "convzoo.dirty": "clean"}),
        "told@champion: ",
        f"does not have its commit {COMMIT}",
        "run: git fetch --all",
    ),
]


@each(TABLE)
def test_a_message_names_the_thing_what_was_expected_and_what_to_do(world, capfd, row):
    look(row, world, capfd)
