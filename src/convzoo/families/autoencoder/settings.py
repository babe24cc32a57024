"""The autoencoder family: its blocks under `networks`, `export` and `evaluation` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from convzoo.settings.load import Params, Settings, check

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class FastArchitecture(Settings):
    """Strided convolutions and residual blocks, and a linear path around them that starts at PCA."""

    latent: Positive  # numbers between encoder and decoder
    features: Positive  # channels of all feature maps
    strides: Annotated[list[Annotated[int, Field(ge=1, le=16)]], Field(min_length=1, max_length=4)]  # of convolutions
    encoder_blocks: Count  # residual blocks on the smallest feature maps
    decoder_blocks: Count
    pca: bool  # a linear path that starts as the principal components of the train images; false: none


class ReferenceArchitecture(Settings):
    """The original's layout: a few convolutions at full size, without a bottleneck."""

    features: Annotated[list[Positive], Field(min_length=1, max_length=6)]  # channels of the encoder's feature maps


class AutoencoderSettings(Settings):
    """What trains an autoencoder. The names are those of the field, flat, so that runs can be searched by them."""

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

    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"]
    learning_rate: Rate
    linear_learning_rate: Rate  # of the linear path, whose weights are small and start where they should be
    momentum: Decay  # sgd, rmsprop; the first beta of adam and adamw
    beta2: Decay  # adam, adamw; smoothing of rmsprop
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["constant", "linear", "cosine", "one_cycle", "step"]
    warmup: Annotated[float, Field(ge=0, lt=1)]  # of all steps
    ema_decay: Decay  # average of the weights over steps; 0: none
    keep: Literal["last", "best"]  # the epoch that is kept; best: by PSNR on val

    flip: Literal["none", "random", "alternating"]
    shift: Count  # pixels, each way; moves the blocks of 8x8 pixels that JPEG left in a picture


class ExportSettings(Settings):
    """How a trained autoencoder becomes the file that ships."""

    parity_images: Positive  # val images on which the files are checked against the weights


class EvaluationSettings(Settings):
    """How the exported file is measured on test."""

    batch_size: Positive
    pca_images: Annotated[int, Field(ge=2)]  # train images, at most, that PCA is fitted on
    probe_images: Annotated[int, Field(ge=2)]  # train images, at most, whose latents the linear probe learns from
    probe_iterations: Positive  # of the probe's optimizer, at most
    shown: Positive  # images in the pictures of reconstructions
    mapped: Annotated[int, Field(ge=2)]  # test images, at most, in the map of latents
    map: Literal["pca", "tsne"]  # how latents become two dimensions


def misfits(settings: AutoencoderSettings, height: int, width: int) -> list[tuple[tuple[str, ...], str]]:
    """What does not go together with pictures of this size: the key inside the block, and what is wrong."""
    found = []
    size = f"pictures of {height}x{width}"
    step = 1
    for stride in settings.fast.strides:
        step *= stride
    if settings.architecture == "fast" and (height % step or width % step):
        told = f"together {step}, which does not divide {size}; expected strides that do"
        found.append((("fast", "strides"), told))
    if settings.architecture == "fast" and settings.fast.pca and settings.fast.latent > height * width:
        # As many as a grey picture has pixels: more would be more than there are principal components.
        told = f"got {settings.fast.latent}, expected {height * width} at most for {size} and a linear path"
        found.append((("fast", "latent"), told))
    if settings.shift >= min(height, width):
        found.append((("shift",), f"got {settings.shift}, expected less than the side of {size}"))
    return found


def training_settings(params: Params, network: str) -> AutoencoderSettings:
    """The block `networks.NETWORK`. Raises SettingsError."""
    return check(params, ("networks", network), AutoencoderSettings)


def export_settings(params: Params, network: str) -> ExportSettings:
    """The block `export.NETWORK`. Raises SettingsError."""
    return check(params, ("export", network), ExportSettings)


def evaluation_settings(params: Params, network: str) -> EvaluationSettings:
    """The block `evaluation.NETWORK`. Raises SettingsError."""
    return check(params, ("evaluation", network), EvaluationSettings)
