"""What a training leaves: all of its files or none."""

from types import SimpleNamespace

import pytest
import torch
from helpers.small.classifier import small_project, small_settings
from helpers.small.family import COMPUTE

from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of
from convzoo.training.workspace import OUTPUTS, _checked_identity, load_data, open_workspace

FOLDER = "models/net"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(small_project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def write(number: int, fail: bool = False) -> None:
    """A training of no epochs that leaves weights full of `number`."""
    with open_workspace("net", small_settings(seed=number).model_dump(), load_data("mnist"), COMPUTE, "test") as work:
        work.state.history = [{"epoch": 1, "val_loss": number}]
        with work.results({"shape": [number]}, {"a": torch.full((2,), float(number))}) as extra:
            (extra / f"{number}.safetensors").write_text(str(number))
            if fail:
                raise KeyboardInterrupt


def contents(folder) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_the_files_of_a_training_belong_together_and_take_the_place_of_older_ones(project):
    write(1)
    write(2)
    folder = project / FOLDER
    assert {file.name for file in folder.iterdir()} == set(OUTPUTS)
    assert [file.name for file in (folder / "extra").iterdir()] == ["2.safetensors"]
    assert read_json(folder / "architecture.json") == {
        "shape": [2],
        "weights_sha256": sha256_of(folder / "weights.safetensors"),
        "extra_sha256": {"2.safetensors": sha256_of(folder / "extra/2.safetensors")},
    }
    assert read_json(folder / "fingerprint.json")["params"]["seed"] == 2
    assert not list((project / ".checkpoints").iterdir())


def test_a_training_that_is_stopped_while_it_writes_leaves_the_older_files_as_they_were(project):
    write(1)
    before = contents(project / FOLDER)
    with pytest.raises(KeyboardInterrupt):
        write(2, fail=True)
    assert contents(project / FOLDER) == before
    assert list((project / ".checkpoints").iterdir()), "the checkpoint is there to continue from"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"compute": {"threads": 1}}, "compute.threads: is 1 for process 1, expected 2 as for process 0"),
        ({"code": {"a.py": "2", "b.py": "1"}}, "code.a.py: is 2 for process 1, expected 1 as for process 0"),
        ({"data": {}}, "data.train: is None for process 1, expected x as for process 0"),
    ],
)
def test_a_process_that_differs_from_the_first_is_named_with_what_differs(part, message):
    common = {"params": {}, "compute": {"threads": 2}, "data": {"train": "x"}, "code": {"a.py": "1"}, "versions": {}}
    fabric = SimpleNamespace(broadcast=lambda identity: common, global_rank=1)
    assert _checked_identity(fabric, dict(common)) is common
    with pytest.raises(ConvzooError, match=message):
        _checked_identity(fabric, common | part)
