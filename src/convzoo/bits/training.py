"""Operations of a training other than layers: random numbers, augmentation, optimizers, averages, decompositions."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from convzoo.bits.inputs import floats, pixels, tensor
from convzoo.bits.layers import Operation
from convzoo.data.pixels import to_floats
from convzoo.families.autoencoder.network import to_pixels
from convzoo.families.classifier.network import Fast
from convzoo.families.dcgan.augmentation import colour_jitter as jitter_signed
from convzoo.families.transfer.augmentation import colour_jitter, draw_crops, resized_crop
from convzoo.training import augmentation, optimizers
from convzoo.training.averaging import MovingAverage

STEPS = 3  # of each optimizer, so that its averages take part


class Weights(nn.Module):
    """A filter, a matrix and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.from_numpy(floats(32, 16, 3, 3)))
        self.matrix = nn.Parameter(torch.from_numpy(floats(100, 128, seed=1)))
        self.bias = nn.Parameter(torch.from_numpy(floats(128, seed=2)))


def _optimizer(name: str, decay: float) -> list[Tensor]:
    module = Weights()
    built = optimizers.build(
        module,
        optimizer=name,
        learning_rate=1e-2,
        momentum=0.9,
        beta2=0.99,
        weight_decay=decay,
        muon_learning_rate=1e-2,
    )
    for step in range(STEPS):
        for number, weight in enumerate(module.parameters()):
            weight.grad = torch.from_numpy(floats(*weight.shape, seed=10 * step + number))
        for optimizer in built:
            optimizer.step()
    return [weight.detach() for weight in module.parameters()]


def _average(warm_up: bool) -> list[Tensor]:
    module = Weights()
    average = MovingAverage(module, 0.9, warm_up)
    for step in range(STEPS):
        with torch.no_grad():
            for weight in module.parameters():
                weight.add_(torch.from_numpy(floats(*weight.shape, seed=step)))
        average.update(module)
    return [weight.detach() for weight in average.module.parameters()]


def _spectral_norm() -> list[Tensor]:
    layer = nn.Conv2d(16, 32, 4, 2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(floats(32, 16, 4, 4)))
    torch.manual_seed(0)
    layer = spectral_norm(layer)
    x = tensor(2, 16, 32, 32, last=True)
    layer.train()
    outputs = layer(x).sum()
    outputs.backward()
    return [layer.weight, outputs, x.grad]


def _whitening() -> list[Tensor]:
    network = Fast(3, 10, "gelu", [32, 64, 128], 2, "max", True, True, 0.125)
    network.whiten(to_floats(torch.from_numpy(pixels(40, 32, 3)), *_scale()))
    return [network.stem.weight.detach()]


def _scale() -> tuple[Tensor, Tensor]:
    return torch.tensor([0.49, 0.48, 0.45]), torch.tensor([0.25, 0.24, 0.26])


def _eigenvectors(size: int, dtype: torch.dtype) -> list[Tensor]:
    x = torch.from_numpy(floats(2 * size, size)).to(dtype)
    return [*torch.linalg.eigh(x.T @ x / len(x))]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _crops(count: int = 8) -> Tensor:
    return draw_crops(count, 0.5, 10.0, True, _generator())


def _drawn(shape: tuple[int, ...], draw: Callable[..., Tensor]) -> list[Tensor]:
    return [draw(*shape, generator=_generator())]


def _initial(init: Callable[[Tensor], Tensor]) -> list[Tensor]:
    torch.manual_seed(0)
    return [init(torch.empty(64, 32, 3, 3))]


def _rotated() -> list[Tensor]:
    transforms = augmentation.draw_transforms(40, 12.0, 0.12, _generator())
    return [transforms, augmentation.rotate_and_scale(torch.from_numpy(pixels(40, 28, 1)), transforms)]


def _cropped() -> list[Tensor]:
    x = tensor(8, 3, 96, 96, low=0, high=255).detach()
    return [_crops(), resized_crop(x, _crops(), 96)]


def _resized(size: int) -> list[Tensor]:
    x = tensor(8, 3, 32, 32, last=True)
    outputs = augmentation.resized(x, size)
    outputs.square().sum().backward()
    return [outputs, x.grad]


OPERATIONS: dict[str, Operation] = {
    "uniform random numbers": partial(_drawn, (64, 100), torch.rand),
    "normal random numbers": partial(_drawn, (64, 100), torch.randn),
    "normal random numbers, few": partial(_drawn, (7,), torch.randn),
    "random permutation": lambda: [torch.randperm(9000, generator=_generator())],
    "initial weights, Kaiming uniform": partial(_initial, nn.init.kaiming_uniform_),
    "initial weights, Kaiming normal": partial(_initial, nn.init.kaiming_normal_),
    "initial weights, normal": partial(_initial, partial(nn.init.normal_, mean=0.0, std=0.02)),
    "pixels to floats": lambda: [to_floats(torch.from_numpy(pixels(32, 32, 3)), *_scale())],
    "floats to pixels": lambda: [to_pixels(tensor(16, 3, 32, 32, last=True).detach())],
    "shift and flip": lambda: [
        augmentation.shift_and_flip(
            torch.from_numpy(pixels(32, 32, 3)),
            augmentation.flips("random", torch.arange(32), 0, 32, 0, _generator()),
            augmentation.draw_moves(32, 2, _generator()),
        )
    ],
    "cutout": lambda: [
        augmentation.cutout(
            torch.from_numpy(pixels(32, 32, 3)), augmentation.draw_corners(32, 32, 32, 8, _generator()), 8
        )
    ],
    "crops": lambda: [_crops(500)],
    "colour jitter": lambda: [
        colour_jitter(
            tensor(8, 3, 96, 96, low=0, high=255).detach(),
            torch.from_numpy(floats(3, 8, 1, 1, 1, low=0.8, high=1.2)),
        )
    ],
    "colour jitter of signed images": lambda: [
        jitter_signed(tensor(8, 3, 64, 64), torch.from_numpy(floats(3, 8, 1, 1, 1)), 0.2, 0.2, 0.2)
    ],
    "bilinear resize to 24x24": partial(_resized, 24),
    "SGD": partial(_optimizer, "sgd", 5e-4),
    "Adam": partial(_optimizer, "adam", 0.0),
    "AdamW": partial(_optimizer, "adamw", 1e-2),
    "RMSprop": partial(_optimizer, "rmsprop", 1e-4),
    "Muon": partial(_optimizer, "muon", 1e-4),
    "average of weights": partial(_average, False),
    "average of weights, warm-up": partial(_average, True),
    "spectral norm": _spectral_norm,
    "whitening": _whitening,
    "eigenvectors 12x12, float64": partial(_eigenvectors, 12, torch.float64),
    "eigenvectors 96x96, float32": partial(_eigenvectors, 96, torch.float32),
    "covariance of 3072 values": lambda: [(lambda x: x.T @ x)(torch.from_numpy(floats(6, 3072)))],
    "norm of gradients": lambda: [
        nn.utils.get_total_norm([torch.from_numpy(floats(32, 16, 3, 3, seed=seed)) for seed in range(3)])
    ],
    # Last: an emulator without AVX2's gather instructions crashes here.
    "rotate and scale": _rotated,
    "resized crop": _cropped,
}
