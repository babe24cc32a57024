"""The classifier family: its blocks under `networks`, `export` and `evaluation` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from convzoo.settings.load import Params, Settings, check

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]

Activation = Literal["relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid"]
Views = Literal["identity", "mirror", "shift", "mirror_shift"]


class FastArchitecture(Settings):
    """Three blocks of two convolutions after a whitened stem."""

    widths: Annotated[list[Positive], Field(min_length=1, max_length=5)]  # channels of each block
    whitening: bool  # a frozen first layer that whitens 2x2 patches of the train images
    dirac: bool  # convolutions start as the identity
    logit_scale: Rate


class ReferenceArchitecture(Settings):
    """The textbook layout: convolutions and pooling, flattened into linear layers."""

    blocks: Annotated[list[Annotated[list[Positive], Field(min_length=1)]], Field(min_length=1)]  # pooled after each
    padding: Literal["valid", "same"]
    dense: Positive
    dropout: Decay


class ClassifierSettings(Settings):
    """What trains a classifier. The names are those of the field, flat, so that runs can be searched by them."""

    family: Literal["classifier"]
    data: str
    weights: Literal["none"]
    seed: Count

    architecture: Literal["fast", "reference"]
    fast: FastArchitecture
    reference: ReferenceArchitecture
    activation: Activation

    loss: Literal["cross_entropy"]
    label_smoothing: Decay
    epochs: Positive
    batch_size: Annotated[int, Field(ge=2)]  # BatchNorm cannot train on one image

    optimizer: Literal["sgd", "adam", "adamw", "rmsprop", "muon"]
    learning_rate: Rate
    muon_learning_rate: Rate  # for the convolutions' weights under muon; the rest is sgd at learning_rate
    momentum: Decay  # sgd, rmsprop, muon; the first beta of adam and adamw
    beta2: Decay  # adam, adamw; smoothing of rmsprop
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["constant", "linear", "cosine", "one_cycle", "step"]
    warmup: Annotated[float, Field(ge=0, lt=1)]  # of all steps
    ema_decay: Decay  # average of the weights over steps; 0: none
    keep: Literal["last", "best"]  # the epoch that is kept; best: by accuracy on val

    flip: Literal["none", "random", "alternating"]
    shift: Count  # pixels, each way
    rotation: Annotated[float, Field(ge=0, le=180)]  # degrees, to either side
    scale: Annotated[float, Field(ge=0, lt=1)]
    cutout: Count  # side of the square, pixels


class ExportSettings(Settings):
    """How a trained classifier becomes the file that ships."""

    views: Views  # what the file averages over for each image
    calibrate: bool  # one temperature for all logits, fitted on val; answers stay, probabilities mean what they say
    parity_images: Positive  # val images on which the file is checked against the weights


class EvaluationSettings(Settings):
    """How the exported file is measured on test."""

    batch_size: Positive
    confidence: Annotated[float, Field(gt=0, lt=1)]  # of the interval around the accuracy
    top_k: Annotated[int, Field(ge=2)]
    calibration_bins: Positive
    mistakes_shown: Positive


def misfits(settings: ClassifierSettings, height: int, width: int) -> list[tuple[tuple[str, ...], str]]:
    """What does not go together with pictures of this size: the key inside the block, and what is wrong."""
    found = []
    side = min(height, width)
    size = f"pictures of {height}x{width}"
    if settings.architecture == "fast" and (side - 1) >> len(settings.fast.widths) < 1:
        blocks = len(settings.fast.widths)
        found.append((("fast", "widths"), f"{blocks} halvings leave nothing of {size}; expected fewer widths"))
    if settings.architecture == "reference":
        left = side
        for block in settings.reference.blocks:
            left = (left - 2 * len(block) * (settings.reference.padding == "valid")) // 2
        if left < 1:
            advice = "expected fewer blocks or padding: same"
            found.append((("reference", "blocks"), f"convolutions and pooling leave nothing of {size}; {advice}"))
    for key, value in (("shift", settings.shift), ("cutout", settings.cutout)):
        if value >= side:
            found.append(((key,), f"got {value}, expected less than the side of {size}"))
    return found


def training_settings(params: Params, network: str) -> ClassifierSettings:
    """The block `networks.NETWORK`. Raises SettingsError."""
    return check(params, ("networks", network), ClassifierSettings)


def export_settings(params: Params, network: str) -> ExportSettings:
    """The block `export.NETWORK`. Raises SettingsError."""
    return check(params, ("export", network), ExportSettings)


def evaluation_settings(params: Params, network: str) -> EvaluationSettings:
    """The block `evaluation.NETWORK`. Raises SettingsError."""
    return check(params, ("evaluation", network), EvaluationSettings)
