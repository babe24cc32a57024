"""What an exported autoencoder makes of image files of any size and mode: pictures before, after, and what differs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL.Image import Image

from convzoo.commands.predict import images_in, read_image
from convzoo.data.contact_sheet import as_picture, contact_sheet, write_picture
from convzoo.errors import ConvzooError
from convzoo.files import new_file
from convzoo.metrics.images import psnr
from convzoo.shipping.model import Model, run_in_batches

BATCH = 256
SHEET = "contact_sheet"  # the name of the picture with all of them
COLUMNS = 12  # of the contact sheet
SHOWN = 96  # images on the contact sheet, at most
LONGEST_NAME = 10  # letters of a file's name below its image
MAGNIFIED = 4  # differences are shown that much larger


def reconstruct(model_file: Path, paths: list[Path], out: Path) -> list[dict[str, str | float]]:
    """Write the reconstruction of each image in `paths`, files or folders, to `out` as PNG, and a contact sheet.

    A row for each image: {file, written, psnr} (dB, against the image as the network sees it: cut and resized to its
    size), or {file, error}. Nothing is written before all are read and reconstructed, and no file by half. Raises
    ConvzooError for a model that is no autoencoder, for `out` that is a file, and where an image of `paths` would be
    overwritten.
    """
    model = Model(model_file)
    if model.output.dtype != "uint8" or model.output.shape != model.input.shape:
        family = model.described.get("family", "file of another kind")
        raise ConvzooError(
            f"{model_file}: expected an autoencoder, got {model.input} to {model.output} (family: {family})"
        )
    if out.exists() and not out.is_dir():
        raise ConvzooError(f"{out}: is a file; --out wants a folder")
    height, width, channels = model.input.shape[1:]
    rows: list[dict[str, str | float]] = []
    read, pixels = [], []
    for file in images_in(paths):
        row: dict[str, str | float] = {"file": str(file)}
        rows.append(row)
        try:
            pixels.append(read_image(file, height, width, channels))
            read.append(row)
        except ValueError as error:
            row["error"] = str(error)
    if not read:
        return rows

    before = np.stack(pixels)
    after = run_in_batches(model, before, BATCH)
    given = {Path(row["file"]).resolve() for row in read}
    targets = [out / f"{name}.png" for name in _names([Path(row["file"]).stem for row in read])]
    for target in (*targets, out / f"{SHEET}.png"):
        if target.resolve() in given:
            raise ConvzooError(f"{target}: would overwrite an image that was given; choose another folder for --out")
    errors = np.square(before.astype(np.float64) - after).mean(axis=(1, 2, 3))
    for row, target, made, error in zip(read, targets, after, errors, strict=True):
        with new_file(target) as temporary:
            write_picture(as_picture(made), temporary)
        row |= {"written": str(target), "psnr": round(float(psnr(error, made.size)), 2)}
    with new_file(out / f"{SHEET}.png") as temporary:
        write_picture(_sheet(before, after, read), temporary)
    return rows


def _names(stems: list[str]) -> Iterator[str]:
    """The stems, with a number where one was there already: no two images are written to one file."""
    taken = {SHEET}
    for stem in stems:
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        yield name


def _sheet(before: np.ndarray, after: np.ndarray, rows: list[dict[str, str | float]]) -> Image:
    """Image, reconstruction and magnified difference below each other, in as many bands as it takes."""
    differences = np.clip(128 + MAGNIFIED * (after.astype(np.int16) - before), 0, 255).astype(np.uint8)
    bands, titles, captions = [], [], []
    for start in range(0, min(len(before), SHOWN), COLUMNS):
        here = slice(start, min(start + COLUMNS, SHOWN))
        found = rows[here]
        bands += [before[here], after[here], differences[here]]
        titles += ["image", "reconstruction", f"difference, {MAGNIFIED} times (grey: none)"]
        captions += [
            [_short(Path(row["file"]).name) for row in found],
            [f"{row['psnr']:.1f} dB" for row in found],
            [""] * len(found),
        ]
    return contact_sheet(bands, titles, captions)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
