"""Archives of picture files, in folders that a layout names."""

import os
from array import array
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from convzoo.data.formats.decoding import SizeError, UnreadableError, Wanted, decode
from convzoo.data.formats.layout import compiled
from convzoo.data.formats.members import Limits, Listing, contents, listings
from convzoo.data.formats.parts import ALL, PUBLISHED, SPLITS, Part, Published, rows_at_a_time
from convzoo.errors import ConvzooError
from convzoo.settings.data import PrepareSettings

THREADS = min(4, os.cpu_count() or 1)  # Pillow decodes beside Python; their number changes nothing but the time
BATCH = 64  # pictures that a thread gets at once, at most
BATCH_BYTES = 1 << 20  # of their files
PIXEL_BYTES, FILE_BYTES = 8, 1 << 24  # more than any picture file needs for a pixel, and besides its pixels
NAMED = 5  # names in an error
SHOWN = 3  # names in a remark
NONE = ""  # in place of a folder that the layout does not ask for


class PicturesError(ConvzooError):
    """Pictures that are not as params.yaml says, or cannot be read."""


class _Chosen(NamedTuple):
    """The pictures in an archive."""

    listing: Listing
    rows: array  # in the listing
    splits: np.ndarray  # int64, in PUBLISHED
    labels: np.ndarray  # int64


class _Batch(NamedTuple):
    ids: list[str]
    splits: list[int]
    labels: list[int]
    files: list[bytes]


class _Decoded(NamedTuple):
    images: np.ndarray  # uint8 (N, H, W, C)
    sound: np.ndarray  # bool (N,); the others could not be read
    problems: list[str]


def read(raw: Path, source: dict[str, Any], settings: PrepareSettings) -> Published:
    """The pictures in the archives of `raw` whose names match the layout; classes are named by folders, sorted.

    Ids are the names in the archives. Raises PicturesError for a layout that matches nothing, folders that are no
    classes or splits, and pictures that do not fit the settings; LayoutError; ArchiveError.
    """
    limits = Limits(**source["limits"])
    archives = sorted(file for file in raw.rglob("*") if file.is_file() and file != raw / "source.json")
    chosen, splits, classes, left_out = _choose(raw, source["layout"], listings(archives, limits), settings)
    notes = {"not_in_layout": left_out, "unreadable_dropped": 0}
    wanted = Wanted(settings.height, settings.width, settings.channels, settings.resize, limits.pixels)
    parts = _parts(raw, chosen, wanted, settings.unreadable, notes)
    return Published(classes, [], [], splits, parts, notes)


def _choose(
    raw: Path, layout: str, found: list[Listing], settings: PrepareSettings
) -> tuple[list[_Chosen], tuple[str, ...], list[str], int]:
    """The pictures, the splits and classes that they have, and how many files are none of them."""
    pattern = compiled(layout)
    split_folders: dict[str, int] = {}  # numbered as they come; so the next
    class_folders: dict[str, int] = {}
    others: list[str] = []
    columns, ids, left_out = [], set(), 0
    for listing in found:
        rows, splits, labels = array("q"), array("q"), array("q")
        for row, name in enumerate(listing.names):
            match = pattern.fullmatch(name)
            if match is None:
                left_out += 1
                others += [name] * (len(others) < SHOWN)
                continue
            folders = match.groupdict()
            rows.append(row)
            splits.append(split_folders.setdefault(folders.get("split", NONE), len(split_folders)))
            labels.append(class_folders.setdefault(folders.get("class", NONE), len(class_folders)))
            if name in ids:
                raise PicturesError(
                    f"{listing.file}: {name}: is in another archive of the source too; keep one of them"
                )
            ids.add(name)
        columns.append((listing, rows, splits, labels))
    shown = ", ".join(others) + (", ..." if left_out > len(others) else "")
    if not ids:
        lies = f"the first of {left_out} files are {shown}" if others else "there are no files at all"
        raise PicturesError(f"{raw}: nothing matches the layout {layout}; {lies}; mend `layout` in params.yaml")
    split_numbers = _split_numbers(raw, layout, split_folders)
    classes, class_numbers = _class_numbers(raw, layout, "class" in pattern.groupindex, class_folders, settings)
    if left_out:
        print(f"{raw}: {left_out} files are not in the layout {layout}: {shown}", flush=True)
    chosen = [
        _Chosen(listing, rows, split_numbers[np.array(splits)], class_numbers[np.array(labels)])
        for listing, rows, splits, labels in columns
        if rows
    ]
    splits = tuple(name for number, name in enumerate(PUBLISHED) if number in split_numbers)
    return chosen, splits, classes, left_out


