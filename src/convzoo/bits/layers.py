"""Layers and losses of the zoo, forward and backward, at the shapes that they have in the profile `starter`.

Only batches are smaller: under an emulator, where this runs too, a second of arithmetic takes an hour.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor, nn

from convzoo.bits.inputs import floats, integers, tensor

Operation = Callable[[], list[Tensor]]


def _filled(module: nn.Module) -> nn.Module:
    """`module` with weights that do not depend on torch's generator, so that one operation shows one difference."""
    with torch.no_grad():
        for number, weight in enumerate(module.parameters()):
            weight.copy_(torch.from_numpy(floats(*weight.shape, low=-0.2, high=0.3, seed=number + 7)))
    return module


def _layer(module: Callable[[], nn.Module], *shape: int) -> list[Tensor]:
    """The outputs of a layer for an input of `shape`, channels-last, and all gradients."""
    layer = _filled(module()).to(memory_format=torch.channels_last)
    x = tensor(*shape, last=len(shape) == 4)
    outputs = layer(x)
    (outputs * torch.from_numpy(floats(*outputs.shape, seed=3))).sum().backward()
    buffers = [buffer for buffer in layer.buffers() if buffer.is_floating_point()]
    return [outputs, x.grad, *(weight.grad for weight in layer.parameters()), *buffers]


def _function(function: Callable[[Tensor], Tensor], *shape: int, low: float = -3.0, high: float = 3.0) -> list[Tensor]:
    x = tensor(*shape, low=low, high=high)
    outputs = function(x)
    (outputs * torch.from_numpy(floats(*outputs.shape, seed=3))).sum().backward()
    return [outputs, x.grad]


def _cross_entropy(batch: int, classes: int, smoothing: float) -> list[Tensor]:
    labels = torch.from_numpy(integers(batch, below=classes))
    return _function(lambda x: F.cross_entropy(x, labels, label_smoothing=smoothing), batch, classes)


def _gradient_penalty() -> list[Tensor]:
    """The gradient of a gradient, as R1 needs it."""
    layers = nn.Sequential(nn.Conv2d(3, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 4, 2, 1), nn.LeakyReLU(0.2))
    layers = _filled(layers).to(memory_format=torch.channels_last)
    x = tensor(8, 3, 32, 32, last=True)
    [gradient] = torch.autograd.grad(layers(x).sum(), x, create_graph=True)
    penalty = gradient.square().sum(dim=(1, 2, 3)).mean()
    penalty.backward()
    return [gradient, penalty, *(weight.grad for weight in layers.parameters() if weight.grad is not None)]


def _conv(inputs: int, outputs: int, kernel: int, *shape: int, **options: int | bool) -> Operation:
    return partial(_layer, lambda: nn.Conv2d(inputs, outputs, kernel, **options), *shape)


def _up(inputs: int, outputs: int, kernel: int, *shape: int, **options: int | bool) -> Operation:
    return partial(_layer, lambda: nn.ConvTranspose2d(inputs, outputs, kernel, **options), *shape)


