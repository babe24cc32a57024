"""What holds for the evaluation of every family: what it writes, that it repeats itself, and what it refuses."""

import math
import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from helpers.project import ROOT
from helpers.small import FAMILIES
from PIL import Image

from convzoo.errors import ConvzooError
from convzoo.files import read_json

FILES = [(name, file) for name, family in FAMILIES.items() for file in sorted(family.evaluated)]


def numbers_in(metrics: dict) -> Iterator[float]:
    """All numbers, also those in dicts in dicts."""
    for value in metrics.values():
        if isinstance(value, dict):
            yield from numbers_in(value)
        elif isinstance(value, int | float):
            yield value


def test_metrics_and_plots_are_written_and_said(family, shipped):
    metrics = read_json(family.folder / "evaluation.json")
    assert metrics == shipped.metrics
    assert set(metrics) == family.metrics
    assert any(key.startswith("test_") for key, value in metrics.items() if isinstance(value, int | float))
    assert all(math.isfinite(value) and value == round(value, 6) for value in numbers_in(metrics))
    plots = family.folder / "plots"
    assert {file.name for file in plots.iterdir()} == family.plots
    for file in plots.glob("*.png"):
        with Image.open(file) as picture:
            assert set(picture.info) <= {"dpi"}, "no software, no time"
    assert re.search(family.summary, shipped.said)


def test_the_same_files_give_the_same_bytes(family, shipped):
    before = family.outputs()
    assert family.evaluate() == shipped.metrics
    assert family.outputs() == before


@pytest.mark.parametrize(("family", "file"), FILES, indirect=["family"])
def test_a_file_of_another_export_is_refused(family, shipped, file):
    path = family.folder / file
    model = onnx.load(path)
    model.producer_version = "another"
    onnx.save(model, path)
    with pytest.raises(ConvzooError, match=rf"{path.name}: sha256 .* is not what export\.json says"):
        family.evaluate()


def test_an_array_of_the_training_that_is_cut_short_is_named(family, shipped):
    for file in (family.folder / "extra").glob("*.npy"):
        content = file.read_bytes()
        file.write_bytes(b"cut")
        message = rf"{file.name}: cannot be read .*: convzoo repro -f train@{family.network}"
        with pytest.raises(ConvzooError, match=message):
            family.evaluate()
        file.write_bytes(content)


def test_a_missing_split_is_named(family, shipped):
    (family.prepared / "test/images.npy").unlink()
    with pytest.raises(ConvzooError, match=f"{family.prepared}/test: cannot be read"):
        family.evaluate()


def test_images_of_another_size_are_refused(family, shipped):
    file = family.prepared / "test/images.npy"
    images = np.load(file)[:, 1:]
    np.save(file, images)
    height, width, channels = images.shape[1:]
    expected = rf"expected uint8 \(N, {height + 1}, {width}, {channels}\).*got uint8 \(\d+, {height}, {width}, "
    with pytest.raises(ConvzooError, match=expected):
        family.evaluate()


def test_evaluating_needs_no_torch():
    code = "import sys\n" + "".join(
        f"import convzoo.families.{name}.evaluate\nassert not {{'torch', 'mlflow'}} & set(sys.modules), '{name}'\n"
        for name in FAMILIES
    )
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env={"PYTHONPATH": str(ROOT / "src")}, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
