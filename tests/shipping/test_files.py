"""Exported files as every family's evaluation reads them, and the rounding of what it measures."""

import numpy as np
import pytest
from helpers.onnx_files import save_linear_classifier

from convzoo.errors import ConvzooError
from convzoo.files import sha256_of
from convzoo.shipping.files import rounded, shipped_part


def test_floats_have_six_digits_and_everything_else_stays_as_it_is():
    value = {
        "float": 0.12345678,
        "numpy": np.float32(2.5000001),
        "nested": {"deep": {"loss": 1.9999999}},
        "count": 1234567,
        "flag": True,
        "name": "0.12345678",
        "nothing": None,
    }
    result = rounded(value)
    assert result == {
        "float": 0.123457,
        "numpy": 2.5,
        "nested": {"deep": {"loss": 2.0}},
        "count": 1234567,
        "flag": True,
        "name": "0.12345678",
        "nothing": None,
    }
    assert type(result["numpy"]) is float and type(result["count"]) is int and result["flag"] is True


def test_a_part_is_the_file_that_export_json_names(tmp_path):
    file = tmp_path / "parts/encoder.onnx"
    save_linear_classifier(file, np.zeros((4, 2)), (2, 2, 1))
    export = {"parts_sha256": {"encoder.onnx": sha256_of(file)}}
    assert shipped_part(tmp_path, export, "encoder.onnx").path == file

    export = {"parts_sha256": {"encoder.onnx": "0" * 64}}
    message = rf"parts/encoder\.onnx: sha256 {sha256_of(file)} is not .* expected 0{{64}}"
    with pytest.raises(ConvzooError, match=message):
        shipped_part(tmp_path, export, "encoder.onnx")
    file.unlink()
    with pytest.raises(ConvzooError, match=r"parts/encoder\.onnx: missing is not what export\.json says"):
        shipped_part(tmp_path, export, "encoder.onnx")
