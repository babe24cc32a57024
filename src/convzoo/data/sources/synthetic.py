"""Data sets drawn from a seed: the same bytes for the same seed, on every machine."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from convzoo.data.sources.drawing import faces, flowers, shapes
from convzoo.files import write_json
from convzoo.settings.sources import SyntheticSource

THREADS = 4  # at most; each takes up to 30 MB


class Drawing(NamedTuple):
    """A kind of picture that can be drawn, and its classes."""

    draw: Callable[[np.ndarray, np.random.Generator], np.ndarray]  # labels (N,) to images uint8 (N, side, side, 3)
    side: int  # pixels
    chunk: int  # images drawn together: few enough for a processor's cache; the images depend on this number
    classes: Sequence[str] = ()
    superclasses: Sequence[str] = ()
    superclass_of: Sequence[int] = ()  # of each class


DRAWINGS = {
    "shapes10": Drawing(shapes.draw_ten, shapes.SIDE, 64, shapes.TEN),
    "shapes100": Drawing(shapes.draw_hundred, shapes.SIDE, 64, shapes.HUNDRED, shapes.TWENTY, shapes.TWENTY_OF_HUNDRED),
    "faces": Drawing(faces.draw_faces, faces.SIDE, 16),
    "flowers": Drawing(flowers.draw_flowers, flowers.SIDE, 16, tuple(flowers.KINDS)),
}


def fetch(source: SyntheticSource, folder: Path) -> None:
    """Draw the images of `source` into `folder`: images.npy uint8 (N, H, W, 3), labels.npy int64 (N,) and names.json.

    Labels are balanced and in random order, or all zero without classes. An image depends on the drawing, the
    seed, the number of images and its place among them, whatever the number of threads.
    """
    drawing = DRAWINGS[source.drawing]
    count, classes = source.images, max(1, len(drawing.classes))
    labels = np.random.default_rng([source.seed, 0]).permutation(np.arange(count) % classes)
    shape = (count, drawing.side, drawing.side, 3)

    def draw(number: int) -> np.ndarray:
        chunk = labels[number * drawing.chunk : (number + 1) * drawing.chunk]
        return drawing.draw(chunk, np.random.default_rng([source.seed, number + 1]))

    with (
        (folder / "images.npy").open("wb") as file,
        ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool,
        tqdm(total=count, desc=f"drawing {source.drawing}", unit=" images", disable=None) as bar,
    ):
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for images in pool.map(draw, range(-(-count // drawing.chunk))):
            file.write(images)
            bar.update(len(images))
    np.save(folder / "labels.npy", labels)
    names = {key: getattr(drawing, key) for key in ("classes", "superclasses", "superclass_of")}
    write_json(folder / "names.json", names)
