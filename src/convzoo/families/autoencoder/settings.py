"""The autoencoder family: its blocks under `networks`, `export`, `evaluation` and `promotion` in params.yaml."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from convzoo.settings.load import Settings
from convzoo.settings.promotion import Ceilings, Promotion
from convzoo.settings.types import (
    Amount,
    AtLeastTwo,
    Count,
    Flip,
    Keep,
    Misfit,
    Optimizer,
    Positive,
    Rate,
    Schedule,
    ShareBelowOne,
)


class FastArchitecture(Settings):
    """Strided convolutions and residual blocks around a linear path that can start as PCA."""

    latent: Positive  # numbers between encoder and decoder
    features: Positive  # channels of all feature maps
    strides: Annotated[list[Annotated[int, Field(ge=1, le=16)]], Field(min_length=1, max_length=4)]  # of convolutions
    encoder_blocks: Count  # residual blocks on the smallest feature maps
    decoder_blocks: Count
    pca: bool  # start the linear path as the principal components of the train images


class ReferenceArchitecture(Settings):
    """The layout of the course notebook: a few convolutions at full resolution, without a bottleneck."""

    features: Annotated[list[Positive], Field(min_length=1, max_length=6)]  # channels of the encoder's feature maps


class TrainingSettings(Settings):
    """Settings of the training, with flat standard names, so that runs can be searched by them."""

    family: Literal["autoencoder"]
    data: str
    weights: Literal["none"]
    seed: Count

    architecture: Literal["fast", "reference"]
    fast: FastArchitecture
    reference: ReferenceArchitecture
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]

    loss: Literal["mse", "l1"]
    epochs: Positive
    batch_size: Positive

    optimizer: Optimizer
    learning_rate: Rate
    linear_learning_rate: Rate  # of the linear path, whose weights are small and start near their optimum
    momentum: ShareBelowOne  # sgd, rmsprop; the first beta of adam and adamw
    beta2: ShareBelowOne  # adam, adamw; smoothing of rmsprop
    weight_decay: Amount
    schedule: Schedule
    warmup: ShareBelowOne  # of all steps
    ema_decay: ShareBelowOne  # moving average of the weights over steps; 0: none
    keep: Keep  # best: by PSNR on val

    flip: Flip
    shift: Count  # pixels, each way


class ExportSettings(Settings):
    """Settings of the export."""

    parity_images: Positive  # val images on which the files are checked against the weights


class EvaluationSettings(Settings):
    """Settings of the evaluation on test."""

    batch_size: Positive
    pca_images: AtLeastTwo  # train images at most to fit PCA on
    probe_images: AtLeastTwo  # train images at most to train the linear probe on
    probe_iterations: Positive  # of the probe's optimizer at most
    shown: Positive  # images in the plots of reconstructions
    mapped: AtLeastTwo  # test images at most in the map of latents
    map: Literal["pca", "tsne"]  # projection of latents to two dimensions


class Floors(Settings):
    """Minimum values that a version must reach; null: not required."""

    psnr: Rate | None  # dB


class PromotionSettings(Promotion):
    """Settings of the promotion."""

    floors: Floors
    ceilings: Ceilings
    batch_size: Positive
    resamples: Annotated[int, Field(ge=100)]  # of the bootstrap
    seed: Count


def misfits(settings: TrainingSettings, height: int, width: int) -> Iterator[Misfit]:
    """Yield each setting that does not fit images of this size: its key inside the block and an error message."""
    size = f"pictures of {height}x{width}"
    step = 1
    for stride in settings.fast.strides:
        step *= stride
    if settings.architecture == "fast" and (height % step or width % step):
        message = f"together {step}, which does not divide {size}; expected strides that do"
        yield ("fast", "strides"), message
    if settings.architecture == "fast" and settings.fast.pca and settings.fast.latent > height * width:
        # A grey image has no more principal components than pixels.
        message = f"got {settings.fast.latent}, expected {height * width} at most for {size} and a linear path"
        yield ("fast", "latent"), message
    if settings.shift >= min(height, width):
        yield ("shift",), f"got {settings.shift}, expected less than the side of {size}"