OPERATIONS: dict[str, Operation] = {
    # Classifiers: whitened stem, 3x3 blocks, pooling, head.
    "conv 2x2 1->8 of 28x28": _conv(1, 8, 2, 6, 1, 28, 28),
    "conv 2x2 3->24 of 32x32": _conv(3, 24, 2, 6, 3, 32, 32),
    "conv 3x3 24->32 of 31x31": _conv(24, 32, 3, 2, 24, 31, 31, padding=1, bias=False),
    "conv 3x3 32->64 of 15x15": _conv(32, 64, 3, 3, 32, 15, 15, padding=1, bias=False),
    "conv 3x3 64->128 of 7x7": _conv(64, 128, 3, 4, 64, 7, 7, padding=1, bias=False),
    "conv 3x3 128->128 of 3x3": _conv(128, 128, 3, 8, 128, 3, 3, padding=1, bias=False),
    "batch norm of 64 maps": partial(_layer, lambda: nn.BatchNorm2d(64, momentum=0.4), 8, 64, 15, 15),
    "max pooling 2x2": partial(_layer, lambda: nn.MaxPool2d(2), 4, 32, 31, 31),
    "largest value of each map": partial(_function, lambda x: x.amax(dim=(2, 3)), 32, 128, 3, 3),
    "mean of each map": partial(_function, lambda x: x.mean(dim=(2, 3)), 32, 128, 3, 3),
    "linear 128->100": partial(_layer, lambda: nn.Linear(128, 100, bias=False), 64, 128),
    "cross-entropy of 10 classes": partial(_cross_entropy, 64, 10, 0.1),
    "cross-entropy of 100 classes": partial(_cross_entropy, 64, 100, 0.2),
    # Autoencoder.
    "conv 4x4/4 3->64 of 32x32": _conv(3, 64, 4, 16, 3, 32, 32, stride=4),
    "conv 3x3 64->64 of 8x8": _conv(64, 64, 3, 4, 64, 8, 8, padding=1),
    "transposed conv 4x4/4 64->3": _up(64, 3, 4, 16, 64, 8, 8, stride=4),
    "linear 3072->512": partial(_layer, lambda: nn.Linear(3072, 512, bias=False), 6, 3072),
    "linear 512->3072": partial(_layer, lambda: nn.Linear(512, 3072), 6, 512),
    "mean squared error": partial(_function, lambda x: F.mse_loss(x, x.detach().flip(0)), 16, 3, 32, 32),
    "mean absolute error": partial(_function, lambda x: F.l1_loss(x, x.detach().flip(0)), 16, 3, 32, 32),
    # DCGANs: 28x28, 32x32 and 64x64.
    "transposed conv 4x4 100->128": _up(100, 128, 4, 16, 100, 1, 1, bias=False),
    "transposed conv 3x3/2 128->64 to 7x7": _up(128, 64, 3, 4, 128, 4, 4, stride=2, padding=1, bias=False),
    "transposed conv 4x4/2 64->32 to 14x14": _up(64, 32, 4, 3, 64, 7, 7, stride=2, padding=1, bias=False),
    "transposed conv 4x4/2 32->1 to 28x28": _up(32, 1, 4, 8, 32, 14, 14, stride=2, padding=1),
    "transposed conv 4x4/2 16->3 to 64x64": _up(16, 3, 4, 4, 16, 32, 32, stride=2, padding=1),
    "conv 4x4/2 1->32 of 28x28": _conv(1, 32, 4, 8, 1, 28, 28, stride=2, padding=1),
    "conv 3x3/2 64->128 of 7x7": _conv(64, 128, 3, 4, 64, 7, 7, stride=2, padding=1, bias=False),
    "conv 4x4/2 3->16 of 64x64": _conv(3, 16, 4, 4, 3, 64, 64, stride=2, padding=1),
    "conv 4x4/2 64->128 of 8x8": _conv(64, 128, 4, 3, 64, 8, 8, stride=2, padding=1, bias=False),
    "conv 4x4 128->1 of 4x4": _conv(128, 1, 4, 16, 128, 4, 4),
    "gradient penalty": _gradient_penalty,
    "binary cross-entropy": partial(
        _function, lambda x: F.binary_cross_entropy_with_logits(x, torch.full_like(x, 0.9)), 64
    ),
    # Transfer: EfficientNet-Lite0.
    "conv 3x3/2 3->32 of 96x96": _conv(3, 32, 3, 2, 3, 97, 97, stride=2, bias=False),
    "depthwise conv 3x3 of 32 maps": _conv(32, 32, 3, 2, 32, 48, 48, padding=1, groups=32, bias=False),
    "depthwise conv 5x5/2 of 144 maps": _conv(144, 144, 5, 2, 144, 27, 27, stride=2, groups=144, bias=False),
    "conv 1x1 16->96 of 48x48": _conv(16, 96, 1, 2, 16, 48, 48, bias=False),
    "conv 1x1 320->1280 of 3x3": _conv(320, 1280, 1, 4, 320, 3, 3, bias=False),
    "linear 1280->5": partial(_layer, lambda: nn.Linear(1280, 5), 50, 1280),
    "ReLU6": partial(_function, F.relu6, 8, 1280, 3, 3),
    "dropout": lambda: (torch.manual_seed(1), _function(lambda x: F.dropout(x, 0.2), 16, 1280))[1],
    # Activations of the settings.
    "ReLU": partial(_function, F.relu, 8, 32, 14, 14),
    "LeakyReLU": partial(_function, lambda x: F.leaky_relu(x, 0.2), 8, 32, 14, 14),
    "ELU": partial(_function, F.elu, 8, 32, 14, 14),
    "GELU": partial(_function, F.gelu, 8, 32, 14, 14),
    "SiLU": partial(_function, F.silu, 8, 32, 14, 14),
    "softplus": partial(_function, F.softplus, 8, 32, 14, 14),
    "tanh": partial(_function, torch.tanh, 4, 3, 64, 64),
    "sigmoid": partial(_function, torch.sigmoid, 8, 32, 14, 14),
    "PReLU": partial(_layer, nn.PReLU, 8, 32, 14, 14),
    "softmax of 100 classes": partial(_function, lambda x: x.softmax(dim=1), 64, 100),
    "logarithm": partial(_function, torch.log, 4096, low=0.01),
    "exponential": partial(_function, torch.exp, 4096),
    "sine and cosine": partial(_function, lambda x: x.sin() + x.cos(), 4096),
}
