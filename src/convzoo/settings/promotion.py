"""The conditions of `convzoo promote`, for any family: the blocks of `promotion` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from convzoo.settings.load import Settings
from convzoo.settings.types import Amount, Rate


class Ceilings(Settings):
    """Upper limits for a registered file; null: no limit."""

    latency: Rate | None  # milliseconds for one input, the median of many calls at the time of the promotion
    file_size: Rate | None  # MB of 1e6 bytes


class Promotion(Settings):
    """The settings that every family's block has."""

    rule: Literal["better", "not_worse_by"]  # than the champion
    not_worse_by: Amount  # in the unit of the main metric; used by the rule not_worse_by
    confidence: Annotated[float, Field(gt=0.5, lt=1)]  # that the true difference is above the interval's lower end

    @property
    def margin(self) -> float:
        """How far below the champion the true difference may be."""
        return self.not_worse_by if self.rule == "not_worse_by" else 0.0
