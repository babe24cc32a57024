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


class HeadSettings(Settings):
    """The head alone, on features that the frozen backbone makes once of each image and of its stored variants."""

    epochs: Positive
    batch_size: AtLeastTwo  # BatchNorm cannot train on one image
    learning_rate: Rate
    weight_decay: Amount


class FinetuneSettings(Settings):
    """The head and the backbone's top blocks together, on images that change in the loop."""

    epochs: Positive
    batch_size: AtLeastTwo
    blocks: Positive  # that are tuned, counted from the top; those below stay as they are
    learning_rate: Rate  # of the head and of the topmost block
    layer_decay: ShareAboveZero  # each block learns at so much of the rate of the one above it
    weight_decay: Amount
    batch_norm: Literal["tuned", "frozen"]  # the statistics of the tuned blocks: of each batch, or ImageNet's
    ema_decay: ShareBelowOne  # average of the weights over steps; 0: none
    flip: bool  # each image mirrored or not
    crop: ShareAboveZero  # the least share of the area that is cut out and enlarged; 1: none
    rotation: Degrees
    brightness: Share  # 0.2: between 0.8 and 1.2 times
    contrast: Share
    saturation: Share
    mixup: Amount  # images mixed in pairs, by shares from Beta(mixup, mixup); 0: none
    cutmix: Amount  # the same with a part of the other image pasted in; with both, a coin is tossed for each batch


class TrainingSettings(Settings):
    """What trains a network that starts from published weights."""

    family: Literal["transfer"]
    data: str
    weights: str  # a block of `weights`; it names the backbone
    seed: Count

    method: Literal["features", "finetune"]  # finetune: the head on features first, then the top blocks too
    side: Side  # pixels that pictures are resized to, inside the network
    head: Literal["linear", "dense"]
    dense: Positive  # units of the dense head's hidden layer
    dropout: ShareBelowOne

    label_smoothing: ShareBelowOne
    optimizer: Optimizer
    momentum: ShareBelowOne  # sgd, rmsprop; the first beta of adam and adamw
    beta2: ShareBelowOne  # adam, adamw; smoothing of rmsprop
    schedule: Schedule  # each phase goes through it once
    warmup: ShareBelowOne  # of all steps of a phase
    keep: Keep  # in each phase; best: by accuracy on val

    features: HeadSettings
    finetune: FinetuneSettings


class ExportSettings(probabilities.ExportSettings):
    """How a trained network becomes the file that ships."""

    views: Literal["identity", "mirror"]


def misfits(settings: TrainingSettings, height: int, width: int) -> Iterator[Misfit]:
    """What does not go together with pictures of this size: the key inside the block, and what is wrong."""
    if settings.weights == "none":
        told = "got none, expected published weights: a block of `weights` with a backbone, as efficientnet-lite0"
        yield ("weights",), told
    if settings.side * 2 < min(height, width):
        told = f"got {settings.side}, expected at least half the side of pictures of {height}x{width}"
        yield ("side",), f"{told}; prepare smaller ones, so that no pixel is passed over"
