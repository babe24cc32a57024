"""The training loops of tutorials: a Dataset that prepares one image at a time, a DataLoader, plain steps in fp32."""

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.textbook.networks import MnistNetwork, ResNet18, discriminator, generator
from convzoo.data.arrays import Split

WORKERS = 2  # processes of the DataLoader


class Images(Dataset):
    """Images and labels of a split; each image is converted, augmented if `crop` is set, and scaled by itself."""

    def __init__(self, split: Split, mean: list[float], std: list[float], crop: bool) -> None:
        self.split, self.crop = split, crop
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (mean, std))

    def __len__(self) -> int:
        return len(self.split.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x = torch.from_numpy(self.split.images[index]).permute(2, 0, 1).float() / 255
        if self.crop:  # 4 pixels of padding, a random crop, and a flip
            side = x.shape[1]
            top, left = torch.randint(9, (2,)).tolist()
            x = nn.functional.pad(x, (4, 4, 4, 4))[:, top : top + side, left : left + side]
            x = x.flip(2) if torch.rand(()) < 0.5 else x
        return (x - self.mean) / self.std, int(self.split.labels[index])


def batches(images: Images, batch_size: int, workers: int = WORKERS) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of shuffled images, epoch after epoch."""
    loader = DataLoader(images, min(batch_size, len(images)), shuffle=True, num_workers=workers, drop_last=True)
    return chain.from_iterable(repeat(loader))


def classifier_steps(
    network: nn.Module, optimizer: torch.optim.Optimizer, loader: Iterator[tuple[Tensor, Tensor]], device: torch.device
) -> Iterator[float]:
    """Train; yields the loss of each step."""
    network.to(device).train()
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        yield loss.item()


def dcgan_steps(
    players: tuple[nn.Module, nn.Module], loader: Iterator[tuple[Tensor, Tensor]], device: torch.device
) -> Iterator[float]:
    """Train as the paper and PyTorch's tutorial do; yields the loss of the generator in each step."""
    g, d = (player.to(device).train() for player in players)
    g_optimizer, d_optimizer = (torch.optim.Adam(player.parameters(), 2e-4, (0.5, 0.999)) for player in (g, d))
    criterion = nn.BCELoss()
    for real, _ in loader:
        real = real.to(device)
        ones, zeros = torch.ones(len(real), 1, device=device), torch.zeros(len(real), 1, device=device)

        # Discriminator: real images, then generated ones.
        d.zero_grad()
        criterion(d(real), ones).backward()
        fake = g(torch.randn(len(real), 100, 1, 1, device=device))
        criterion(d(fake.detach()), zeros).backward()
        d_optimizer.step()

        # Generator: its gradient passes through the updated discriminator.
        g.zero_grad()
        g_loss = criterion(d(fake), ones)
        g_loss.backward()
        g_optimizer.step()
        yield g_loss.item()


def resnet18(images: Images, device: torch.device, batch_size: int = 128, workers: int = WORKERS) -> Iterator[float]:
    """CIFAR-10 with ResNet-18: SGD with momentum and weight decay."""
    network = ResNet18()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    return classifier_steps(network, optimizer, batches(images, batch_size, workers), device)


def mnist(images: Images, device: torch.device, batch_size: int = 64, workers: int = WORKERS) -> Iterator[float]:
    """MNIST as in PyTorch's example."""
    network = MnistNetwork()
    optimizer = torch.optim.Adadelta(network.parameters(), lr=1.0)
    return classifier_steps(network, optimizer, batches(images, batch_size, workers), device)


def dcgan(images: Images, device: torch.device, batch_size: int = 128, workers: int = WORKERS) -> Iterator[float]:
    """The DCGAN of the paper on 64x64 images."""
    return dcgan_steps((generator(), discriminator()), batches(images, batch_size, workers), device)


# By the network of the zoo that it is compared with: the loop, the images of a step, and whether it augments.
LOOPS: dict[str, tuple[Callable[..., Iterator[float]], int, bool]] = {
    "cifar10-classifier": (resnet18, 128, True),
    "mnist-classifier": (mnist, 64, False),
    "anime-dcgan": (dcgan, 128, False),
}


def images_of(split: Split, meta: dict[str, Any], network: str) -> Images:
    """The images for the loop of `network`: scaled by their statistics, or from -1 to 1 for a DCGAN."""
    channels = meta["shape"][2]
    half = [0.5] * channels
    mean, std = (half, half) if network.endswith("dcgan") else (meta["mean"], meta["std"])
    return Images(split, mean, std, LOOPS[network][2])
