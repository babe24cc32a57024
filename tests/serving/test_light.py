"""A light installation, without torch, DVC, Great Expectations and MLflow, serves and predicts from a folder."""

import json
import re

import pytest
from helpers.project import ROOT, python
from helpers.served import HEAVY, get, images, light, server
from PIL import Image


def test_a_folder_is_served_without_the_packages_of_the_pipeline(zoo, tmp_path):
    with server(tmp_path, "--models", str(zoo), **light(tmp_path)) as (address, _, _):
        assert get(f"{address}/readyz")["ready"]
        assert len(get(f"{address}/v1/models")["networks"]) == 3


def test_convzoo_predict_runs_without_them(zoo, tmp_path):
    Image.fromarray(images(1)[0, :, :, 0]).save(tmp_path / "a.png")
    arguments = ("-m", "convzoo", "predict", str(zoo / "pets/model.onnx"), "a.png", "--json")
    printed = python(tmp_path, *arguments, **light(tmp_path))
    [row] = json.loads(printed[printed.index("[") : printed.rindex("]") + 1])
    assert row["file"] == "a.png" and 0 < row["probability"] <= 1


@pytest.mark.parametrize("words", [("drift", "mnist-classifier"), ("bits",), ("sync",)])
def test_other_commands_name_the_package_that_they_lack(tmp_path, words):
    printed = python(ROOT, "-m", "convzoo", *words, expected=1, **light(tmp_path))
    assert "Traceback" not in printed
    assert re.search(r"error: \w+: is not installed, expected the full installation .* make setup", printed), printed


def test_what_is_blocked_here_cannot_be_imported(tmp_path):
    code = f"""
for name in {HEAVY}:
    try:
        __import__(name)
    except ImportError:
        print(name)
"""
    assert tuple(python(tmp_path, "-c", code, **light(tmp_path)).split()) == HEAVY
