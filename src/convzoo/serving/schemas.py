"""What requests hold and what answers say, as the API's page describes them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

MAX_SEED = 2**63 - 1

Level = Annotated[int, Field(strict=True, ge=0, le=255)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Size = Annotated[int, Field(strict=True, ge=1, le=2**31)]


class Request(BaseModel):
    """The JSON of a request; a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid")


class Pixels(Request):
    """Raw pixels, uint8 in C order, as base64."""

    base64: Annotated[str, Field(strict=True, description="The bytes, one for each number.")]
    shape: Annotated[list[Size], Field(description="Images, height, width, channels.", min_length=4, max_length=4)]


class ImagesRequest(Request):
    """Raw pixels from 0 to 255 of images that have the network's size: nested lists, or base64 with a shape."""

    images: Annotated[
        Annotated[list[list[list[list[Level]]]], Tag("lists")] | Annotated[Pixels, Tag("pixels")],
        Discriminator(lambda value: "pixels" if isinstance(value, dict | Pixels) else "lists"),
    ]


class Seeded(Request):
    """How many images to generate, from which seed and of which class; `convzoo sample` makes the same ones."""

    count: Annotated[int, Field(strict=True, ge=1)] = 1
    seed: Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)] = 0
    chosen: Annotated[
        str | None,
        Field(
            strict=True, alias="class", description="Generate only this class; needs a network with conditional: true."
        ),
    ] = None


class Latents(Request):
    """Latents, one list for each image."""

    latents: Annotated[list[list[Number]], Field(min_length=1)]


# A seed or latents; the first part of a mistake's location is the tag.
SampleRequest = Annotated[
    Annotated[Seeded, Tag("seeded")] | Annotated[Latents, Tag("latents")],
    Discriminator(lambda value: "latents" if isinstance(value, dict) and "latents" in value else "seeded"),
]


Given = Annotated[Pixels | None, Field(description="If asked for: the images as the network got them.")]


class Answer(BaseModel):
    """What every answer says."""

    network: str
    version: Annotated[int | None, Field(description="The registered version; null if a folder is served.")]
    sha256: Annotated[str, Field(description="Of the file model.onnx that answered.")]


class Prediction(BaseModel):
    """The answer about one image."""

    file: Annotated[str | None, Field(description="The name of the file; null for raw pixels.")]
    class_: Annotated[str, Field(alias="class")]
    probability: float
    probabilities: Annotated[dict[str, float], Field(description="By class, the most probable first.")]
    warnings: Annotated[list[str], Field(description="Reasons why the network is likely to be wrong.")]


class Predictions(Answer):
    """An answer for each image."""

    answers: list[Prediction]
    notes: list[str]
    inputs: Given = None


class Reconstruction(BaseModel):
    """The answer about one image."""

    file: str | None
    psnr: Annotated[float, Field(description="In dB, against the image in the network's size.")]


class Reconstructions(Answer):
    """An answer for each image, and all reconstructions."""

    answers: list[Reconstruction]
    images: Pixels
    notes: list[str]
    inputs: Given = None


class Encodings(Answer):
    """The latents of each image."""

    files: list[str | None]
    latents: list[list[float]]
    notes: list[str]


class Samples(Answer):
    """Generated images."""

    seed: int | None
    images: Pixels
    inputs: Annotated[list[list[float]] | None, Field(description="If asked for: the latents.")] = None


class Version(BaseModel):
    """A registered version."""

    version: int | None
    aliases: list[str]
    sha256: str | None
    metrics: dict[str, float]
    registered: Annotated[str | None, Field(description="In UTC.")]


class Network(BaseModel):
    """A network and the version of it that answers."""

    network: str
    version: int | None
    alias: str | None
    sha256: str
    operations: list[str]
    input: str
    output: str
    classes: list[str]
    shadow: Annotated[int | None, Field(description="The version that is compared in the shadow.")]
    card: Annotated[str, Field(description="The address of its model card, in Markdown.")]
    versions: list[Version]


class Networks(BaseModel):
    """All networks."""

    networks: list[Network]


class Ready(BaseModel):
    """Whether every network answers, and what is wrong."""

    ready: bool
    serving: Annotated[dict[str, int | None], Field(description="The version that answers, by network.")]
    problems: list[str]


class Health(BaseModel):
    """That the process answers."""

    status: str


class ShadowReport(BaseModel):
    """How far the answers of the version in the shadow are from those that were given."""

    serving: dict[str, Any]
    shadow: dict[str, Any]
    requests: int
    images: int
    differing: int
    share_differing: float | None
    unit: str
    mean_difference: float | None
    largest_difference: float | None
    milliseconds_per_image: float | None
    dropped: int
    failed: int


class Problem(BaseModel):
    """Why a request was not answered."""

    error: str
