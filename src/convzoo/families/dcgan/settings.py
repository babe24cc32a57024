"""The dcgan family: its blocks under `networks`, `export` and `evaluation` in params.yaml."""

from typing import Annotated, Any, Literal

from pydantic import Field

from convzoo.settings.load import Params, Settings, check

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Pairs = Annotated[int, Field(ge=2)]  # a variance or a distance needs two
Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0)]

SMALLEST = 4  # pixels: the side at which the generator starts

# What `variant: plain` puts in the place of a block's values: Radford, Metz and Chintala 2016, section 4
# (https://arxiv.org/abs/1511.06434). Sizes, epochs and what is shown stay those of the block.
PAPER = {
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


class DcganSettings(Settings):
    """What trains a generator and its discriminator."""

    family: Literal["dcgan"]
    data: str
    weights: str  # the feature network that epochs are chosen by and samples are measured in
    seed: Count

    variant: Literal["tuned", "plain"]
    latents: Positive
    generator_width: Positive  # channels before the picture, doubled with each halving of its side
    discriminator_width: Positive  # channels after the first convolution
    leak: Decay  # slope of LeakyReLU below zero
    discriminator_norm: Literal["batch", "none"]
    spectral_norm: bool

    loss: Literal["bce", "hinge"]
    label_smoothing: Decay  # one-sided: real is 1 minus this, generated stays 0
    r1: Strength  # weight of the gradient penalty on real images
    r1_every: Positive  # steps
    epochs: Positive
    batch_size: Pairs  # BatchNorm cannot train on one image
    discriminator_steps: Positive  # for each step of the generator
    generator_learning_rate: Rate
    discriminator_learning_rate: Rate
    beta1: Decay
    beta2: Decay
    schedule: Literal["constant", "linear", "cosine"]
    ema_decay: Decay  # average of the generator's weights over steps; 0: none
    stored_variants: bool  # train on the variants of the stage `augment`, too
    augment: AugmentSettings

    select_every: Positive  # epochs; the first and the last are always judged
    select_images: Pairs  # generated for each, against as many of val at most
    collapse: CollapseSettings
    grid_columns: Positive  # of the pictures
    grid_rows: Positive


class ExportSettings(Settings):
    """How a trained generator becomes the file that ships."""

    parity_images: Positive  # val images and latents on which the files are checked against the weights


class EvaluationSettings(Settings):
    """How the exported file is measured."""

    seed: Count  # of the latents
    batch_size: Positive
    generated_images: Pairs
    real_images: Pairs  # of train and of test, at most
    kid_subsets: Pairs
    kid_subset_images: Pairs
    neighbours: Positive  # k of precision and recall
    probe_images: Count  # train images whose discriminator's features a linear classifier learns; 0: no probe
    pictured: Positive


def misfits(settings: DcganSettings, height: int, width: int) -> list[tuple[tuple[str, ...], str]]:
    """What does not go together, with pictures of this size or in itself: the key inside the block, what is wrong."""
    found = []
    size = f"pictures of {height}x{width}"
    left = height
    while left > SMALLEST:
        left = (left + 1) // 2
    if height != width or left != SMALLEST or height == SMALLEST:
        found.append((("data",), f"{size} cannot be halved down to 4x4; expected squares of 28, 32 or 64 pixels"))
    if settings.weights == "none":
        found.append((("weights",), "got 'none', expected a feature network, which judges the epochs"))
    for key, value in (("shift", settings.augment.shift), ("cutout", settings.augment.cutout)):
        if value >= min(height, width):
            found.append((("augment", key), f"got {value}, expected less than the side of {size}"))
    if settings.loss == "hinge" and settings.label_smoothing:
        found.append((("label_smoothing",), "is of the loss bce; expected 0 with hinge"))
    if settings.r1 and settings.discriminator_norm == "batch":
        told = "a penalty on each image's gradient cannot be told from its neighbours' under BatchNorm; expected 0, or "
        found.append((("r1",), f"{told}discriminator_norm: none"))
    return found


def training_settings(params: Params, network: str) -> DcganSettings:
    """The block `networks.NETWORK`, for `variant: plain` with the paper's values. Raises SettingsError."""
    settings = check(params, ("networks", network), DcganSettings)
    return as_paper(settings) if settings.variant == "plain" else settings


def as_paper(settings: DcganSettings) -> DcganSettings:
    """The same block with the values of the paper."""
    values: dict[str, Any] = settings.model_dump() | PAPER
    return DcganSettings.model_validate(values | {"variant": "plain"})


def export_settings(params: Params, network: str) -> ExportSettings:
    """The block `export.NETWORK`. Raises SettingsError."""
    return check(params, ("export", network), ExportSettings)


def evaluation_settings(params: Params, network: str) -> EvaluationSettings:
    """The block `evaluation.NETWORK`. Raises SettingsError."""
    return check(params, ("evaluation", network), EvaluationSettings)
