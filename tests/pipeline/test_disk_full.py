"""A full disk: a clear error, nothing half-written, and what was finished before is there to go on from."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.full_disk import ADVICE, fill, on_small_disk
from helpers.project import ROOT
from helpers.small.classifier import small_project, small_settings
from helpers.small.family import COMPUTE
from safetensors import SafetensorError

from convzoo.errors import DiskFullError, main
from convzoo.families.classifier import train as classifier
from convzoo.families.classifier.export import export
from convzoo.files import new_file, new_folder, sha256_of
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from convzoo.training import checkpoints, workspace

NETWORK = "mnist-classifier"
FOLDER = Path("models", NETWORK)
SAYS_SO = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    OSError("1000000 requested and 261616 written"),  # NumPy
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    for name in ("DVC_ROOT", "CONVZOO_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def project(folder):
    return small_project(folder)


def train() -> None:
    classifier.train(NETWORK, small_settings(), COMPUTE, "test")


def outputs() -> dict[str, str]:
    return {file.name: sha256_of(file) for file in Path("models").rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory) -> dict[str, str]:
    """What the training makes that nothing comes in the way of."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(small_project(tmp_path_factory.mktemp("left alone")))
        patched.setenv("CONVZOO_TRACKING", "off")
        patched.delenv("DVC_ROOT", raising=False)
        train()
        return outputs()


@pytest.mark.parametrize("error", SAYS_SO, ids=str)
def test_a_full_disk_is_said_with_the_final_name_and_what_was_there_stays(folder, error):
    for file in ("a.txt", "b/c.txt"):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_text("old")
    with pytest.raises(DiskFullError, match=f"^a.txt: {ADVICE}"), new_file(Path("a.txt")) as temporary:
        temporary.write_text("half")
        raise error
    with pytest.raises(DiskFullError, match=f"^b: {ADVICE}"), new_folder(Path("b")) as temporary:
        (temporary / "c.txt").write_text("half")
        raise error
    assert [file.read_text() for file in folder.rglob("*") if file.is_file()] == ["old", "old"]


def test_a_file_in_a_new_folder_is_named_by_its_final_name_too(folder):
    with pytest.raises(DiskFullError, match=f"^b/c.txt: {ADVICE}"), new_folder(Path("b")) as new:
        fill(new / ".c.txt.new")
        with new_file(new / "c.txt") as temporary:
            temporary.write_text("half")
    assert list(folder.iterdir()) == []


def test_an_entry_ends_with_code_1_and_a_line(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["entry"])
    with pytest.raises(SystemExit) as ended:
        main(lambda: Path("/dev/full").write_text("x"))
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and ADVICE in line


def test_another_error_of_the_system_is_not_called_a_full_disk(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["entry"])
    with pytest.raises(SystemExit):
        main(lambda: Path("nowhere").read_text())
    assert capsys.readouterr().err == "error: nowhere: does not exist, expected a file or folder; check the path\n"


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_checkpoint_without_room_leaves_the_one_before_and_the_training_goes_on_from_it(
    project, left_alone, monkeypatch, capsys, kept
):
    saved = []

    def save_until_full(tensors, file, metadata):
        if len(saved) == kept:
            file.write_bytes(b"half")
            raise SAYS_SO[2]
        saved.append(file)
        save(tensors, file, metadata=metadata)

    save = checkpoints.save_file
    with monkeypatch.context() as patched, pytest.raises(DiskFullError, match=rf"last.safetensors: {ADVICE}"):
        patched.setattr(checkpoints, "save_file", save_until_full)
        train()
    rest = f"epoch {kept} is kept; `convzoo repro` continues from there" if kept else "no epoch was finished"
    assert f"{NETWORK}: stopped; {rest}" in capsys.readouterr().err
    names = {file.name for file in Path(".checkpoints").rglob("*") if file.is_file()}
    assert names - {"lock", checkpoints.IDENTITY} == ({"last.safetensors"} if kept else set())

    train()
    assert (f"resuming {NETWORK} at epoch {kept + 1}" in capsys.readouterr().out) == bool(kept)
    assert outputs() == left_alone


@pytest.mark.parametrize("file", ["architecture.json", "fingerprint.json", "history.csv", "weights.safetensors"])
def test_a_training_that_cannot_write_what_it_made_is_not_lost(project, left_alone, monkeypatch, capsys, file):
    def write_until_full(write: Callable) -> Callable:
        def writes(path: Path, *rest) -> None:
            if path.name == file:
                fill(path.with_name(f".{file}.new"))
            write(path, *rest)

        return writes

    def full(*_) -> None:
        raise SAYS_SO[2]

    with monkeypatch.context() as patched, pytest.raises(DiskFullError, match=f"^{FOLDER / file}: {ADVICE}"):
        if file == "weights.safetensors":
            patched.setattr(workspace, "save_file", full)
        for name in ("write_json", "write_history"):
            patched.setattr(workspace, name, write_until_full(getattr(workspace, name)))
        train()
    assert outputs() == {}
    assert not list(Path("models").rglob(".*"))

    train()
    assert f"resuming {NETWORK} at epoch 4" in capsys.readouterr().out
    assert outputs() == left_alone


@pytest.mark.parametrize(
    ("file", "temporary"), [("model.onnx", "..model.onnx.new.new"), ("export.json", ".export.json.new")]
)
def test_an_export_without_room_leaves_nothing_half_written(project, file, temporary):
    train()
    settings = network_settings(read_params(), "export", NETWORK)
    before = outputs()
    fill(FOLDER / temporary)
    with pytest.raises(DiskFullError, match=f"^{FOLDER / file}: {ADVICE}"):
        export(NETWORK, settings)
    assert file not in outputs() and before.items() <= outputs().items()
    assert not list(Path("models").rglob(".*"))
    export(NETWORK, settings)
    assert file in outputs()


TWICE = """
import subprocess, sys
from pathlib import Path
from helpers.small.classifier import small_settings
from helpers.small.family import COMPUTE
from convzoo.errors import main
from convzoo.families.classifier import train as classifier
from convzoo.training import workspace

def size(bytes):
    subprocess.run(["mount", "-o", f"remount,size={bytes}", ".checkpoints"], check=True)

def shrink(run, epoch, row):
    if epoch == 2:
        (kept,) = Path(".checkpoints").rglob("last.safetensors")
        size(kept.stat().st_size + 8192)

def train():
    classifier.train("mnist-classifier", small_settings(), COMPUTE, "test")

workspace.LiveRun.log, log, sys.argv = shrink, workspace.LiveRun.log, ["train"]
try:
    main(train)
except SystemExit as ended:
    found = [file.name for file in Path(".checkpoints").rglob("*safetensors*")]
    print("ended with", ended.code, found, flush=True)
size(9_000_000)
workspace.LiveRun.log = log
main(train)
"""


@pytest.mark.prove
def test_a_disk_that_fills_up_during_a_training_costs_an_epoch(project, left_alone):
    Path("twice.py").write_text(TWICE)
    sources = os.pathsep.join(str(ROOT / name) for name in ("src", "tests"))
    told = on_small_disk(".checkpoints", 9000, "python twice.py", PYTHONPATH=sources)
    first, second = told.split("ended with 1 ['last.safetensors']")
    assert f"{NETWORK}: stopped; epoch 2 is kept" in first
    assert first.count("error: ") == 1 and f"last.safetensors: {ADVICE}" in first
    assert f"resuming {NETWORK} at epoch 3" in second
    for file in ("weights.safetensors", "history.csv"):
        assert outputs()[file] == left_alone[file]
