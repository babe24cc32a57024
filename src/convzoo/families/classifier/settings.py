"""The classifier family: its blocks under `networks`, `export`, `evaluation` and `promotion` in params.yaml."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from convzoo.families.probabilities import settings as probabilities
from convzoo.settings.load import Settings
from convzoo.settings.types import (
    Amount,
    AtLeastTwo,
    Count,
    Degrees,
    Flip,
    Keep,
    Misfit,
    Optimizer,
    Positive,
    Rate,
    Schedule,
    ShareBelowOne,
)

Kernel = Annotated[int, Field(ge=1, le=7)]

EvaluationSettings = probabilities.EvaluationSettings
PromotionSettings = probabilities.PromotionSettings


class FastArchitecture(Settings):
    """Blocks of convolutions after a whitened stem."""

    widths: Annotated[list[Positive], Field(min_length=1, max_length=5)]  # channels of each block
    convolutions: Literal[2, 3]  # of each block; with three, a shortcut skips the last two
    kernels: list[list[Kernel]]  # sizes of each block's convolutions, pixels; []: 3
    middles: list[Positive]  # channels between the last two of three convolutions, for each block; []: as its width
    pooling: Literal["max", "max_mean"]  # of the last feature maps: the maximum, or maximum and mean
    whitening: bool  # freeze the first layer, which whitens 2x2 patches of the train images
    dirac: bool  # convolutions start as the identity
    logit_scale: Rate


class ReferenceArchitecture(Settings):
    """The textbook layout: convolutions and pooling, flattened into linear layers."""

    blocks: Annotated[
        list[Annotated[list[Positive], Field(min_length=1)]], Field(min_length=1)
    ]  # channels; pooled after each
    padding: Literal["valid", "same"]
    dense: Positive
    dropout: ShareBelowOne


class TrainingSettings(Settings):
    """Settings of the training, with flat standard names, so that runs can be searched by them."""

    family: Literal["classifier"]
    data: str
    weights: Literal["none"]
    seed: Count

    architecture: Literal["fast", "reference"]
    fast: FastArchitecture
    reference: ReferenceArchitecture
    activation: Literal["relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid"]

    label_smoothing: ShareBelowOne
    epochs: Positive
    batch_size: AtLeastTwo  # BatchNorm cannot train on one image
    sizes: list[Positive]  # pixels: images are scaled to each of these for an equal part of the steps; []: not scaled

    optimizer: Literal[Optimizer, "muon"]
    learning_rate: Rate
    muon_learning_rate: Rate  # muon: for weights of convolutions; all others use sgd at learning_rate
    bias_rate: Rate  # of biases, as a multiple of learning_rate; those of BatchNorm can learn far faster than weights
    momentum: ShareBelowOne  # sgd, rmsprop, muon; the first beta of adam and adamw
    beta2: ShareBelowOne  # adam, adamw; smoothing of rmsprop
    weight_decay: Amount
    schedule: Schedule
    warmup: ShareBelowOne  # of all steps
    ema_decay: ShareBelowOne  # moving average of the weights over steps; 0: none
    keep: Keep  # best: by accuracy on val

    flip: Flip
    shift: Count  # pixels, each way
    rotation: Degrees
    scale: ShareBelowOne
    cutout: Count  # side of the square, pixels


class ExportSettings(probabilities.ExportSettings):
    """Settings of the export."""

    views: Literal["identity", "mirror", "shift", "mirror_shift"]


def misfits(settings: TrainingSettings, height: int, width: int) -> Iterator[Misfit]:
    """Yield each setting that does not fit images of this size: its key inside the block and an error message."""
    side = min(height, width)
    size = f"pictures of {height}x{width}"
    blocks = len(settings.fast.widths)
    least = 2**blocks + 1  # pixels: the stem takes one, and each block halves the rest
    if settings.architecture == "fast" and side < least:
        yield ("fast", "widths"), f"{blocks} halvings leave nothing of {size}; expected fewer widths"
    if settings.architecture == "fast":
        yield from _misfits_of_blocks(settings.fast)
    if settings.architecture == "reference":
        remaining = side
        for block in settings.reference.blocks:
            remaining = (remaining - 2 * len(block) * (settings.reference.padding == "valid")) // 2
        if remaining < 1:
            advice = "expected fewer blocks or padding: same"
            yield ("reference", "blocks"), f"convolutions and pooling leave nothing of {size}; {advice}"
    if settings.sizes and settings.architecture == "reference":
        yield ("sizes",), f"got {settings.sizes}, expected [] for architecture: reference, whose size is fixed"
    elif settings.sizes and (settings.sizes[-1] != side or height != width):
        yield ("sizes",), f"got {settings.sizes}, expected the last to be the side of square pictures, not of {size}"
    elif settings.sizes and not least <= min(settings.sizes) <= max(settings.sizes) <= side:
        yield ("sizes",), f"got {settings.sizes}, expected {least} to {side}, which the blocks can halve"
    for key, value in (("shift", settings.shift), ("cutout", settings.cutout)):
        if value >= side:
            yield (key,), f"got {value}, expected less than the side of {size}"


def _misfits_of_blocks(fast: FastArchitecture) -> Iterator[Misfit]:
    """Yield the settings that need one entry for each block and have another number of them."""
    blocks = len(fast.widths)
    if fast.kernels and [len(row) for row in fast.kernels] != [fast.convolutions] * blocks:
        expected = f"expected {blocks} rows of {fast.convolutions} sizes, one for each convolution of a block, or []"
        yield ("fast", "kernels"), f"got {fast.kernels}, {expected}"
    if fast.middles and fast.convolutions == 2:
        yield ("fast", "middles"), f"got {fast.middles}, expected [] with two convolutions, which have none in between"
    elif fast.middles and len(fast.middles) != blocks:
        yield ("fast", "middles"), f"got {fast.middles}, expected {blocks} numbers, one for each block, or []"