def _split_numbers(raw: Path, layout: str, folders: dict[str, int]) -> np.ndarray:
    """For each folder its number in PUBLISHED."""
    if strange := sorted(folders.keys() - {*SPLITS, NONE}):
        raise PicturesError(
            f"{raw}: the layout {layout} finds splits named {_some(strange)}, expected {', '.join(SPLITS)}; "
            "write those folders' names into `layout` in place of {split}, or rename them"
        )
    if not folders.keys() & {"train", NONE}:
        raise PicturesError(f"{raw}: the layout {layout} finds {_some(sorted(folders))}, but no pictures in train")
    return np.array([PUBLISHED.index(name or ALL) for name in folders])


def _class_numbers(
    raw: Path, layout: str, labelled: bool, folders: dict[str, int], settings: PrepareSettings
) -> tuple[list[str], np.ndarray]:
    """The names of the classes, and for each folder its label."""
    wanted = settings.classes
    if not labelled and wanted not in ("source", []):
        raise PicturesError(
            f"{raw}: the layout {layout} has no {{class}}, but `classes` names {_some(wanted)}; set it to []"
        )
    if not labelled or wanted == []:
        return [], np.zeros(len(folders), np.int64)
    names = sorted(folders)
    if wanted != "source":
        if strange := sorted(folders.keys() - set(wanted)):
            raise PicturesError(
                f"{raw}: the layout {layout} finds folders that are not in `classes`: {_some(strange)}; "
                "name them there, or write a layout that leaves them out"
            )
        if missing := [name for name in wanted if name not in folders]:
            raise PicturesError(
                f"{raw}: has no pictures of {_some(missing)} in `classes`; its folders are {_some(names)}"
            )
        names = wanted
    return list(names), np.array([names.index(name) for name in folders])


def _parts(raw: Path, chosen: list[_Chosen], wanted: Wanted, unreadable: str, notes: dict[str, int]) -> Iterator[Part]:
    problems, count = [], 0
    total = sum(len(found.rows) for found in chosen)
    with (
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(total=total, desc=f"decoding {raw.name}", unit=" images", disable=None) as bar,
    ):
        for batch, (images, sound, told) in _ahead(pool, _batches(chosen, wanted), wanted):
            count += len(told)
            problems += told[: NAMED - len(problems)]
            splits, labels = np.array(batch.splits), np.array(batch.labels, np.int64)
            for number in np.unique(splits):
                rows = np.flatnonzero((splits == number) & sound)
                if len(rows):
                    ids = [batch.ids[row] for row in rows]
                    yield Part(PUBLISHED[number], ids, images[rows], labels[rows])
            bar.update(len(sound))
    notes["unreadable_dropped"] = count
    if count:
        named = "; ".join(problems) + ("; ..." if count > len(problems) else "")
        if unreadable == "stop":
            raise PicturesError(
                f"{raw}: {count} of {total} files cannot be read as pictures: {named}; "
                "mend them, or set unreadable in params.yaml to drop, which leaves them out"
            )
        print(f"{raw}: left out {count} of {total} files that cannot be read as pictures: {named}", flush=True)


def _batches(chosen: list[_Chosen], wanted: Wanted) -> Iterator[_Batch]:
    """The files, a few at a time, so that what waits is small, and so is what comes of it."""
    most = min(BATCH, rows_at_a_time(wanted.height * wanted.width * wanted.channels))
    largest = wanted.pixels * PIXEL_BYTES + FILE_BYTES
    for listing, rows, splits, labels in chosen:
        batch, size = _Batch([], [], [], []), 0
        for number, file in enumerate(contents(listing, rows)):
            if file.left > largest:
                raise PicturesError(
                    f"{file.file}: {file.name}: has {file.left} bytes, more than the allowed {wanted.pixels} pixels "
                    "can need; if it is to be trusted, raise limits.pixels of its source in params.yaml"
                )
            batch.ids.append(file.name)
            batch.splits.append(splits[number])
            batch.labels.append(labels[number])
            batch.files.append(file.read())
            size += len(batch.files[-1])
            if len(batch.files) == most or size >= BATCH_BYTES:
                yield batch
                batch, size = _Batch([], [], [], []), 0
        if batch.files:
            yield batch


def _ahead(pool: ThreadPoolExecutor, batches: Iterator[_Batch], wanted: Wanted) -> Iterator[tuple[_Batch, _Decoded]]:
    """Batches and what comes of them, in their order; a few are decoded ahead."""
    waiting: deque[tuple[_Batch, Future[_Decoded]]] = deque()
    try:
        for batch in batches:
            waiting.append((batch, pool.submit(_decoded, batch, wanted)))
            if len(waiting) > THREADS:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _decoded(batch: _Batch, wanted: Wanted) -> _Decoded:
    images = np.zeros((len(batch.files), wanted.height, wanted.width, wanted.channels), np.uint8)
    sound, problems = np.ones(len(images), bool), []
    for row, (name, data) in enumerate(zip(batch.ids, batch.files, strict=True)):
        try:
            images[row] = decode(data, wanted)
        except UnreadableError as error:
            sound[row] = False
            problems.append(f"{name} ({error})")
        except SizeError as error:
            raise PicturesError(f"{name}: {error}") from None
    return _Decoded(images, sound, problems)


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
