"""The transfer family: its blocks under `networks`, `export` and `evaluation` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from convzoo.settings.load import Params, Settings, check

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Batch = Annotated[int, Field(ge=2)]  # BatchNorm cannot train on one image
Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Amount = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=0)]

Views = Literal["identity", "mirror"]


class HeadSettings(Settings):
    """The head alone, on features that the frozen backbone makes once of each image and of its stored variants."""

    epochs: Positive
    batch_size: Batch
    learning_rate: Rate
    weight_decay: Penalty


class FinetuneSettings(Settings):
    """The head and the backbone's top blocks together, on images that change in the loop."""

    epochs: Positive
    batch_size: Batch
    blocks: Positive  # that are tuned, counted from the top; those below stay as they are
    learning_rate: Rate  # of the head and of the topmost block
    layer_decay: Annotated[float, Field(gt=0, le=1)]  # each block learns at so much of the rate of the one above it
    weight_decay: Penalty
    batch_norm: Literal["tuned", "frozen"]  # the statistics of the tuned blocks: of each batch, or ImageNet's
    ema_decay: Decay  # average of the weights over steps; 0: none
    flip: bool  # each image mirrored or not
    crop: Annotated[float, Field(gt=0, le=1)]  # the least share of the area that is cut out and enlarged; 1: none
    rotation: Annotated[float, Field(ge=0, le=180)]  # degrees, to either side
    brightness: Amount  # 0.2: between 0.8 and 1.2 times
    contrast: Amount
    saturation: Amount
    mixup: Penalty  # images mixed in pairs, by shares from Beta(mixup, mixup); 0: none
    cutmix: Penalty  # the same with a part of the other image pasted in; with both, a coin is tossed for each batch


class TransferSettings(Settings):
    """What trains a network that starts from published weights."""

    family: Literal["transfer"]
    data: str
    weights: str  # a block of `weights`; it names the backbone
    seed: Count

    method: Literal["features", "finetune"]  # finetune: the head on features first, then the top blocks too
    side: Annotated[
        int, Field(ge=32, le=1024, multiple_of=32)
    ]  # pixels that pictures are resized to, inside the network
    head: Literal["linear", "dense"]
    dense: Positive  # units of the dense head's hidden layer
    dropout: Decay

    loss: Literal["cross_entropy"]
    label_smoothing: Decay
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"]
    momentum: Decay  # sgd, rmsprop; the first beta of adam and adamw
    beta2: Decay  # adam, adamw; smoothing of rmsprop
    schedule: Literal["constant", "linear", "cosine", "one_cycle", "step"]  # each phase goes through it once
    warmup: Annotated[float, Field(ge=0, lt=1)]  # of all steps of a phase
    keep: Literal["last", "best"]  # the epoch of each phase that is kept; best: by accuracy on val

    features: HeadSettings
    finetune: FinetuneSettings


class ExportSettings(Settings):
    """How a trained network becomes the file that ships."""

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


def misfits(settings: TransferSettings, height: int, width: int) -> list[tuple[tuple[str, ...], str]]:
    """What does not go together with pictures of this size: the key inside the block, and what is wrong."""
    found = []
    if settings.weights == "none":
        told = "got none, expected published weights: a block of `weights` with a backbone, as efficientnet-lite0"
        found.append((("weights",), told))
    if settings.side * 2 < min(height, width):
        told = f"got {settings.side}, expected at least half the side of pictures of {height}x{width}"
        found.append((("side",), f"{told}; prepare smaller ones, so that no pixel is passed over"))
    return found


def training_settings(params: Params, network: str) -> TransferSettings:
    """The block `networks.NETWORK`. Raises SettingsError."""
    return check(params, ("networks", network), TransferSettings)


def export_settings(params: Params, network: str) -> ExportSettings:
    """The block `export.NETWORK`. Raises SettingsError."""
    return check(params, ("export", network), ExportSettings)


def evaluation_settings(params: Params, network: str) -> EvaluationSettings:
    """The block `evaluation.NETWORK`. Raises SettingsError."""
    return check(params, ("evaluation", network), EvaluationSettings)
