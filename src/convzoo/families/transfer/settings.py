"""The transfer family: its blocks under `networks`, `export`, `evaluation` and `promotion` in params.yaml."""

from collections.abc import Iterator
from typing import Literal

from convzoo.families.probabilities import settings as probabilities
from convzoo.settings.load import Settings
from convzoo.settings.types import (
    Amount,
    AtLeastTwo,
    Count,
    Degrees,
    Keep,
    Misfit,
    Optimizer,
    Positive,
    Rate,
    Schedule,
    Share,
    ShareAboveZero,
    ShareBelowOne,
    Side,
)

EvaluationSettings = probabilities.EvaluationSettings
PromotionSettings = probabilities.PromotionSettings

# Why it takes no images in shards.
IN_MEMORY = "a transfer network keeps the features of all images in memory"


class HeadSettings(Settings):
    """Settings of phase 1: the head alone, on cached features of the images and their stored variants."""

    epochs: Positive
    batch_size: AtLeastTwo  # BatchNorm cannot train on one image
    learning_rate: Rate
    weight_decay: Amount


class FinetuneSettings(Settings):
    """Settings of phase 2: the head and the backbone's top blocks together, on augmented images."""

    epochs: Positive
    batch_size: AtLeastTwo
    blocks: Positive  # to tune, counted from the top; the others stay frozen
    learning_rate: Rate  # of the head and of the topmost block
    layer_decay: ShareAboveZero  # ratio of a block's learning rate to that of the block above
    weight_decay: Amount
    batch_norm: Literal["tuned", "frozen"]  # statistics in the tuned blocks: of each batch, or ImageNet's
    ema_decay: ShareBelowOne  # moving average of the weights over steps; 0: none
    flip: bool  # mirror half of the images
    crop: ShareAboveZero  # smallest share of the area that a crop covers; 1: none
    rotation: Degrees
    brightness: Share  # 0.2: between 0.8 and 1.2 times
    contrast: Share
    saturation: Share
    mixup: Amount  # blend pairs of images, by shares from Beta(mixup, mixup); 0: none
    cutmix: Amount  # paste a part of the other image instead; with both, each batch uses one at random


class TrainingSettings(Settings):
    """Settings of the training."""

    family: Literal["transfer"]
    data: str
    weights: str  # a block of `weights`, which names the backbone
    seed: Count

    method: Literal["features", "finetune"]  # finetune: the head on features first, then the top blocks too
    side: Side  # pixels that the network resizes images to
    head: Literal["linear", "dense"]
    dense: Positive  # units of the dense head's hidden layer
    dropout: ShareBelowOne

    label_smoothing: ShareBelowOne
    optimizer: Optimizer
    momentum: ShareBelowOne  # sgd, rmsprop; the first beta of adam and adamw
    beta2: ShareBelowOne  # adam, adamw; smoothing of rmsprop
    schedule: Schedule  # each phase runs through it once
    warmup: ShareBelowOne  # of all steps of a phase
    keep: Keep  # in each phase; best: by accuracy on val

    features: HeadSettings
    finetune: FinetuneSettings


class ExportSettings(probabilities.ExportSettings):
    """Settings of the export."""

    views: Literal["identity", "mirror"]


def misfits(settings: TrainingSettings, height: int, width: int) -> Iterator[Misfit]:
    """Yield each setting that does not fit images of this size: its key inside the block and an error message."""
    if settings.weights == "none":
        message = "got none, expected published weights: a block of `weights` with a backbone, as efficientnet-lite0"
        yield ("weights",), message
    if settings.side * 2 < min(height, width):
        message = f"got {settings.side}, expected at least half the side of pictures of {height}x{width}"
        yield ("side",), f"{message}; prepare smaller ones, so that no pixel is passed over"
