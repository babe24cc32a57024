"""Commands work from any folder of the project; elsewhere they say where to run them, and write nothing."""

import shlex
import shutil
from pathlib import Path

import pytest
import torch
import typer
from helpers.project import ROOT
from typer.testing import CliRunner

from convzoo.cli import COMMANDS, _function, app
from convzoo.commands import profile
from convzoo.shipping.onnx import write_onnx

# The first reports it, the second asks a server, the third knows backbones by name, the fourth needs no files.
NEED_NO_PROJECT = ("doctor", "shadow", "structure", "bits")
REMEDIES = dict.fromkeys(("serve", "demo"), "run this from there, or name a folder of networks: --models DIR\n")


class Grey(torch.nn.Module):
    """A generator of grey images of 8x8 pixels."""

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return (128 + latents.mean(1).reshape(-1, 1, 1, 1).expand(-1, 8, 8, 1)).to(torch.uint8)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project's folder, with a folder below it that is the current one."""
    folder = tmp_path / "my project"
    for name in ("src/convzoo", "photos"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    monkeypatch.chdir(folder / "photos")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


def test_a_command_uses_the_projects_files_from_a_folder_below(project):
    result = CliRunner().invoke(app, ["profile", "test"])
    assert result.output.startswith("params.yaml now has the profile test: ")
    assert "\nprofile: test\n" in "\n" + (project / "params.yaml").read_text()
    assert Path.cwd() == project / "photos" and not list(Path().iterdir())


def test_the_users_paths_stay_relative_to_the_users_folder(project, monkeypatch):
    given = []
    monkeypatch.setattr(profile, "command", lambda **arguments: given.append((Path.cwd(), arguments["out"])))
    run = _function("profile", profile)
    run(out=Path("kept"))
    monkeypatch.chdir(project)
    run(out=Path("kept"))
    assert given == [(project, project / "photos/kept"), (project, Path("kept"))]


def test_sample_writes_16_images_to_a_new_folder_where_the_user_is(project):
    about = {"family": "dcgan", "network": "net"}
    write_onnx(Grey(), torch.zeros((2, 4)), "latents", "images", project / "net.onnx", about)
    for folder in ("samples", "samples-2"):
        result = CliRunner().invoke(app, ["sample", "../net.onnx"])
        assert result.stdout == f"16 images and grid.png in {folder}\n"
        assert len(list((project / "photos" / folder).glob("0*.png"))) == 16


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in NEED_NO_PROJECT])
def test_outside_a_project_a_command_says_so_and_writes_nothing(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    example = typer.main.get_command(app).get_command(None, command).examples[0]
    result = CliRunner().invoke(app, shlex.split(example)[1:])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {tmp_path}: is not in a convzoo project, expected the folder")
    assert result.stderr.endswith(REMEDIES.get(command, "run this from the project's folder\n"))
    assert not list(tmp_path.iterdir())


def test_a_profile_is_announced_in_one_line_and_listed_on_request(project):
    [line] = CliRunner().invoke(app, ["profile", "compact"]).output.splitlines()
    first, *keys = CliRunner().invoke(app, ["profile", "starter", "--verbose"]).output.splitlines()
    count = len(keys)
    assert line == f"params.yaml now has the profile compact: {count} settings changed (git diff shows them)"
    assert first == f"params.yaml now has the profile starter: {count} settings changed" and count > 50
    assert "  networks.mnist-classifier.epochs" in keys
    result = CliRunner().invoke(app, ["profile", "compct"])
    assert "profile 'compct': not found, did you mean 'compact'? expected one of: compact, cpu, full" in result.stderr
