"""Many tensors that cross to the host in one copy arrive as they were."""

import torch
from helpers.fake_cuda import fake_cuda

from convzoo.training.transfers import to_host

TREE = {
    "weights": {"a": torch.randn(3, 5, dtype=torch.float64), "b": torch.randn(2, 3, 4, 4)},
    "channels last": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
    "others": [torch.tensor(7), torch.tensor([True, False, True]), torch.randn(7).bfloat16(), torch.empty(0)],
    "no tensors": ["text", 3, None, {"x": 1.5}],
}


def moved(tree, device):
    if isinstance(tree, torch.Tensor):
        return tree.to(device)
    if isinstance(tree, dict):
        return {key: moved(item, device) for key, item in tree.items()}
    return [moved(item, device) for item in tree] if isinstance(tree, list) else tree


def assert_same(found, expected):
    if isinstance(expected, torch.Tensor):
        assert found.device.type == "cpu" and found.dtype == expected.dtype and torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            assert_same(*pair)
    else:
        assert found == expected


def test_a_tree_arrives_in_one_copy_with_the_same_shapes_types_and_numbers():
    with fake_cuda() as cuda:
        tree = moved(TREE, "cuda:0")
        before = len(cuda.waits)
        found = to_host(tree)
        assert len(cuda.waits) == before + 1
    assert_same(found, TREE)
    assert len({value.untyped_storage().data_ptr() for value in found["weights"].values()}) == 2, "memory is shared"


def test_what_is_on_the_cpu_already_is_not_copied():
    found = to_host(TREE)
    assert_same(found, TREE)
    assert found["weights"]["a"] is TREE["weights"]["a"]
