"""CNN classifiers: `fast`, after record-setting speedruns, and `reference`, the textbook layout."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor, nn

# As in airbench.
MOMENTUM = 0.4  # of BatchNorm's statistics, which must adapt quickly in short trainings
EPSILON = 5e-4  # added to variances before whitening

WHITENING_BATCH = 100  # images at a time, which fit into a processor's cache

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class EvenConvolution(nn.Conv2d):
    """A convolution with an even kernel, for which maps get one more row of zeros below and one more column."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class Block(nn.Module):
    """Two or three convolutions, with max-pooling after the first that halves height and width.

    `kernels` has the sizes of the convolutions. With three of them, the second has `middle` output channels, and a
    shortcut adds the output of the first to that of the last.
    """

    def __init__(
        self, inputs: int, outputs: int, kernels: Sequence[int], middle: int, activation: str, dirac: bool
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, outputs, kernels[0])
        self.pool = nn.MaxPool2d(2)
        self.norm1 = nn.BatchNorm2d(outputs, momentum=MOMENTUM)
        self.act1 = ACTIVATIONS[activation]()
        self.conv2 = _convolution(outputs, middle, kernels[1])
        self.norm2 = nn.BatchNorm2d(middle, momentum=MOMENTUM)
        self.act2 = ACTIVATIONS[activation]()
        self.conv3 = None
        if len(kernels) == 3:
            self.conv3 = _convolution(middle, outputs, kernels[2])
            self.norm3 = nn.BatchNorm2d(outputs, momentum=MOMENTUM)
            self.act3 = ACTIVATIONS[activation]()
        if dirac:
            for layer in self.children():
                if isinstance(layer, nn.Conv2d):
                    nn.init.dirac_(layer.weight.data[: layer.in_channels])

    def forward(self, x: Tensor) -> Tensor:
        x = shortcut = self.act1(self.norm1(self.pool(self.conv1(x))))
        x = self.act2(self.norm2(self.conv2(x)))
        return x if self.conv3 is None else shortcut + self.act3(self.norm3(self.conv3(x)))


class Fast(nn.Module):
    """A whitened 2x2 stem, one Block per width, global pooling and a linear layer.

    A block has `convolutions` of 3x3 pixels, or of the sizes in its row of `kernels`. With three, the second has as
    many channels as the block, or those in `middles`. `pooling` is the largest value of each channel (max), or that
    next to the mean (max_mean).

    After Keller Jordan's airbench (https://github.com/KellerJordan/cifar10-airbench), and for blocks of three
    https://github.com/AIDDA-Institute/CIFAR-100-speedrun (submission NAVIER-STOKED). Returns logits (B, `classes`) for
    floats (B, `channels`, height, width) of any size that survives `len(widths)` halvings.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        activation: str,
        widths: list[int],
        convolutions: int,
        pooling: str,
        whitening: bool,
        dirac: bool,
        logit_scale: float,
        kernels: Sequence[Sequence[int]] = (),
        middles: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.whitening = whitening
        self.pooling = pooling
        self.logit_scale = logit_scale
        stem = 8 * channels  # the 4 * channels eigenvectors of a 2x2 patch, and their negatives
        self.stem = nn.Conv2d(channels, stem, 2)
        self.stem_act = ACTIVATIONS[activation]()
        self.stem.weight.requires_grad = not whitening
        kernels = kernels or [[3] * convolutions] * len(widths)
        shapes = zip([stem, *widths[:-1]], widths, kernels, middles or widths, strict=True)
        self.blocks = nn.Sequential(*[Block(*shape, activation, dirac) for shape in shapes])
        self.head = nn.Linear(widths[-1] * (2 if pooling == "max_mean" else 1), classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_act(self.stem(x))  # 28x28 -> 27x27
        x = self.blocks(x)  # 27 -> 13 -> 6 -> 3
        return self.head(self.pooled(x)) * self.logit_scale

    def pooled(self, x: Tensor) -> Tensor:
        """Return the largest value of each map of `x` (B, C, H, W), and with max_mean also their means."""
        largest = x.amax(dim=(2, 3))
        return largest if self.pooling == "max" else torch.cat([largest, x.mean(dim=(2, 3))], dim=1)

    @torch.no_grad()
    def whiten(self, x: Tensor, epsilon: float = EPSILON) -> None:
        """Set the stem to the eigenvectors of the 2x2 patches of floats `x` (B, C, H, W), scaled to unit variance."""
        channels = x.shape[1]
        products, count = torch.zeros(4 * channels, 4 * channels, dtype=torch.float64), 0
        for part in x.cpu().split(WHITENING_BATCH):
            patches = F.unfold(part, 2).transpose(0, 1).flatten(1)
            products, count = products + (patches @ patches.T).double(), count + patches.shape[1]
        variances, vectors = torch.linalg.eigh(products / count)
        filters = (vectors * (variances + epsilon).rsqrt()).T.reshape(-1, channels, 2, 2).flip(0)
        self.stem.weight.copy_(torch.cat([filters, -filters]))
        self.stem.bias.zero_()


class Reference(nn.Module):
    """The textbook layout: convolutions and pooling, flattened into a dense layer.

    Returns logits (B, `classes`) for floats (B, `channels`, `height`, `width`). Raises ValueError if pooling
    leaves no pixels.
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels: int,
        classes: int,
        activation: str,
        blocks: list[list[int]],
        padding: str,
        dense: int,
        dropout: float,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for block in blocks:
            for outputs in block:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=padding), ACTIVATIONS[activation]()]
                inputs = outputs
                height, width = (height, width) if padding == "same" else (height - 2, width - 2)
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        if min(height, width) < 1:
            raise ValueError(f"blocks {blocks} pool the picture away; leave out a block or set padding: same")
        layers += [nn.Flatten(), nn.Linear(inputs * height * width, dense), ACTIVATIONS[activation]()]
        layers += [nn.Dropout(dropout), nn.Linear(dense, classes)]
        self.layers = nn.Sequential(*layers)
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def build(architecture: str, arguments: dict) -> nn.Module:
    """Build the network that architecture.json describes, channels-last, with initial weights from the global seed."""
    network = {"fast": Fast, "reference": Reference}[architecture](**arguments)
    return network.to(memory_format=torch.channels_last)


def _convolution(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """Build a convolution that keeps height and width."""
    kind = EvenConvolution if kernel % 2 == 0 else nn.Conv2d
    return kind(inputs, outputs, kernel, padding=(kernel - 1) // 2, bias=False)
