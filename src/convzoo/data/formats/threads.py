"""Decodes batches of picture files in threads, except those whose pixels are known."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from convzoo.data.formats.decoded import DecodedPictures
from convzoo.data.formats.decoding import PictureFormat, SizeError, UnreadableError, decode
from convzoo.errors import ConvzooError

# Pillow releases the GIL: on two cores, two threads decode WebP files of 32x32 pixels 1.6 times as fast as one thread,
# and no slower than two processes. The result does not depend on the number.
THREADS = min(4, os.cpu_count() or 1)


class PicturesError(ConvzooError):
    """Pictures that are not as params.yaml describes them, or cannot be read."""


class Batch(NamedTuple):
    """Picture files, with their ids, splits (in PUBLISHED) and labels."""

    ids: list[str]
    splits: list[int]
    labels: list[int]
    files: list[bytes]


class Decoded(NamedTuple):
    """The pixels of a batch; those of a file that cannot be read are zero, and named in `problems`."""

    images: np.ndarray  # uint8 (N, H, W, C)
    readable: np.ndarray  # bool (N,)
    problems: list[str]


def decode_ahead(
    batches: Iterator[Batch], target: PictureFormat, cache: DecodedPictures | None
) -> Iterator[tuple[Batch, Decoded]]:
    """Batches and their images, in order; a few are decoded ahead. New pixels go into the cache.

    Raises PicturesError for an intact picture that does not fit the target.
    """
    waiting: deque[tuple[Batch, list[bytes], dict[int, np.ndarray], Future[Decoded]]] = deque()

    def first_result() -> tuple[Batch, Decoded]:
        batch, keys, known, future = waiting.popleft()
        decoded = future.result()
        if cache:
            new = (row for row in np.flatnonzero(decoded.readable) if row not in known)
            cache.add((keys[row], decoded.images[row]) for row in new)
        return batch, decoded

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for batch in batches:
                keys, known = cache.find(batch.files) if cache else ([], {})
                waiting.append((batch, keys, known, pool.submit(_decode_batch, batch, known, target)))
                if len(waiting) > THREADS:
                    yield first_result()
            while waiting:
                yield first_result()
        finally:
            for *_, future in waiting:
                future.cancel()


def _decode_batch(batch: Batch, known: dict[int, np.ndarray], target: PictureFormat) -> Decoded:
    images = np.zeros((len(batch.files), target.height, target.width, target.channels), np.uint8)
    readable, problems = np.ones(len(images), bool), []
    for row, (name, data) in enumerate(zip(batch.ids, batch.files, strict=True)):
        try:
            images[row] = known[row] if row in known else decode(data, target)
        except UnreadableError as error:
            readable[row] = False
            problems.append(f"{name} ({error})")
        except SizeError as error:
            raise PicturesError(f"{name}: {error}") from None
    return Decoded(images, readable, problems)
