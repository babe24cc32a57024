"""Types of settings that several blocks share."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
AtLeastTwo = Annotated[int, Field(ge=2)]

Amount = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Degrees = Annotated[float, Field(ge=0, le=180)]  # to either side
Share = Annotated[float, Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
ShareAboveZero = Annotated[float, Field(gt=0, le=1)]
ShareBetween = Annotated[float, Field(gt=0, lt=1)]

# Pixels that a feature network resizes images to. EfficientNet-Lite0 halves the side five times.
Side = Annotated[int, Field(ge=32, le=1024, multiple_of=32)]

Optimizer = Literal["sgd", "adam", "adamw", "rmsprop"]
Schedule = Literal["constant", "linear", "cosine", "one_cycle", "step"]
Flip = Literal["none", "random", "alternating"]
Keep = Literal["last", "best"]  # the epoch whose weights are kept

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9_][\w.-]*)*$")]
Address = Annotated[str, Field(pattern=r"^https?://\S+$")]


# A setting that does not fit the images: its key inside a network's block, and the problem with its value.
Misfit = tuple[tuple[str, ...], str]

# Names become folders, MLflow models and DVC stages.
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def _check_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("expected a name of small letters, digits and hyphens; rename it")
    return name


Name = Annotated[str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$"})]
