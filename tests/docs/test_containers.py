"""The Dockerfile and the compose file: linted, and compared with what the project says elsewhere. Nothing runs them."""

import re
import shutil
import subprocess
import tomllib

import pytest
from compose_spec import PyCompose
from helpers.project import ROOT

DOCKERFILE, COMPOSE = (ROOT / name for name in ("Dockerfile", "compose.yaml"))
VARIABLE = re.compile(r"\$\{(\w+):([-?])([^}]*)\}")  # with a default, or with a message if it is missing


def composed(text: str) -> PyCompose:
    """The compose file as an engine reads it, with the defaults of its variables."""
    return PyCompose.from_yaml(VARIABLE.sub(lambda match: match[3] if match[2] == "-" else "given", text))


def test_hadolint_has_nothing_to_say_about_the_dockerfile():
    linted = subprocess.run([shutil.which("hadolint"), "--no-color", DOCKERFILE], capture_output=True, text=True)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_the_compose_file_follows_the_specification():
    assert composed(COMPOSE.read_text()).service_names() == ["serve", "mlflow"]
    with pytest.raises(ValueError, match="read_onli"):
        composed(COMPOSE.read_text().replace("read_only:", "read_onli:"))


def test_both_services_are_targets_of_the_dockerfile_and_answer_on_this_machine_only():
    stages = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE.read_text(), re.MULTILINE)
    services = composed(COMPOSE.read_text()).to_dict()["services"]
    assert {name: service["build"]["target"] for name, service in services.items()} == {name: name for name in stages}
    for service in services.values():
        assert all(str(port).startswith("127.0.0.1:") for port in service["ports"])
    assert "CONVZOO_TOKEN:?" in COMPOSE.read_text(), "the server must not start without a token"


def test_the_image_gets_what_its_installation_reads_and_pinned_versions():
    listed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = re.findall(r"^COPY (.*) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    assert {name for names in copied for name in names.split()} == listed
    assert all((ROOT / name).exists() for name in listed)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert set(re.findall(r"--group (\S+)", DOCKERFILE.read_text())) <= set(groups)
    constraints = (ROOT / "constraints.txt").read_text().split()
    for package in re.findall(r"\b(?:mlflow|setuptools)==\S+", DOCKERFILE.read_text()):
        assert package in constraints
