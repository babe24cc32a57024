"""What is done with a data set's images: the blocks of `data` in params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from convzoo.settings.load import Params, Settings, block, check

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class PrepareSettings(Settings):
    """Arrays, splits and what happens to doubtful images."""

    seed: Count
    classes: list[str] | Literal["source"]  # in the order of the labels; source: the names that it has; []: no labels
    height: Positive  # pixels
    width: Positive  # pixels
    channels: Literal[1, 3]
    resize: Literal["none", "crop", "pad", "stretch"]  # how pictures of other sizes become height x width
    unreadable: Literal["stop", "drop"]  # a file that is no picture, though the layout says that it is one
    val_fraction: Fraction  # of the train images
    test_fraction: Fraction  # of all images, where the source has no test split of its own
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
    rotation: Annotated[float, Field(ge=0, le=180)]  # degrees, to either side
    shift: Annotated[float, Field(ge=0, lt=1)]  # of the side, each way
    scale: Annotated[float, Field(ge=0, lt=1)]  # 0.1: between 0.9 and 1.1 times
    crop: Annotated[float, Field(gt=0, le=1)]  # the least share of the picture's area that is cut out and enlarged
    flip: bool  # left and right, every second one
    brightness: Annotated[float, Field(ge=0, lt=1)]  # 0.2: between 0.8 and 1.2 times
    contrast: Annotated[float, Field(ge=0, lt=1)]
    saturation: Annotated[float, Field(ge=0, lt=1)]
    hue: Annotated[float, Field(ge=0, le=0.5)]  # of the colour circle, to either side
    pictured: Positive  # how many originals the before and after picture shows


class NoVariants(Settings):
    """All that is to be said where no variants are stored."""

    variants: Literal[0]
    pictured: Positive


PLAIN = set(NoVariants.model_fields)


class SplitCounts(Settings):
    """A number of images for each split."""

    train: Positive
    val: Positive
    test: Positive


class ValidateSettings(Settings):
    """What the data check insists on beyond shape, type and labels."""

    min_images: SplitCounts
    min_class_share: Share  # the rarest class against an even split; 0.5: half as many
    min_contrast: Annotated[float, Field(ge=0)]  # standard deviation of an image's pixels; below it is blank
    rows_named: Positive  # how many offending rows a message lists


class DataSettings(Settings):
    """A data set: its source (a block of `sources`) and a block for each stage."""

    source: str
    prepare: PrepareSettings
    augment: AugmentSettings
    validate_: Annotated[ValidateSettings, Field(alias="validate")]


class PlainDataSettings(DataSettings):
    """A data set without stored variants."""

    augment: NoVariants


def prepare_settings(params: Params, dataset: str) -> PrepareSettings:
    """The block `data.DATASET.prepare`. Raises SettingsError."""
    return check(params, ("data", dataset, "prepare"), PrepareSettings)


def augment_settings(params: Params, dataset: str) -> AugmentSettings | NoVariants:
    """The block `data.DATASET.augment`. Raises SettingsError."""
    return check(params, ("data", dataset, "augment"), NoVariants if _plain(params, dataset) else AugmentSettings)


def data_settings(params: Params, dataset: str) -> DataSettings:
    """The block `data.DATASET`. Raises SettingsError."""
    return check(params, ("data", dataset), PlainDataSettings if _plain(params, dataset) else DataSettings)


def _plain(params: Params, dataset: str) -> bool:
    found = block(params, ("data", dataset))
    return isinstance(found, dict) and isinstance(found.get("augment"), dict) and set(found["augment"]) == PLAIN
