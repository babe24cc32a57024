"""Reads requests: image files of any size and mode, raw pixels, latents. Whatever is wrong is a RefusedError."""

import base64
import binascii
import math
import reprlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from convzoo.errors import ConvzooError, did_you_mean
from convzoo.families.find import family_module
from convzoo.serving.limits import Limits, RefusedError
from convzoo.serving.schemas import ImagesRequest, Latents, Pixels, SampleRequest, Seeded
from convzoo.serving.served import Served

FILES = "files"  # the name of the form's field
JSON, FORM = "application/json", "multipart/form-data"

IMAGES, SAMPLES = TypeAdapter(ImagesRequest), TypeAdapter(SampleRequest)
SHOWN = 60  # characters of a key in a message
FIELDS = 8  # of a form, besides files; any of them is refused with its name


class Body(NamedTuple):
    """What a request brought."""

    files: list[tuple[str, bytes]] | None  # names and contents; None if it brought JSON
    json: bytes = b""


class Images(NamedTuple):
    """Images in the network's size."""

    pixels: np.ndarray  # uint8 (N, H, W, C)
    names: list[str | None]  # of the files
    notes: list[str]


async def read_body(request: Request, limits: Limits) -> Body:
    """The files of a form, or JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        return Body(None, await request.body())
    if kind != FORM:
        raise RefusedError(
            415, f"the request has the type {_shown(kind) if kind else 'none'}, expected {JSON} or {FORM}"
        )
    expected = f"expected one image file or more in the field {FILES}, as in: curl -F {FILES}=@photo.png"
    try:
        form = await request.form(max_files=limits.images, max_fields=FIELDS, max_part_size=limits.body)
    except HTTPException as error:
        if "Too many files" in str(error.detail):
            raise RefusedError(413, _too_many(limits)) from None
        raise RefusedError(400, f"the form cannot be read ({error.detail}), {expected}") from None
    except (ValueError, LookupError) as error:  # of the parser, for headers of a part that are no text
        raise RefusedError(400, f"the form cannot be read ({error}), {expected}") from None
    files = []
    try:
        for field, upload in form.multi_items():
            if not isinstance(upload, UploadFile) or field != FILES:
                raise RefusedError(422, f"the form has the field {_shown(field)}, {expected}")
            files.append((upload.filename or "", await upload.read()))
    finally:
        await form.close()
    if not files:
        raise RefusedError(422, f"the form is empty, {expected}")
    return Body(files)


def images_of(body: Body, served: Served, limits: Limits) -> Images:
    """The images of a request, brought to the network's size as the training images were.

    Raw pixels must have that size.
    """
    if body.files is not None:
        return _decoded(body.files, served, limits)
    given = _parsed(IMAGES, body.json, ("images",), tag=1).images
    pixels = _from_base64(given) if isinstance(given, Pixels) else _from_lists(given)
    _, *shape = served.model.input.shape
    expected = f"expected {served.model.input} (raw pixels from 0 to 255, not scaled)"
    if list(pixels.shape[1:]) != shape:
        raise RefusedError(422, f"images: got {_sizes(pixels.shape)}, {expected}")
    if len(pixels) > limits.images:
        raise RefusedError(413, _too_many(limits))
    return Images(pixels, [None] * len(pixels), [])


def latents_of(body: Body, served: Served, limits: Limits) -> tuple[np.ndarray, int | None]:
    """The latents of a request, float32 (N, L), and the seed that they come from."""
    width = served.model.input.shape[1]
    if body.files is not None:
        raise RefusedError(415, f"the request brings files, expected {JSON} with count and seed, or latents")
    asked = _parsed(SAMPLES, body.json, ("count", "seed", "class", "latents"), tag=0)
    count = asked.count if isinstance(asked, Seeded) else len(asked.latents)
    if count > limits.images:
        raise RefusedError(413, f"{count} images were asked for, expected at most {limits.images}; ask several times")
    if isinstance(asked, Latents):
        widths = {len(row) for row in asked.latents}
        if widths != {width}:
            raise RefusedError(422, f"latents: got lists of {_joined(widths)} numbers, expected lists of {width}")
        with np.errstate(over="ignore"):
            latents = np.array(asked.latents, np.float32)
        if not np.isfinite(latents).all():
            raise RefusedError(422, "latents: got a number that is too large for 32 bits, expected about -3 to 3")
        return latents, None
    # As `convzoo sample` draws them, in batches, which makes no difference to the numbers.
    latents = np.random.Generator(np.random.PCG64(asked.seed)).standard_normal((count, width), dtype=np.float32)
    if asked.chosen is not None:
        described = served.model.described
        family = family_module(described["family"], "latents")
        try:
            chosen = family.class_index(described, asked.chosen, "class")
        except ConvzooError as error:
            raise RefusedError(422, str(error)) from error
        latents = family.choosing(latents, len(described["classes"]), chosen)
    return latents, asked.seed


def _decoded(files: Sequence[tuple[str, bytes]], served: Served, limits: Limits) -> Images:
    reader, images, problems = served.reader(limits.pixels), [], []
    for name, data in files:
        try:
            images.append(reader.image(data))
        except ValueError as error:
            problems.append(f"{name or 'a file without a name'}: {error}")
    if problems:
        raise RefusedError(422, "\n".join(problems))
    return Images(np.array(images, np.uint8), [name for name, _ in files], reader.notes())


def _from_base64(given: Pixels) -> np.ndarray:
    try:
        data = base64.b64decode(given.base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(422, f"images.base64: is not base64 ({error}), expected the bytes of the pixels") from None
    if len(data) != math.prod(given.shape):
        raise RefusedError(
            422,
            f"images.base64: has {len(data)} bytes, expected {math.prod(given.shape)} for the shape "
            f"{_sizes(given.shape)}, one for each number",
        )
    return np.frombuffer(data, np.uint8).reshape(given.shape)


def _from_lists(given: list) -> np.ndarray:
    try:
        pixels = np.array(given, np.uint8)
    except ValueError:
        pixels = np.zeros(0, np.uint8)
    if pixels.ndim != 4:
        raise RefusedError(422, "images: has lists of different lengths, or empty ones, expected images of one size")
    return pixels


def _parsed(schema: TypeAdapter, json: bytes, keys: Sequence[str], tag: int) -> Any:
    """The JSON of a request; `tag` is where the location of a mistake names one of several forms, not a key."""
    try:
        return schema.validate_json(json)
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_context=False)[0]
    if mistake["type"] == "json_invalid":
        raise RefusedError(400, f"the request is not JSON ({mistake['msg']}), expected an object ({{...}}) as in /docs")
    path = [str(part)[:SHOWN] for place, part in enumerate(mistake["loc"]) if place != tag]
    where = ".".join(path) or "the request"
    if mistake["type"] == "extra_forbidden":
        raise RefusedError(422, f"{where}: is not known, {did_you_mean(path[-1], keys)}expected: {', '.join(keys)}")
    if mistake["type"] == "missing":
        raise RefusedError(422, f"{where}: is missing, expected one of: {', '.join(keys)}")
    message = mistake["msg"].removeprefix("Input should ").removeprefix("be ")
    raise RefusedError(422, f"{where}: got {_shown(mistake['input'])}, expected {message[:1].lower()}{message[1:]}")


def _too_many(limits: Limits) -> str:
    return f"the request has more than {limits.images} images, expected at most that; send several requests"


def _sizes(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"


def _joined(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)[:5]))


def _shown(value: Any) -> str:
    """A value on one short line."""
    return reprlib.repr(value)
