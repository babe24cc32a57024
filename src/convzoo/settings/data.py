"""Preparation, augmentation and validation of data sets: the blocks of `data` in params.yaml."""

import unicodedata
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from convzoo.settings.load import Params, Settings, check
from convzoo.settings.types import Amount, Count, Degrees, Positive, Share, ShareAboveZero, ShareBelowOne, ShareBetween


class Shards(Settings):
    """The sizes of shards, in bytes."""

    bytes: Positive  # of the images in one shard, at most
    window: Positive  # of the images that a training shuffles together, and of what it keeps in memory


class PrepareSettings(Settings):
    """Array shapes, splits, the handling of unreadable and conflicting images, and how splits are stored."""

    seed: Count
    classes: list[str] | Literal["source"]  # in the order of the labels; source: the source's names; []: no labels
    height: Positive  # pixels
    width: Positive  # pixels
    channels: Literal[1, 3]
    resize: Literal["none", "crop", "pad", "stretch"]  # how pictures of other sizes become height x width
    unreadable: Literal["stop", "drop"]  # what to do with a file that matches the layout but is not a picture
    split: Literal["stratified", "hashed"]  # hashed: an image keeps its split when others are added
    val_fraction: ShareBetween  # of the train images
    test_fraction: ShareBetween  # of all images, if the source has no test split
    label_conflicts: Literal["stop", "drop"]  # what to do with a picture that has two labels
    storage: Literal["arrays", "shards"]  # one file per split, or tar files for a set larger than memory
    shards: Shards

    @model_validator(mode="after")
    def _distinct_classes(self) -> Self:
        names = {unicodedata.normalize("NFC", name) for name in self.classes}
        if self.classes != "source" and len(names) != len(self.classes):
            raise ValueError("expected every class name in `classes` once")
        return self


class AugmentSettings(Settings):
    """Stored variants of the train images, drawn uniformly within these bounds."""

    seed: Count
    variants: Count  # of each train image
    rotation: Degrees
    shift: ShareBelowOne  # of the side, each way
    scale: ShareBelowOne  # 0.1: between 0.9 and 1.1 times
    crop: ShareAboveZero  # the smallest crop, as a share of the picture's area; crops are enlarged
    flip: bool  # left to right, every second variant
    brightness: ShareBelowOne  # 0.2: between 0.8 and 1.2 times
    contrast: ShareBelowOne
    saturation: ShareBelowOne
    hue: Annotated[float, Field(ge=0, le=0.5)]  # of the colour circle, to either side
    pictured: Positive  # how many originals the before and after picture shows


class NoVariants(Settings):
    """The settings of a data set without stored variants."""

    variants: Literal[0]
    pictured: Positive


def _augment_class(block: Any) -> str:
    # AugmentSettings for a block that is neither, so that messages list all of its keys.
    keys = block if isinstance(block, dict) else getattr(block, "model_fields_set", ())
    return "NoVariants" if set(keys) == set(NoVariants.model_fields) else "AugmentSettings"


Augment = Annotated[
    Annotated[AugmentSettings, Tag("AugmentSettings")] | Annotated[NoVariants, Tag("NoVariants")],
    Discriminator(_augment_class),
]


class SplitCounts(Settings):
    """A number of images for each split."""

    train: Positive
    val: Positive
    test: Positive


class ValidateSettings(Settings):
    """The limits of the data checks; shapes, types and labels are always checked."""

    min_images: SplitCounts
    min_class_share: Share  # of the rarest class, relative to an even distribution; 0.5: half as many images
    min_contrast: Amount  # standard deviation of an image's pixels; below this it counts as blank
    rows_named: Positive  # how many offending rows a message lists


class DataSettings(Settings):
    """A data set: its source (a block of `sources`) and a block for each stage."""

    source: str
    prepare: PrepareSettings
    augment: Augment
    validate_: Annotated[ValidateSettings, Field(alias="validate")]


def prepare_settings(params: Params, dataset: str) -> PrepareSettings:
    """The block `data.DATASET.prepare`. Raises SettingsError."""
    return check(params, ("data", dataset, "prepare"), PrepareSettings)


def augment_settings(params: Params, dataset: str) -> Augment:
    """The block `data.DATASET.augment`. Raises SettingsError."""
    return check(params, ("data", dataset, "augment"), Augment)


def data_settings(params: Params, dataset: str) -> DataSettings:
    """The block `data.DATASET`. Raises SettingsError."""
    return check(params, ("data", dataset), DataSettings)
