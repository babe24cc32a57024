"""What holds for what ships of every network of params.yaml, whatever its family."""

import csv
import re

import numpy as np
import pytest
from helpers.project import ROOT

from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of
from convzoo.settings.load import read_params
from convzoo.shipping.model import Model

NETWORKS = list(read_params(ROOT / "params.yaml").values["networks"])


@pytest.fixture(params=NETWORKS)
def folder(rebuilt, request):
    return rebuilt.folder / "models" / request.param


@pytest.fixture
def model(folder):
    return Model(folder / "model.onnx")


def inputs(model: Model, count: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    shape = (count, *model.input.shape[1:])
    if model.input.dtype == "uint8":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.standard_normal(shape).astype(model.input.dtype)


def test_one_and_seven_are_answered_alike_and_finitely(model):
    seven = model(inputs(model, 7))
    assert seven.shape == (7, *model.output.shape[1:]) and seven.dtype == model.output.dtype
    assert np.isfinite(seven.astype(np.float64)).all()
    one = model(inputs(model, 7)[3:4])
    apart = np.abs(one[0].astype(np.float64) - seven[3])
    assert apart.max() <= (1 if seven.dtype == np.uint8 else 1e-4), "a grey level at most, or rounding"


def test_another_type_and_another_shape_are_refused_with_what_was_expected(model):
    right = inputs(model, 2)
    other = right.astype(np.float64)
    for wrong in (other, right[0], right[..., :-1]):
        with pytest.raises(ConvzooError, match=rf"expected {re.escape(str(model.input))} .*, got {wrong.dtype}"):
            model(wrong)


def test_files_say_what_they_are(folder, model):
    export, architecture = read_json(folder / "export.json"), read_json(folder / "architecture.json")
    assert export["model_sha256"] == sha256_of(folder / "model.onnx")
    assert export["weights_sha256"] == sha256_of(folder / "weights.safetensors")
    assert model.described["network"] == folder.name
    assert model.described["family"] == architecture["family"]
    assert [export["input"]["dtype"], *export["input"]["shape"][1:]] == [model.input.dtype, *model.input.shape[1:]]
    assert [export["output"]["dtype"], *export["output"]["shape"][1:]] == [model.output.dtype, *model.output.shape[1:]]


def test_each_part_is_listed_with_its_input_and_output(folder):
    files = {file.name for file in (folder / "parts").glob("*.onnx")}
    index = read_json(folder / "parts/parts.json")
    assert index.keys() == files == read_json(folder / "export.json")["parts_sha256"].keys()
    for name, ends in index.items():
        part = Model(folder / "parts" / name)
        for end, tensor in (("input", part.input), ("output", part.output)):
            assert ends[end] == {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}


def test_a_history_has_a_row_an_epoch_of_numbers(folder):
    with (folder / "history.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header[0] == "epoch" and all(re.fullmatch(r"[a-z0-9_]+", column) for column in header)
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
    assert all(np.isfinite(float(cell)) for row in rows for cell in row if cell)
    assert rows[-1][-1], "the last column is the headline figure"


def test_something_is_there_to_look_at_and_counted(folder):
    metrics = read_json(folder / "evaluation.json")
    assert any(key.startswith("test_") for key, value in metrics.items() if isinstance(value, int | float))
    assert list((folder / "plots").glob("*.png"))
    assert list((folder / "extra").glob("*.npy"))
