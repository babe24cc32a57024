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

EvaluationSettings = probabilities.EvaluationSettings
PromotionSettings = probabilities.PromotionSettings


class FastArchitecture(Settings):
    """Three blocks of two convolutions after a whitened stem."""

    widths: Annotated[list[Positive], Field(min_length=1, max_length=5)]  # channels of each block
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

    optimizer: Literal[Optimizer, "muon"]
    learning_rate: Rate
    muon_learning_rate: Rate  # muon: for weights of convolutions; all others use sgd at learning_rate
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
    if settings.architecture == "fast" and (side - 1) >> len(settings.fast.widths) < 1:
        blocks = len(settings.fast.widths)
        yield ("fast", "widths"), f"{blocks} halvings leave nothing of {size}; expected fewer widths"
    if settings.architecture == "reference":
        remaining = side
        for block in settings.reference.blocks:
            remaining = (remaining - 2 * len(block) * (settings.reference.padding == "valid")) // 2
        if remaining < 1:
            advice = "expected fewer blocks or padding: same"
            yield ("reference", "blocks"), f"convolutions and pooling leave nothing of {size}; {advice}"
    for key, value in (("shift", settings.shift), ("cutout", settings.cutout)):
        if value >= side:
            yield (key,), f"got {value}, expected less than the side of {size}"
