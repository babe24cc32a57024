"""Writing ONNX files: in one place, without traces of the machine, and without side effects on the module."""

import re

import numpy as np
import onnx
import pytest
import torch
from helpers.project import ROOT
from torch import nn

from convzoo.shipping.model import Model
from convzoo.shipping.onnx import ANY_SIZE, write_onnx


class Halves(nn.Module):
    """Means (B, 2) of the left and the right half of images (B, H, W, 1), after dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        left, right = self.dropout(images.float()).mean((1, 3)).tensor_split(2, dim=1)
        return torch.stack([left.mean(1), right.mean(1)], dim=1)


EXAMPLE = torch.zeros(2, 4, 4, 1, dtype=torch.uint8)


def test_one_module_writes_onnx_files():
    found = [file for file in ROOT.glob("src/**/*.py") if re.search(r"onnx\.export\(|\bOPSET = ", file.read_text())]
    assert [file.relative_to(ROOT / "src/convzoo").as_posix() for file in found] == ["shipping/onnx.py"]


def test_a_file_has_metadata_only_if_it_is_described(tmp_path):
    for described in (None, {"network": "halves", "classes": ["b", "a"]}):
        write_onnx(Halves(), EXAMPLE, "images", "means", tmp_path / "model.onnx", described)
        props = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
        in_order = '{"classes": ["b", "a"], "network": "halves"}'  # whatever the order of the keys given
        assert props == ({} if described is None else {"convzoo": in_order})
        assert Model(tmp_path / "model.onnx").described == (described or {})


@pytest.mark.parametrize(
    ("axes", "names", "expected"),
    [(("batch",), ["batch"], "uint8 (N, 4, 4, 1)"), (ANY_SIZE, ["N", "H", "W"], "uint8 (N, N, N, 1)")],
    ids=["batch", "any"],
)
def test_the_named_axes_may_have_any_length(tmp_path, axes, names, expected):
    write_onnx(Halves(), EXAMPLE, "images", "means", tmp_path / "model.onnx", axes=axes)
    model = Model(tmp_path / "model.onnx")
    assert str(model.input) == expected
    assert model(np.ones((7, 4, 4, 1), np.uint8)).shape == (7, 2)
    [given] = onnx.load(model.path).graph.input
    assert [axis.dim_param for axis in given.type.tensor_type.shape.dim if axis.dim_param] == names


def test_the_file_is_of_evaluation_mode_and_the_module_keeps_its_modes(tmp_path):
    module = nn.Sequential(Halves().eval(), Halves()).train()
    module[0].eval()
    modes = [part.training for part in module.modules()]
    write_onnx(module[1], EXAMPLE, "images", "means", tmp_path / "model.onnx")
    assert [part.training for part in module.modules()] == modes == [True, False, False, True, True]
    np.testing.assert_array_equal(Model(tmp_path / "model.onnx")(np.full((1, 4, 4, 1), 8, np.uint8)), [[8, 8]])
