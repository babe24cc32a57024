"""Generate images with a DCGAN.

Writes each image as PNG, and a contact sheet of the first hundred, grid.png.
"""

import math
from pathlib import Path
from types import ModuleType
from typing import Annotated

import numpy as np
import typer

from convzoo.commands.outputs import cannot_be_written, must_be_free
from convzoo.commands.shared import SAMPLES_SHEET, AnyModel, check_task, free_folder, model_file
from convzoo.data.contact_sheet import as_picture, contact_sheet, write_picture
from convzoo.errors import ConvzooError
from convzoo.families.find import family_module
from convzoo.files import new_folder
from convzoo.shipping.model import Model

EXAMPLES = (
    "convzoo sample mnist-dcgan",
    "convzoo sample mnist-dcgan --class 7 --count 64",
    "convzoo sample anime-dcgan@champion --count 64 --seed 7 --out faces",
)
BATCH = 100
MAX_COUNT = 100_000  # files
SHEET = 100  # images on the contact sheet, at most
MAX_SEED = 2**63 - 1


def command(
    network: AnyModel,
    count: Annotated[int, typer.Option(metavar="N", help="The number of images.")] = 16,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The output folder, new or empty. Default: samples, samples-2, ..."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same images.")] = 0,
    chosen: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME", help="Generate only this class; needs a network with conditional: true."
        ),
    ] = None,
) -> None:
    """Print what was written."""
    out = out or free_folder("samples")
    *_, sheet = sample(model_file(network, "sample"), count, seed, out, chosen)
    print(f"{count} images and {sheet.name} in {out}")


def sample(file: Path, count: int, seed: int, folder: Path, chosen: str | None = None) -> list[Path]:
    """Write `count` images (00000.png, ...) of the ONNX generator in `file` and a contact sheet, grid.png, to `folder`.

    The same seed gives the same bytes, and a larger count starts with the same images. With a class `chosen`, all are
    of it. The folder is complete or does not exist. Raises ConvzooError if the model is not a generator or cannot
    choose this class, a number is out of range, or the folder has files.
    """
    if not 1 <= count <= MAX_COUNT:
        raise ConvzooError(f"--count: got {count}, expected 1 to {MAX_COUNT:,}")
    if not 0 <= seed <= MAX_SEED:
        raise ConvzooError(f"--seed: got {seed}, expected 0 to {MAX_SEED}")
    model = Model(file)
    check_task(model, "sample")
    index = None if chosen is None else _latents_of(model).class_index(model.described, chosen, "--class")
    try:
        must_be_free(folder)
        with new_folder(folder.absolute()) as temporary:
            return [folder / file.name for file in _write(model, count, seed, index, temporary)]
    except OSError as error:
        raise cannot_be_written(folder, error) from error


def _latents_of(model: Model) -> ModuleType:
    """The module of the model's family that knows how latents choose a class."""
    return family_module(model.described["family"], "latents")


def _write(model: Model, count: int, seed: int, chosen: int | None, folder: Path) -> list[Path]:
    generator = np.random.Generator(np.random.PCG64(seed))
    latent, digits = model.input.shape[1], max(5, len(str(count - 1)))
    shown: list[np.ndarray] = []
    files: list[Path] = []
    for start in range(0, count, BATCH):
        # Always a full batch, because the size of a batch can change the last bits of each image.
        noise = generator.standard_normal((BATCH, latent), dtype=np.float32)
        if chosen is not None:
            noise = _latents_of(model).choosing(noise, len(model.described["classes"]), chosen)
        images = model(noise)[: count - start]
        for number, image in enumerate(images, start):
            files.append(folder / f"{number:0{digits}}.png")
            write_picture(as_picture(image), files[-1])
        shown = shown or list(images[:SHEET])
    columns = math.ceil(math.sqrt(len(shown)))
    files.append(folder / SAMPLES_SHEET)
    write_picture(contact_sheet([shown[row : row + columns] for row in range(0, len(shown), columns)]), files[-1])
    return files
