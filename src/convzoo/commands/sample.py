"""Pictures that an exported generator makes, as files."""

import math
from pathlib import Path

import numpy as np

from convzoo.commands.outputs import cannot_be_written, must_be_free
from convzoo.data.contact_sheet import as_picture, contact_sheet, write_picture
from convzoo.errors import ConvzooError
from convzoo.files import new_folder
from convzoo.shipping.model import Model

BATCH = 100
MOST = 100_000  # files
SHEET = 100  # images on the contact sheet
LARGEST_SEED = 2**63 - 1


def sample(model_file: Path, count: int, seed: int, folder: Path) -> list[Path]:
    """Write `count` pictures (00000.png, ...) and a contact sheet of the first hundred, grid.png, into `folder`.

    The same seed gives the same bytes, and a larger count the same first pictures. The folder appears whole or not at
    all. Raises ConvzooError for a file that is no generator, numbers out of range, and a folder that has files.
    """
    if not 1 <= count <= MOST:
        raise ConvzooError(f"--count: got {count}, expected 1 to {MOST:,}")
    if not 0 <= seed <= LARGEST_SEED:
        raise ConvzooError(f"--seed: got {seed}, expected 0 to {LARGEST_SEED}")
    model = Model(model_file)
    if model.described.get("family") != "dcgan" or model.input.name != "latents":
        network = model.described.get("network", model_file)
        raise ConvzooError(f"{network}: makes no pictures, it takes {model.input.name} {model.input}; name a generator")
    try:
        must_be_free(folder)
        with new_folder(folder.absolute()) as temporary:
            return [folder / file.name for file in _write(model, count, seed, temporary)]
    except OSError as error:
        raise cannot_be_written(folder, error) from error


def _write(model: Model, count: int, seed: int, folder: Path) -> list[Path]:
    randomness = np.random.Generator(np.random.PCG64(seed))
    size, digits = model.input.shape[1], max(5, len(str(count - 1)))
    first: list[np.ndarray] = []
    files: list[Path] = []
    for start in range(0, count, BATCH):
        # Always a whole batch, since how many there are can change the last bits of each.
        images = model(randomness.standard_normal((BATCH, size), dtype=np.float32))[: count - start]
        for number, image in enumerate(images, start):
            files.append(folder / f"{number:0{digits}}.png")
            write_picture(as_picture(image), files[-1])
        first = first or list(images[:SHEET])
    columns = math.ceil(math.sqrt(len(first)))
    files.append(folder / "grid.png")
    write_picture(contact_sheet([first[row : row + columns] for row in range(0, len(first), columns)]), files[-1])
    return files
