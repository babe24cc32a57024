"""What `convzoo promote` asks of a version before it becomes the champion: the block `promotion` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from convzoo.errors import SettingsError
from convzoo.settings.load import Params, Settings, block, check

Share = Annotated[float, Field(ge=0, le=1)] | None  # null: not asked for
Amount = Annotated[float, Field(gt=0)] | None


class Ceilings(Settings):
    """The most of what any file may take."""

    latency: Amount  # milliseconds for one input, the median of many calls, measured then and there
    file_size: Amount  # MB of 1e6 bytes


class AnswerFloors(Settings):
    """The least of a network that gives class probabilities."""

    accuracy: Share
    class_recall: Share  # of the worst class
    coarse_accuracy: Share  # of superclasses, for data that have them


class AnswerCeilings(Ceilings):
    """The most of a network that gives class probabilities."""

    calibration_error: Share  # expected calibration error


class FidelityFloors(Settings):
    """The least of an autoencoder."""

    psnr: Amount  # dB


class SampleCeilings(Ceilings):
    """The most of a generator."""

    kid: Amount


class Promotion(Settings):
    """What every family's block holds."""

    rule: Literal["better", "not_worse_by"]  # than the champion
    not_worse_by: Annotated[float, Field(ge=0)]  # of the main measure; for the rule of this name
    confidence: Annotated[float, Field(gt=0.5, lt=1)]  # that the true difference is above the interval's lower end

    @property
    def margin(self) -> float:
        """How far below the champion the true difference may be."""
        return self.not_worse_by if self.rule == "not_worse_by" else 0.0


class AnswerPromotion(Promotion):
    """Of a classifier or a transfer network."""

    floors: AnswerFloors
    ceilings: AnswerCeilings
    batch_size: Annotated[int, Field(ge=1)]
    calibration_bins: Annotated[int, Field(ge=1)]


class FidelityPromotion(Promotion):
    """Of an autoencoder."""

    floors: FidelityFloors
    ceilings: Ceilings
    batch_size: Annotated[int, Field(ge=1)]
    resamples: Annotated[int, Field(ge=100)]  # of the bootstrap
    seed: Annotated[int, Field(ge=0)]


class SamplePromotion(Promotion):
    """Of a generator."""

    ceilings: SampleCeilings
    batch_size: Annotated[int, Field(ge=1)]
    repeats: Annotated[int, Field(ge=3)]  # samples that KID is measured of
    images: Annotated[int, Field(ge=20)]  # in each of them
    real_images: Annotated[int, Field(ge=20)]  # of val, and of test, at most
    seed: Annotated[int, Field(ge=0)]  # of the first sample's latents


FAMILIES: dict[str, type[Promotion]] = {
    "classifier": AnswerPromotion,
    "transfer": AnswerPromotion,
    "autoencoder": FidelityPromotion,
    "dcgan": SamplePromotion,
}


def promotion_settings(params: Params, network: str) -> Promotion:
    """The block `promotion.NETWORK`, as the network's family has it. Raises SettingsError."""
    if network not in params.values["promotion"]:
        example = next(iter(params.values["promotion"]), None)
        like = f"; write one like promotion.{example}" if example else ""
        raise SettingsError(f"{params.file}: promotion.{network}: is missing, expected what it must reach{like}")
    return check(params, ("promotion", network), FAMILIES[block(params, ("networks", network, "family"))])
