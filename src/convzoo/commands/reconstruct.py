"""Reconstruct images with an autoencoder.

Writes each reconstruction as PNG, and a contact sheet of images, reconstructions and differences. The exit code is 1 if
an image cannot be read; the others are still reconstructed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL.Image import Image

from convzoo.commands.shared import (
    RECONSTRUCTIONS_SHEET,
    AnyModel,
    Images,
    check_task,
    free_folder,
    image_files,
    image_reader,
    model_file,
    print_notes,
)
from convzoo.data.contact_sheet import as_picture, contact_sheet, write_picture
from convzoo.errors import ConvzooError
from convzoo.files import new_file
from convzoo.metrics.images import psnr
from convzoo.shipping.model import Model, run_in_batches
from convzoo.text import in_columns

EXAMPLES = (
    "convzoo reconstruct cifar10-autoencoder photo.jpg",
    "convzoo reconstruct cifar10-autoencoder@v2 photos/ --out reconstructed",
)
BATCH = 256
SHEET = Path(RECONSTRUCTIONS_SHEET).stem
COLUMNS = 12  # of the contact sheet
SHOWN = 96  # images on the contact sheet, at most
LONGEST_NAME = 10  # characters of a file name below its image
MAGNIFIED = 4  # factor by which differences are enlarged


def command(
    network: AnyModel,
    paths: Images,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The output folder. Default: reconstructions, reconstructions-2, ..."),
    ] = None,
) -> None:
    """Print a row per image."""
    out = out or free_folder("reconstructions")
    rows = reconstruct(model_file(network, "reconstruct"), paths, out)
    print(in_columns([[row["file"], row.get("error") or "{psnr:.2f} dB  {written}".format(**row)] for row in rows]))
    if any("written" in row for row in rows):
        print(f"contact sheet: {out / SHEET}.png")
    if any("error" in row for row in rows):
        raise typer.Exit(1)


def reconstruct(file: Path, paths: Sequence[Path], out: Path) -> list[dict[str, Any]]:
    """Reconstruct the images in `paths` (files or folders) with the ONNX model in `file`; write PNG files to `out`.

    Returns a row per image: {file, written, psnr} (dB, against the image as the network sees it)
    or {file, error}. Nothing is written until all images are reconstructed, and no file is left half-written. Raises
    ConvzooError if the model is not an autoencoder, `out` is a file, or an image in `paths` would be overwritten.
    """
    model = Model(file)
    check_task(model, "reconstruct")
    if out.exists() and not out.is_dir():
        raise ConvzooError(f"--out: {out}: is a file, expected a folder; choose another one")
    reader = image_reader(model)
    rows, images = reader.read(image_files(paths))
    print_notes(reader)
    readable = [row for row in rows if "error" not in row]
    if not readable:
        return rows

    reconstructions = run_in_batches(model, images, BATCH)
    given = {Path(row["file"]).resolve() for row in readable}
    targets = [out / f"{name}.png" for name in _unique([Path(row["file"]).stem for row in readable])]
    for target in (*targets, out / f"{SHEET}.png"):
        if target.resolve() in given:
            raise ConvzooError(f"--out: {target}: would overwrite one of the given images; choose another folder")
    errors = np.square(images.astype(np.float64) - reconstructions).mean(axis=(1, 2, 3))
    for row, target, reconstruction, error in zip(readable, targets, reconstructions, errors, strict=True):
        with new_file(target) as temporary:
            write_picture(as_picture(reconstruction), temporary)
        row |= {"written": str(target), "psnr": round(float(psnr(error, reconstruction.size)), 2)}
    with new_file(out / f"{SHEET}.png") as temporary:
        write_picture(_sheet(images, reconstructions, readable), temporary)
    return rows


def _unique(stems: Sequence[str]) -> Iterator[str]:
    """The file names without suffix, numbered where a name is taken, so that no two images share a file."""
    taken = {SHEET}
    for stem in stems:
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        yield name


def _sheet(images: np.ndarray, reconstructions: np.ndarray, rows: Sequence[dict[str, Any]]) -> Image:
    """Images, reconstructions and magnified differences below each other, COLUMNS images at a time."""
    differences = np.clip(128 + MAGNIFIED * (reconstructions.astype(np.int16) - images), 0, 255).astype(np.uint8)
    bands, titles, captions = [], [], []
    for start in range(0, min(len(images), SHOWN), COLUMNS):
        band = slice(start, min(start + COLUMNS, SHOWN))
        bands += [images[band], reconstructions[band], differences[band]]
        titles += ["image", "reconstruction", f"difference, {MAGNIFIED} times (grey: none)"]
        captions += [
            [_short(Path(row["file"]).name) for row in rows[band]],
            [f"{row['psnr']:.1f} dB" for row in rows[band]],
            [""] * len(rows[band]),
        ]
    return contact_sheet(bands, titles, captions)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
