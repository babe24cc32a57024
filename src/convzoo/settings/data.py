"""What is done with a data set's images: the blocks of `data` in params.yaml."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from convzoo.settings.load import Params, Settings, check
from convzoo.settings.types import Amount, Count, Degrees, Positive, Share, ShareAboveZero, ShareBelowOne, ShareBetween


class PrepareSettings(Settings):
    """Arrays, splits and what happens to doubtful images."""

    seed: Count
    classes: list[str] | Literal["source"]  # in the order of the labels; source: the names that it has; []: no labels
    height: Positive  # pixels
    width: Positive  # pixels
    channels: Literal[1, 3]
    resize: Literal["none", "crop", "pad", "stretch"]  # how pictures of other sizes become height x width
    unreadable: Literal["stop", "drop"]  # a file that is no picture, though the layout says that it is one
    val_fraction: ShareBetween  # of the train images
    test_fraction: ShareBetween  # of all images, where the source has no test split of its own
    label_conflicts: Literal["stop", "drop"]  # the same picture under two labels

    @model_validator(mode="after")
    def _distinct_classes(self) -> Self:
        if self.classes != "source" and len(set(self.classes)) != len(self.classes):
            raise ValueError("expected every class name in `classes` once")
        return self


class AugmentSettings(Settings):
    """Stored variants of the train images, drawn uniformly within these bounds."""

    seed: Count
    variants: Count  # of each train image
    rotation: Degrees
    shift: ShareBelowOne  # of the side, each way
    scale: ShareBelowOne  # 0.1: between 0.9 and 1.1 times
    crop: ShareAboveZero  # the least share of the picture's area that is cut out and enlarged
    flip: bool  # left and right, every second one
    brightness: ShareBelowOne  # 0.2: between 0.8 and 1.2 times
    contrast: ShareBelowOne
    saturation: ShareBelowOne
    hue: Annotated[float, Field(ge=0, le=0.5)]  # of the colour circle, to either side
    pictured: Positive  # how many originals the before and after picture shows


class NoVariants(Settings):
    """All that is to be said where no variants are stored."""

    variants: Literal[0]
    pictured: Positive


def _augment_class(block: Any) -> str:
    # AugmentSettings for whatever is neither, so that messages name all of its keys.
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
    """What the data check insists on beyond shape, type and labels."""

    min_images: SplitCounts
    min_class_share: Share  # the rarest class against an even split; 0.5: half as many
    min_contrast: Amount  # standard deviation of an image's pixels; below it is blank
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
