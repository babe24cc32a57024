"""The CUDA device that computes on the CPU fails where CUDA does, and counts what the host waits for."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from helpers.fake_cuda import fake_cuda
from torch.optim.swa_utils import AveragedModel

CUDA = "cuda:0"
WAITING = {
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "float": lambda x: float(x.sum()),
    "truth": lambda x: bool(x.sum() > 0),
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "numpy": lambda x: x.cpu().numpy(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "assigned by a mask": lambda x: x.__setitem__(x > 0, 0.0),
    "index on the CPU": lambda x: x[torch.tensor([0, 1])],
    "constant": lambda x: x + torch.tensor([1.0, 2.0, 3.0, 4.0], device=CUDA),
    "copied to the device": lambda x: torch.ones(4).to(CUDA),
    "copied into": lambda x: x.copy_(torch.ones(3, 4)),
    "copied out of": lambda x: torch.ones(3, 4).copy_(x),
    "pinned, but blocking": lambda x: torch.ones(4).pin_memory().to(CUDA),
    "non-blocking, but not pinned": lambda x: torch.ones(4).to(CUDA, non_blocking=True),
    "equal": lambda x: torch.equal(x, x),
    "unique": lambda x: x.unique(),
    "torch's average": lambda x: AveragedModel(torch.nn.Linear(4, 4).to(CUDA)).update_parameters(
        torch.nn.Linear(4, 4).to(CUDA)
    ),
}
NOT_WAITING = {
    "arithmetic": lambda x: (x + 1) / x.norm() * 2.0,
    "a number on the CPU": lambda x: x * torch.tensor(2.0),
    "made on the device": lambda x: x + torch.arange(4, device=CUDA) + torch.full((4,), 2.0, device=CUDA),
    "index on the device": lambda x: x[torch.arange(2, device=CUDA)],
    "slices": lambda x: x[1:, 2],
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "pinned and non-blocking": lambda x: torch.ones(4).pin_memory().to(CUDA, non_blocking=True),
    "argmax": lambda x: (x.argmax(1) == 1).sum(),
}


@pytest.mark.parametrize("name", WAITING)
def test_what_the_host_waits_for_is_counted(name):
    with fake_cuda() as cuda:
        x = torch.rand(3, 4, device=CUDA)
        before = len(cuda.waits)
        WAITING[name](x)
        assert len(cuda.waits) > before


@pytest.mark.parametrize("name", NOT_WAITING)
def test_what_it_does_not_wait_for_is_not(name):
    with fake_cuda() as cuda:
        x = torch.rand(3, 4, device=CUDA)
        before = len(cuda.waits)
        found = NOT_WAITING[name](x)
        assert cuda.waits[before:] == [] and found.device.type == "cuda"


@pytest.mark.parametrize(
    "mixed",
    [
        lambda x: x + torch.ones(4),
        lambda x: F.linear(x, torch.ones(2, 4)),
        lambda x: F.batch_norm(x, torch.zeros(4), torch.ones(4)),
        lambda x: torch.cat([x, torch.ones(3, 4)]),
        lambda x: F.cross_entropy(x, torch.zeros(3, dtype=torch.int64)),
        lambda x: x.numpy(),
        lambda x: torch.nn.Linear(4, 4)(x),
    ],
)
def test_tensors_on_two_devices_are_refused(mixed):
    with fake_cuda(), pytest.raises((RuntimeError, TypeError), match="device"):
        mixed(torch.rand(3, 4, device=CUDA))


def test_algorithms_that_are_not_deterministic_on_cuda_are_refused_on_request():
    def resized() -> None:
        x = torch.rand(1, 1, 4, 4, device=CUDA, requires_grad=True)
        F.adaptive_avg_pool2d(x, 2).sum().backward()

    with fake_cuda():
        resized()
        torch.use_deterministic_algorithms(True)
        try:
            with pytest.raises(RuntimeError, match="deterministic"):
                resized()
        finally:
            torch.use_deterministic_algorithms(False)


def test_a_gradient_and_a_step_are_those_of_the_cpu_and_leave_weights_the_same_objects():
    def trained(device: str) -> list[torch.Tensor]:
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten())
        network = network.to(memory_format=torch.channels_last).to(device)
        weights = list(network.parameters())
        optimizer = torch.optim.AdamW(weights, lr=0.1)
        network.to(device)
        for _ in range(3):
            network(torch.ones(4, 1, 5, 5).to(device) * torch.arange(5.0).to(device)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        assert all(a is b for a, b in zip(weights, network.parameters(), strict=True))
        return [value.cpu() for value in network.state_dict().values()]

    expected = trained("cpu")
    with fake_cuda(foreach=False):
        found = trained(CUDA)
        also = trained("cpu")
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(expected, found, also, strict=True))
