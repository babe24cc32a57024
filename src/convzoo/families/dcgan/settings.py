"""The dcgan family: its blocks under `networks`, `export`, `evaluation` and `promotion` in params.yaml."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from convzoo.settings.load import Settings
from convzoo.settings.promotion import Ceilings, Promotion
from convzoo.settings.types import Amount, AtLeastTwo, Count, Keep, Misfit, Positive, Rate, Share, ShareBelowOne

SMALLEST = 4  # pixels: the side of the generator's first feature maps

# The values that `variant: plain` sets: Radford, Metz and Chintala 2016, section 4 (https://arxiv.org/abs/1511.06434).
# Sizes, epochs and the settings of plots stay those of the block.
PAPER: dict[str, Any] = {
    "latents": 100,
    "conditional": False,
    "leak": 0.2,
    "discriminator_norm": "batch",
    "spectral_norm": False,
    "loss": "bce",
    "label_smoothing": 0.0,
    "r1": 0.0,
    "r2": 0.0,
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
    """Augmentation of the discriminator's inputs, real and generated alike; all zero: none."""

    flip: bool
    shift: Count  # pixels, each way
    brightness: Share  # of the range, to either side
    saturation: Share  # 0.5: between 0.5 and 1.5 times
    contrast: Share
    cutout: Count  # side of the square, pixels


class CollapseSettings(Settings):
    """Thresholds below which a training counts as collapsed, for the metrics of validated epochs."""

    action: Literal["fail", "warn"]
    diversity: Share  # of the samples, as a ratio to val; below it they are all alike
    probability: Annotated[
        float, Field(ge=0, lt=0.5)
    ]  # D(x) and D(G(z)) this close to 0 or 1: the discriminator is certain
    judged_epochs: Positive  # validated epochs in a row


class TrainingSettings(Settings):
    """Settings of the training of a generator and its discriminator."""

    family: Literal["dcgan"]
    data: str
    weights: str  # the feature network of KID and diversity
    seed: Count

    variant: Literal["tuned", "plain"]
    latents: Positive
    conditional: bool  # the class is given: the first latents choose it, and the discriminator judges images of a class
    generator_width: Positive  # channels before the last layer, doubled with each halving of the side
    discriminator_width: Positive  # channels after the first convolution
    leak: ShareBelowOne  # slope of LeakyReLU below zero
    discriminator_norm: Literal["batch", "none"]
    spectral_norm: bool

    loss: Literal["bce", "hinge", "relativistic"]
    label_smoothing: ShareBelowOne  # one-sided: the target is 1 minus this for real images, 0 for generated ones
    r1: Amount  # weight of the gradient penalty on real images
    r2: Amount  # the same on generated images
    r1_every: Positive  # steps between penalties, of both kinds
    epochs: Positive
    batch_size: AtLeastTwo  # BatchNorm cannot train on one image
    discriminator_steps: Positive  # per step of the generator
    generator_learning_rate: Rate
    discriminator_learning_rate: Rate
    beta1: ShareBelowOne
    beta2: ShareBelowOne
    schedule: Literal["constant", "linear", "cosine"]
    ema_decay: ShareBelowOne  # moving average of the generator's weights over steps; 0: none
    stored_variants: bool  # also train on the variants of the stage `augment`
    augment: AugmentSettings

    keep: Keep  # best: by KID on val
    select_every: Positive  # epochs; the first and the last are always validated
    select_images: AtLeastTwo  # generated images per validation, compared with at most as many of val
    collapse: CollapseSettings
    grid_columns: Positive  # of the grids of samples
    grid_rows: Positive

    @model_validator(mode="after")
    def _plain_has_the_papers_values(self) -> Self:
        return as_paper(self) if self.variant == "plain" else self


class ExportSettings(Settings):
    """Settings of the export."""

    parity_images: Positive  # val images and latents on which the files are checked against the weights


class EvaluationSettings(Settings):
    """Settings of the evaluation."""

    seed: Count  # of the latents
    batch_size: Positive
    generated_images: AtLeastTwo
    real_images: AtLeastTwo  # of train and of test each, at most
    kid_subsets: AtLeastTwo
    kid_subset_images: AtLeastTwo
    neighbours: Positive  # k of precision and recall
    probe_images: Count  # train images for a linear classifier of the discriminator's features; 0: no probe
    pictured: Positive


class PromotionCeilings(Ceilings):
    """Maximum values that a version may have; null: not limited."""

    kid: Rate | None


class Floors(Settings):
    """Minimum values that a version must reach; null: not required."""

    precision: Share | None  # of the generated images, those that are like a real one
    recall: Share | None  # of the real images, those that have a generated one like them


class PromotionSettings(Promotion):
    """Settings of the promotion."""

    floors: Floors
    ceilings: PromotionCeilings
    neighbours: Positive  # k of precision and recall
    batch_size: Positive
    repeats: Annotated[int, Field(ge=3)]  # sets of samples to compute KID of
    images: Annotated[int, Field(ge=20)]  # in each of them
    real_images: Annotated[int, Field(ge=20)]  # of val and of test each, at most
    seed: Count  # of the first set's latents


def as_paper(settings: TrainingSettings) -> TrainingSettings:
    """Return the settings with the values of the paper."""
    return settings.model_copy(update=PAPER | {"augment": AugmentSettings(**PAPER["augment"])})


def misfits(settings: TrainingSettings, height: int, width: int) -> Iterator[Misfit]:
    """Yield each setting that does not fit images of this size or another one: its key in the block and a message."""
    size = f"pictures of {height}x{width}"
    side = height
    while side > SMALLEST:
        side = (side + 1) // 2
    if height != width or side != SMALLEST or height == SMALLEST:
        yield ("data",), f"{size} cannot be halved down to 4x4; expected squares of 28, 32 or 64 pixels"
    if settings.weights == "none":
        yield ("weights",), "got 'none', expected a feature network, which judges the epochs"
    for key, value in (("shift", settings.augment.shift), ("cutout", settings.augment.cutout)):
        if value >= min(height, width):
            yield ("augment", key), f"got {value}, expected less than the side of {size}"
    if settings.loss != "bce" and settings.label_smoothing:
        yield ("label_smoothing",), f"is of the loss bce; expected 0 with {settings.loss}"
    for key in ("r1", "r2"):
        if getattr(settings, key) and settings.discriminator_norm == "batch":
            message = "a penalty on each image's gradient cannot be separated from its neighbours' under BatchNorm; "
            yield (key,), f"{message}expected 0, or discriminator_norm: none"
