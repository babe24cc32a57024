"""Every command over damaged files: it works, or prints one-line errors that name something, with exit code 1 or 2.

CONVZOO_DAMAGES=all runs every pair of a damage and a command, which takes minutes; otherwise a fixed sample runs.
"""

import os
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.project import ROOT
from helpers.rights import as_a_user
from helpers.tracking_project import clone, project, write_network  # noqa: F401 (fixtures)
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.tracking import store
from convzoo.tracking.registered import model_of
from convzoo.tracking.registry import register

# isort: split
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

NET, OTHER = "mnist-classifier", "cifar10-classifier"
COMMANDS = {
    "check": ["check"],
    "profile": ["profile"],
    "profile NAME": ["profile", "test"],
    "add-data": ["add-data", "pets"],
    "predict": ["predict", NET, "photo.png"],
    "predict version": ["predict", f"{NET}@v1", "photo.png"],
    "predict file": ["predict", OTHER, "photo.png"],
    "reconstruct": ["reconstruct", NET, "photo.png", "--out", "out"],
    "sample": ["sample", NET, "--count", "1", "--out", "out"],
    "models": ["models"],
    "models --json": ["models", NET, "--json"],
    "trace": ["trace", NET],
    "compare": ["compare", f"{NET}@v1", f"{NET}@v2"],
    "reproduce": ["reproduce", NET],
    "promote": ["promote", NET],
    "rollback": ["rollback", NET],
    "sync": ["sync", NET],
}
# What no message may hold: words of Python and of the system, and names of files that convzoo makes and removes.
TEMPORARY = re.escape(tempfile.gettempdir())
LEAK = re.compile(rf"Traceback|Errno|<class| object at 0x|\.new\b|{TEMPORARY}/tmp\w+|/convzoo-\w{{8}}/")
NAMED = re.compile(r"error: (the registry|profile '\S+'|\S+): \S")  # a path or another name, and what is wrong with it
MARKERS = b"<<<<<<< HEAD\n1\n=======\n2\n>>>>>>> other\n"
FILES = [
    "params.yaml", "profiles/test.yaml", "dvc.lock", "photo.png", f"models/{NET}/export.json",
    f"models/{NET}/evaluation.json", f"models/{NET}/fingerprint.json", f"models/{NET}/architecture.json",
    f"models/{NET}/history.csv", f"models/{NET}/model.onnx", "data/prepared/shapes/val/images.npy",
    "reports/data/shapes.json", "mlruns/mlflow.db",
]  # fmt: skip


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: max(1, file.stat().st_size // 2)])


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def link_to_itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def link_to_nothing(file: Path) -> None:
    file.unlink()
    file.symlink_to("../no such file")


def link_to_a_folder(file: Path) -> None:
    file.unlink()
    file.symlink_to(Path("profiles").absolute())


def link_to_a_file(file: Path) -> None:
    """The same content elsewhere, as DVC's cache has it: nothing is wrong with it."""
    elsewhere = Path("elsewhere", file.name).absolute()
    elsewhere.parent.mkdir()
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "cut": cut,
    "markers": lambda file: file.write_bytes(file.read_bytes()[:20] + MARKERS + file.read_bytes()[20:]),
    "not text": lambda file: file.write_bytes(b"\xff\xfe\x00" * 99),
    "list": lambda file: file.write_bytes(b"[]"),
    "folder": folder_instead,
    "link to itself": link_to_itself,
    "link to nothing": link_to_nothing,
    "link to a folder": link_to_a_folder,
    "link to a file": link_to_a_file,
    "no rights": lambda file: file.chmod(0),
    "read-only": lambda file: file.chmod(0o444),
}


def in_mlflow(change: Callable[[MlflowClient, ModelVersion], object]) -> Callable[[], None]:
    """A change to the newest version of the network, or to what it is made of, past convzoo."""

    def damage() -> None:
        client = store.use_store()
        change(client, client.get_model_version_by_alias(NET, "candidate"))

    return damage


def made_by_hand(client: MlflowClient, _: ModelVersion) -> None:
    version = client.create_model_version(NET, source=str(Path.cwd() / "models" / NET))
    client.set_registered_model_alias(NET, "candidate", version.version)
    client.set_registered_model_alias(NET, "champion", version.version)


