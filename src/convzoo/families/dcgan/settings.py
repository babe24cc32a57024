"""The dcgan family: its blocks under `networks`, `export`, `evaluation` and `promotion` in params.yaml."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from convzoo.settings.load import Settings
from convzoo.settings.promotion import Ceilings, Promotion
from convzoo.settings.types import Amount, AtLeastTwo, Count, Misfit, Positive, Rate, Share, ShareBelowOne

SMALLEST = 4  # pixels: the side at which the generator starts

# What `variant: plain` puts in the place of a block's values: Radford, Metz and Chintala 2016, section 4
# (https://arxiv.org/abs/1511.06434). Sizes, epochs and what is shown stay those of the block.
PAPER: dict[str, Any] = {
    "latents": 100,
    "leak": 0.2,
    "discriminator_norm": "batch",
    "spectral_norm": False,
    "loss": "bce",
    "label_smoothing": 0.0,
    "r1": 0.0,
    "batch_size": 128,
    "discriminator_steps": 1,
    "generator_learning_rate": 2e-4,
    "discriminator_learning_rate": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "schedule": "constant",
    "ema_decay": 0.0,
    "stored_variants": False,
    "augment": {"flip": False, "shift": 0, "brightness": 0.0, "saturation": 0.0, "contrast": 0.0, "cutout": 0},
}


class AugmentSettings(Settings):
    """Random changes to what the discriminator sees, real and generated alike; all zero: none."""

    flip: bool
    shift: Count  # pixels, each way
    brightness: Share  # of the range, to either side
    saturation: Share  # 0.5: between 0.5 and 1.5 times
    contrast: Share
    cutout: Count  # side of the square, pixels


class CollapseSettings(Settings):
    """When a training is said to have failed, by what is measured at each judged epoch."""

    action: Literal["fail", "warn"]
    diversity: Share  # of the samples, 1 being that of val; below it they are all alike
    probability: Annotated[float, Field(ge=0, lt=0.5)]  # of D: real above 1 - this and generated below it, or alike
    judged_epochs: Positive  # so many in a row


class TrainingSettings(Settings):
    """What trains a generator and its discriminator."""

    family: Literal["dcgan"]
    data: str
    weights: str  # the feature network that epochs are chosen by and samples are measured in
    seed: Count

    variant: Literal["tuned", "plain"]
    latents: Positive
    generator_width: Positive  # channels before the picture, doubled with each halving of its side
    discriminator_width: Positive  # channels after the first convolution
    leak: ShareBelowOne  # slope of LeakyReLU below zero
    discriminator_norm: Literal["batch", "none"]
    spectral_norm: bool

    loss: Literal["bce", "hinge"]
    label_smoothing: ShareBelowOne  # one-sided: real is 1 minus this, generated stays 0
    r1: Amount  # weight of the gradient penalty on real images
    r1_every: Positive  # steps
    epochs: Positive
    batch_size: AtLeastTwo  # BatchNorm cannot train on one image
    discriminator_steps: Positive  # for each step of the generator
    generator_learning_rate: Rate
    discriminator_learning_rate: Rate
    beta1: ShareBelowOne
    beta2: ShareBelowOne
    schedule: Literal["constant", "linear", "cosine"]
    ema_decay: ShareBelowOne  # average of the generator's weights over steps; 0: none
    stored_variants: bool  # train on the variants of the stage `augment`, too
    augment: AugmentSettings

    select_every: Positive  # epochs; the first and the last are always judged
    select_images: AtLeastTwo  # generated for each, against as many of val at most
    collapse: CollapseSettings
    grid_columns: Positive  # of the pictures
    grid_rows: Positive

    @model_validator(mode="after")
    def _plain_has_the_papers_values(self) -> Self:
        return as_paper(self) if self.variant == "plain" else self


class ExportSettings(Settings):
    """How a trained generator becomes the file that ships."""

    parity_images: Positive  # val images and latents on which the files are checked against the weights


class EvaluationSettings(Settings):
    """How the exported file is measured."""

    seed: Count  # of the latents
    batch_size: Positive
    generated_images: AtLeastTwo
    real_images: AtLeastTwo  # of train and of test, at most
    kid_subsets: AtLeastTwo
    kid_subset_images: AtLeastTwo
    neighbours: Positive  # k of precision and recall
    probe_images: Count  # train images whose discriminator's features a linear classifier learns; 0: no probe
    pictured: Positive


class PromotionCeilings(Ceilings):
    """The most that is allowed; null: any."""

    kid: Rate | None


class PromotionSettings(Promotion):
    """What a version must reach."""

    ceilings: PromotionCeilings
    batch_size: Positive
    repeats: Annotated[int, Field(ge=3)]  # samples that KID is measured of
    images: Annotated[int, Field(ge=20)]  # in each of them
    real_images: Annotated[int, Field(ge=20)]  # of val, and of test, at most
    seed: Count  # of the first sample's latents


def as_paper(settings: TrainingSettings) -> TrainingSettings:
    """The same settings with the values of the paper."""
    return settings.model_copy(update=PAPER | {"augment": AugmentSettings(**PAPER["augment"])})


def misfits(settings: TrainingSettings, height: int, width: int) -> Iterator[Misfit]:
    """What does not go together, with pictures of this size or in itself: the key inside the block, what is wrong."""
    size = f"pictures of {height}x{width}"
    left = height
    while left > SMALLEST:
        left = (left + 1) // 2
    if height != width or left != SMALLEST or height == SMALLEST:
        yield ("data",), f"{size} cannot be halved down to 4x4; expected squares of 28, 32 or 64 pixels"
    if settings.weights == "none":
        yield ("weights",), "got 'none', expected a feature network, which judges the epochs"
    for key, value in (("shift", settings.augment.shift), ("cutout", settings.augment.cutout)):
        if value >= min(height, width):
            yield ("augment", key), f"got {value}, expected less than the side of {size}"
    if settings.loss == "hinge" and settings.label_smoothing:
        yield ("label_smoothing",), "is of the loss bce; expected 0 with hinge"
    if settings.r1 and settings.discriminator_norm == "batch":
        told = "a penalty on each image's gradient cannot be told from its neighbours' under BatchNorm; expected 0, or "
        yield ("r1",), f"{told}discriminator_norm: none"
