"""Trained tensors are loaded only if they are those that architecture.json names."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from convzoo.errors import ConvzooError
from convzoo.files import sha256_of
from convzoo.shipping.export import load_trained

FILES = {None: "weights.safetensors", "head.safetensors": "extra/head.safetensors"}  # by the argument `extra`


@pytest.fixture
def described(tmp_path, monkeypatch) -> dict:
    monkeypatch.chdir(tmp_path)
    folder = Path("models/net")
    (folder / "extra").mkdir(parents=True)
    for number, name in enumerate(FILES.values()):
        save_file({"weight": torch.full((1, 2), float(number)), "bias": torch.zeros(1)}, folder / name)
    return {
        "weights_sha256": sha256_of(folder / "weights.safetensors"),
        "extra_sha256": {"head.safetensors": sha256_of(folder / "extra/head.safetensors")},
    }


@pytest.mark.parametrize("extra", FILES)
def test_the_named_file_is_loaded(described, extra):
    module = nn.Linear(2, 1)
    load_trained(module, "net", described, extra)
    assert module.weight.tolist() == [[0, 0] if extra is None else [1, 1]]


@pytest.mark.parametrize("extra", FILES)
def test_another_file_under_the_same_name_is_refused(described, extra):
    file = Path("models/net", FILES[extra])
    save_file({"weight": torch.ones(1, 2), "bias": torch.ones(1)}, file)
    with pytest.raises(ConvzooError, match=rf"{file}: has sha256 .*, expected .* as architecture.json says; .*dvc"):
        load_trained(nn.Linear(2, 1), "net", described, extra)


@pytest.mark.parametrize("extra", FILES)
def test_a_missing_file_is_named(described, extra):
    file = Path("models/net", FILES[extra])
    file.unlink()
    with pytest.raises(ConvzooError, match=rf"{file}: is missing, .* convzoo repro -f train@net"):
        load_trained(nn.Linear(2, 1), "net", described, extra)


@pytest.mark.parametrize("extra", FILES)
def test_tensors_of_another_network_are_refused(described, extra):
    with pytest.raises(ConvzooError, match=r"is not of the network in architecture.json \(.*\), expected its weights"):
        load_trained(nn.Linear(3, 1), "net", described, extra)