TREES = {
    "no mlruns": lambda: shutil.rmtree("mlruns"),
    "no models": lambda: shutil.rmtree("models"),
    "no artifacts": lambda: shutil.rmtree("mlruns/artifacts"),
    "models is a file": lambda: (shutil.rmtree("models"), Path("models").write_text("")),
    "mlruns is a file": lambda: (shutil.rmtree("mlruns"), Path("mlruns").write_text("")),
    "no rights to models": lambda: Path("models").chmod(0),
    "no rights to mlruns": lambda: Path("mlruns").chmod(0),
    "no rights to artifacts": lambda: Path("mlruns/artifacts").chmod(0),
    "read-only mlruns": lambda: Path("mlruns").chmod(0o555),
    "read-only project": lambda: Path().chmod(0o555),
    "out is a file": lambda: Path("out").write_text(""),
    "elsewhere": lambda: (Path("empty").mkdir(), os.chdir("empty")),
    "model deleted": in_mlflow(lambda client, version: client.delete_logged_model(model_of(version))),
    "run deleted": in_mlflow(lambda client, version: client.delete_run(version.run_id)),
    "experiment deleted": in_mlflow(
        lambda client, version: client.delete_experiment(client.get_run(version.run_id).info.experiment_id)
    ),
    "version deleted": in_mlflow(lambda client, version: client.delete_model_version(NET, version.version)),
    "network deleted": in_mlflow(lambda client, _: client.delete_registered_model(NET)),
    "network renamed": in_mlflow(lambda client, _: client.rename_registered_model(NET, 'it\'s "odd" %20')),
    "version made by hand": in_mlflow(made_by_hand),
    "tags removed": in_mlflow(
        lambda client, version: [client.delete_model_version_tag(NET, version.version, tag) for tag in version.tags]
    ),
}
STATES = [*((file, name) for file in FILES for name in DAMAGES), *((name, "tree") for name in TREES)]
PAIRS = [(state, command) for state in STATES for command in COMMANDS]
if os.environ.get("CONVZOO_DAMAGES") != "all":
    PAIRS = random.Random(0).sample(PAIRS, 80)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A project with two registered versions of a network, whose commands all work."""
    return tmp_path_factory.mktemp("whole") / "project"


@pytest.fixture
def damaged(whole, project, write_network, tmp_path, monkeypatch) -> Iterator[Path]:  # noqa: F811 (fixtures)
    if not whole.exists():
        shutil.copytree(project, whole)
        monkeypatch.chdir(whole)
        shutil.copy(ROOT / "params.yaml", whole)
        shutil.copytree(ROOT / "profiles", whole / "profiles")
        shutil.copy(ROOT / "dvc.lock", whole)
        shutil.copy(ROOT / "docs/images/mlflow-curves.png", whole / "photo.png")
        for seed in (1, 2):
            write_network(NET, seed)
            register(NET)
        write_network(OTHER, 3)
    folder = Path(shutil.copytree(whole, tmp_path / "project"))
    monkeypatch.chdir(folder)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)


@pytest.mark.parametrize(
    ("state", "command"), PAIRS, ids=[f"{file}-{name}-{command}" for (file, name), command in PAIRS]
)
def test_a_command_over_a_damaged_state_ends_in_messages(damaged, state, command):
    file, damage = state
    if damage == "tree":
        TREES[file]()
    else:
        DAMAGES[damage](damaged / file)
    with as_a_user():
        result = CliRunner().invoke(app, COMMANDS[command])
    expected = result.exception is None or isinstance(result.exception, SystemExit)
    assert expected, f"{result.exception!r}\n{result.output}"
    assert result.exit_code in (0, 1, 2)
    assert not (leak := LEAK.search(result.output)), f"{leak[0]!r} in {result.output}"
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    if result.exit_code == 1:
        # The verdicts of the gate and of a rebuild are printed, and no errors.
        assert errors or command in ("promote", "reproduce"), result.output
    else:
        assert not errors, result.output
    for line in errors:
        assert NAMED.match(line) and len(line) < 1500, line


@pytest.mark.parametrize("damage", ["link to a file", "read-only"])
@pytest.mark.parametrize("file", FILES)
def test_a_link_to_a_file_and_a_file_that_cannot_be_written_change_nothing(damaged, file, damage):
    commands = [COMMANDS[name] for name in ("check", "models", "trace", "predict version", "predict file")]
    before = [CliRunner().invoke(app, command).exit_code for command in commands]
    DAMAGES[damage](damaged / file)
    with as_a_user():
        results = [CliRunner().invoke(app, command) for command in commands]
    assert [result.exit_code for result in results] == before, [result.output for result in results]
