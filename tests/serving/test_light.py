"""A light installation, without torch, DVC, Great Expectations and MLflow, serves and predicts from a folder."""

import json

from helpers.project import python
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


def test_what_is_blocked_here_cannot_be_imported(tmp_path):
    code = f"""
for name in {HEAVY}:
    try:
        __import__(name)
    except ImportError:
        print(name)
"""
    assert tuple(python(tmp_path, "-c", code, **light(tmp_path)).split()) == HEAVY
