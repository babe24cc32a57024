"""Commands in places with odd names, and in none of a project."""

import shutil
from pathlib import Path

import pytest
from helpers.registered import candidate_of, versions_of

from convzoo.errors import ConvzooError
from convzoo.tracking import store
from convzoo.tracking.listing import listing
from convzoo.tracking.registry import register
from convzoo.tracking.versions import find_model, find_version

ODD = [
    "per%20cent",
    "what?",
    "a#b",
    "it's",
    'quo"te',
    "semi;colon&amp",
    "naïve 猫",
    "new\nline",
    "a=b,c",
    "[x]",
    "$HOME",
]


@pytest.fixture
def odd(request, project, tmp_path, monkeypatch) -> Path:
    folder = tmp_path / request.param / "con zoo"
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns("mlruns", "models"))
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("odd", ODD, indirect=True)
def test_a_project_below_a_folder_of_any_name_registers_and_finds_its_networks(odd, write_network, monkeypatch):
    write_network("net", 1)
    assert "version 1 registered" in register("net")
    assert (odd / "mlruns/mlflow.db").is_file()
    assert candidate_of("net") == 1 and len(versions_of("net")) == 1
    assert find_model("net").title == "net@candidate: version 1"
    assert find_version("net").lineage["network"] == "net"
    outside = [path for path in odd.parent.rglob("mlflow.db") if path.parent != odd / "mlruns"]
    assert not outside
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri())
    assert listing("net")[0]["aliases"] == ["candidate"], "also by the address that convzoo itself uses"


def test_outside_a_project_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for use in (listing, lambda: find_model("net"), lambda: find_version("net")):
        with pytest.raises(
            ConvzooError, match=rf"{tmp_path}: has no params.yaml, expected the project's folder; run this"
        ):
            use()
    assert not list(tmp_path.iterdir())


def test_where_mlruns_was_removed_sync_is_the_remedy(project, write_network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("profile: test\n")
    with pytest.raises(ConvzooError, match=r"no model is registered yet; to train .*, run: convzoo repro$"):
        listing()
    write_network("net", 1)
    Path("models/net/registration.json").write_text("{}")  # so that DVC skips the stage
    with pytest.raises(ConvzooError, match="to register what is in models/, run: convzoo sync"):
        listing()
