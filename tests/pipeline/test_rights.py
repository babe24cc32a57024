"""Files without rights, on read-only disks or in the way: one line that names the path, never a traceback."""

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT, environment, link_code
from PIL import Image
from ruamel.yaml import YAML

from convzoo.errors import ConvzooError, explained

# Root may read and write everything, unless it gives that up.
AS_A_USER = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.fixture
def project(tmp_path) -> Path:
    """A project whose set `mnist` is a folder of photos beside it."""
    folder = tmp_path / "project"
    folder.mkdir()
    link_code(folder)
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    limits = {"files": 99, "bytes": 10**6, "pixels": 10**6}
    own = {"kind": "folder", "path": "../photos/here", "layout": "{class}/*", "licence": "ours", "limits": limits}
    params["sources"]["mnist-package"] = own
    params["data"]["mnist"]["prepare"]["classes"] = "source"
    yaml.dump(params, folder / "params.yaml")
    for number, name in enumerate(("cats", "dogs")):
        (tmp_path / "photos/here" / name).mkdir(parents=True)
        for image, pixels in enumerate(np.random.default_rng(number).integers(0, 256, (20, 28, 28), np.uint8)):
            Image.fromarray(pixels).save(tmp_path / f"photos/here/{name}/{image}.png")
    yield folder
    for path in (tmp_path, *tmp_path.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)


def run(folder: Path, *arguments: str, **more: str) -> str:
    """The error that a command without root's powers ends with, one line."""
    command = [*AS_A_USER, sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=120)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(errors) == 1 and "Traceback" not in done.stderr, done.stdout + done.stderr
    return errors[0]


def download(project: Path) -> None:
    command = [sys.executable, "pipeline/download.py", "mnist"]
    subprocess.run(command, cwd=project, env=environment(), check=True, capture_output=True)


def test_a_source_below_a_folder_without_rights_is_named(project):
    (project.parent / "photos").chmod(0)
    error = run(project, "pipeline/download.py", "mnist")
    assert re.search(r"/photos/here: may not be read or written by this user, expected permission; change its", error)


def test_a_class_folder_and_a_picture_without_rights_are_named(project):
    (project.parent / "photos/here/cats/3.png").chmod(0)
    assert "photos/here/cats/3.png: cannot be packed (Permission denied)" in run(
        project, "pipeline/download.py", "mnist"
    )
    (project.parent / "photos/here/dogs").chmod(0)
    assert "photos/here/dogs: cannot be read (Permission denied)" in run(project, "pipeline/download.py", "mnist")


@pytest.mark.parametrize("place", ["data", "data/raw"])
def test_a_data_folder_that_cannot_be_written_is_named(project, place):
    (project / place).mkdir(parents=True, exist_ok=True)
    (project / place).chmod(0o555)
    error = run(project, "pipeline/download.py", "mnist")
    assert re.match(rf"error: .*{place}.*: may not be read or written by this user, expected permission; ", error)
    assert ".new" not in error


def test_a_file_in_the_way_of_a_folder_is_named(project):
    (project / "data/raw").write_text("")
    error = run(project, "pipeline/download.py", "mnist")
    assert re.search(r"data/raw.*(is in the way|is not a folder, or lies below a file)", error)


def test_prepared_data_that_cannot_be_read_or_written_are_named(project):
    download(project)
    (project / "data/prepared").mkdir()
    (project / "data/prepared").chmod(0o555)
    assert "data/prepared/mnist: may not be read or written" in run(project, "pipeline/prepare.py", "mnist")
    (project / "data/raw/mnist/pictures.tar").chmod(0)
    assert "pictures.tar" in run(project, "pipeline/prepare.py", "mnist")


def test_params_that_cannot_be_replaced_stay_and_are_named(project):
    before = (project / "params.yaml").read_bytes()
    project.chmod(0o555)
    assert "error: params.yaml: may not be read or written" in run(project, "-m", "convzoo.cli", "profile", "test")
    assert (project / "params.yaml").read_bytes() == before


def test_a_mirror_in_the_home_of_nobody_is_named(project):
    yaml = YAML()
    params = yaml.load(project / "params.yaml")
    params["data"]["mnist"]["source"] = "mnist-published"
    yaml.dump(params, project / "params.yaml")
    error = run(project, "pipeline/download.py", "mnist", CONVZOO_MIRROR="~no-such-user/x")
    assert error.startswith("error: CONVZOO_MIRROR: ~no-such-user/x: ") and "write its whole path" in error


@pytest.mark.parametrize(
    "number", [number for number in errno.errorcode if number not in (errno.EPIPE, errno.ESHUTDOWN)]
)
def test_every_error_about_a_path_names_it_and_says_what_to_do(number):
    """No temporary name reaches the user either."""
    for path in ("models/net/.model.onnx.new", b"models/net/.new/model.onnx", "models/net/..model.onnx.new.new"):
        message = explained(OSError(number, os.strerror(number), path))
        assert isinstance(message, ConvzooError)
        assert str(message).startswith("models/net/model.onnx: ") and ".new" not in str(message)
        assert "expected" in str(message) or "reports an error" in str(message) or "too many" in str(message)
        assert "; " in str(message)


def test_an_error_without_a_path_has_a_remedy_too():
    assert "; check the disk" in str(explained(OSError(errno.ENETUNREACH, "Network is unreachable")))
    assert explained(BrokenPipeError(errno.EPIPE, "Broken pipe")) is None
    assert explained(ValueError("a fault of the program")) is None
