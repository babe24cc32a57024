"""Layers and sums over two processes: the same numbers as in one process with the whole batch."""

from types import SimpleNamespace

import pytest
import torch
from helpers import several, shared_layers
from torch import nn

from convzoo.errors import ConvzooError
from convzoo.training.processes import local_rows

# PyTorch's BatchNorm of one process computes variances with errors of 1e-5.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
GRADIENTS = {"rtol": 1e-4, "atol": 1e-7}
LAYERS = {
    "norm of maps": (nn.BatchNorm2d(5, momentum=0.4, eps=1e-3), (12, 5, 3, 2)),
    "norm of vectors": (nn.BatchNorm1d(5), (12, 5)),
    "dropout": (nn.Dropout(0.4), (12, 5)),
}


def batches(shape: tuple[int, ...]) -> list[torch.Tensor]:
    """Two batches, far from zero mean and unit variance."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) * 3 + 20 * number for number in (1, 2)]


def interleaved(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(parts, dim=1).flatten(0, 1)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_of_two_processes_computes_what_one_process_would(name, tmp_path):
    layer, shape = LAYERS[name]
    with torch.no_grad():
        for weight in layer.parameters():
            weight.uniform_(0.5, 2, generator=torch.Generator().manual_seed(2))
    weights = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    expected = shared_layers.passes(layer, batches(shape), weights)
    first, second = several.results(shared_layers.passes, tmp_path, 2, layer, batches(shape), weights)
    assert first.keys() == second.keys() == expected.keys()
    for key, value in expected.items():
        bounds = GRADIENTS if "gradient" in key else CLOSE
        if key.startswith(("output", "input")):
            torch.testing.assert_close(interleaved([first[key], second[key]]), value, **bounds)
        else:
            assert torch.equal(first[key], second[key]), key
            torch.testing.assert_close(first[key], value, **bounds)


def test_cutout_paints_in_the_mean_colour_of_all_images(tmp_path):
    images = torch.rand(6, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    corners = torch.randint(4, (2, 6, 1), generator=torch.Generator().manual_seed(1))
    first, second = several.results(shared_layers.painted, tmp_path, 2, images, corners, 4)
    for name, expected in shared_layers.painted(images, corners, 4).items():
        torch.testing.assert_close(interleaved([first[name], second[name]]), expected, **CLOSE)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_sums_over_batches_are_those_of_one_process(count, tmp_path):
    found = [shared_layers.counted(count), *several.results(shared_layers.counted, tmp_path, 2, count)]
    assert [one["starts"].tolist() for one in found] == [list(range(count))] * 3
    assert [one["sums"].tolist() for one in found] == [[sum(range(count)), count / 2]] * 3


def test_a_batch_that_two_processes_cannot_share_evenly_is_refused():
    fabric = SimpleNamespace(world_size=2, global_rank=1)
    assert list(range(6))[local_rows(fabric, 6)] == [1, 3, 5]
    with pytest.raises(ConvzooError, match=r"batch_size: got 7 .*, expected a multiple of 2, the number of processes"):
        local_rows(fabric, 7)
