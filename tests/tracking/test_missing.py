"""What an error proposes for a name that stands for no registered version."""

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.commands import shared
from convzoo.tracking.missing import not_found
from convzoo.tracking.reader import Page

TRAIN = "to train and register networks, run: convzoo repro"


class Client:
    """Two registered models: `digits-net`, with an alias on each of its versions, and `digits-gan`, never promoted."""

    aliases: ClassVar = {
        "digits-net": {"champion": "1", "candidate": "2"},
        "digits-gan": {"candidate": "1"},
        "empty": {},
    }
    versions: ClassVar = {"digits-net": 2, "digits-gan": 12, "empty": 0}

    def search_registered_models(self) -> Page:
        return Page(SimpleNamespace(name=name) for name in self.versions)

    def search_model_versions(self, filter_string: str) -> Page:
        return Page(
            SimpleNamespace(name=name, version=number)
            for name, count in self.versions.items()
            for number in range(1, count + 1)
        )

    def get_registered_model(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(aliases=self.aliases[name], tags={})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digits-net@v9", "digits-net has no version 9; choose one of its versions: v2 (candidate), v1 (champion)"),
        (
            "digits-net@chamipon",
            "digits-net has no alias chamipon; did you mean 'champion'? choose one of its versions: v2 (c",
        ),
        ("digits-net@2", "digits-net has no alias 2; did you mean 'v2'? choose one of its versions: v2 (c"),
        (
            "digits-gan@champion",
            "digits-gan has no champion yet; to make its candidate the champion, run: convzoo promote digits-gan; or "
            "name another version, as in digits-gan@v1 (its versions: v1 (candidate), v12, v11, v10, v9, v8, v7, v6, "
            "v5, v4, ...)",
        ),
        (
            "digits-ney",
            "no model with the name digits-ney is registered; did you mean 'digits-net'? registered models: digits-gan,"
            f" digits-net, empty; {TRAIN}",
        ),
        (
            "empty",
            f"no model with the name empty is registered; registered models: digits-gan, digits-net, empty; {TRAIN}",
        ),
    ],
)
def test_a_name_without_a_version_gets_what_there_is_instead(name, message):
    assert str(not_found(Client(), name)).startswith(f"{name}: {message}")


def test_a_network_without_the_usual_aliases_has_its_versions_listed(monkeypatch):
    monkeypatch.setattr(Client, "aliases", {"digits-net": {"best": "1"}})
    assert str(not_found(Client(), "digits-net")) == (
        "digits-net: no version has the alias champion or candidate; name one, as in digits-net@v1 (its versions: v1 "
        "(best), v2)"
    )


def test_only_networks_that_the_command_can_use_are_proposed():
    message = str(not_found(Client(), "digits-ga", suits=lambda network: network == "digits-net"))
    assert "'digits-gan'" not in message and "registered models for this command: digits-net; " in message


def test_nothing_is_registered_before_the_first_run_and_sync_registers_what_is_there(monkeypatch):
    monkeypatch.setattr(Client, "versions", {})
    assert str(not_found(Client(), "the registry")) == f"the registry: no model is registered yet; {TRAIN}"
    Path("models/net").mkdir(parents=True)
    Path("models/net/registration.json").touch()
    assert str(not_found(Client(), "x")).endswith("yet; to register what is in models/, run: convzoo sync")


@pytest.fixture
def params(monkeypatch):
    """A project with a network of each of two families and one of none; what is asked of the registry is not found."""
    Path("src/convzoo").mkdir(parents=True)
    text = "networks: {digits-net: {family: classifier}, digits-gan: {family: dcgan}, empty: {}}\n"
    Path("params.yaml").write_text(text)

    def ask(name: str, suits) -> None:
        raise not_found(Client(), name, suits=suits)

    monkeypatch.setattr("convzoo.tracking.versions.find_model", ask)


@pytest.mark.parametrize(
    ("command", "usable"), [("predict", "digits-net, empty"), ("sample", "digits-gan, empty"), ("reconstruct", "empty")]
)
def test_the_family_in_params_says_which_command_can_use_a_network(params, command, usable):
    arguments = [command, "digits", *(["x.png"] if command != "sample" else [])]
    printed = CliRunner().invoke(app, arguments).stderr
    assert f"registered models for this command: {usable}; " in printed


def test_a_file_is_named_as_what_was_loaded(capsys):
    assert shared.model_file("some/model.onnx", "predict") == Path("some/model.onnx")
    assert capsys.readouterr().err == "some/model.onnx: loaded as a file, not from the registry\n"
