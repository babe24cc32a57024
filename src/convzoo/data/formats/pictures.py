"""Archives of picture files, in folders that a layout describes."""

import unicodedata
from array import array
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from convzoo.data.formats.decoded import decoded_pictures
from convzoo.data.formats.decoding import PictureFormat
from convzoo.data.formats.layout import below_classes, compiled
from convzoo.data.formats.members import Limits, Listing, archives_in, contents, listings
from convzoo.data.formats.parts import ALL, PUBLISHED, SPLITS, Part, Published, rows_at_a_time
from convzoo.data.formats.threads import Batch, PicturesError, decode_ahead
from convzoo.data.image_formats import NAMES
from convzoo.settings.data import PrepareSettings
from convzoo.text import first_names

BATCH = 64  # pictures per task of a thread, at most
BATCH_BYTES = 1 << 20  # of the files of such a task
PIXEL_BYTES, FILE_BYTES = 8, 1 << 24  # more than any picture file needs per pixel, and in addition to its pixels
NAMED = 5  # names in an error
SHOWN = 3  # names in a printed note
RAISE_LIMIT = "if it is to be trusted, raise limits.pixels of its source in params.yaml"
NONE = ""  # instead of a folder, if the layout has none for splits or classes


class _Selection(NamedTuple):
    """The pictures in an archive, with their splits and labels."""

    listing: Listing
    rows: array  # in the listing
    splits: np.ndarray  # int64, in PUBLISHED
    labels: np.ndarray  # int64


def read(raw: Path, source: dict[str, Any], settings: PrepareSettings, decoded: Path | None = None) -> Published:
    """The pictures in the archives of `raw` whose paths match the layout; folders, sorted, are the classes.

    Ids are the paths in the archives. The file `decoded` keeps the pixels for the next time. Raises PicturesError for
    a layout that matches nothing, folders that are not classes or splits, and pictures that do not fit the settings;
    LayoutError; ArchiveError.
    """
    limits = Limits(**source["limits"])
    archives = listings(archives_in(raw), limits)
    # Messages name what the user can change: the folder in params.yaml, not what `download` made of it.
    place = Path(f"sources.{source['name']}.path") if source.get("kind") == "folder" else raw
    selections, splits, classes, left_out = _select(place, source["layout"], archives, settings)
    notes = {"not_in_layout": left_out, "unreadable_dropped": 0}
    shape = (settings.height, settings.width, settings.channels)
    target = PictureFormat(*shape, settings.resize, limits.pixels, RAISE_LIMIT)
    parts = _parts(place, selections, target, decoded, settings.unreadable, notes)
    return Published(classes, [], [], splits, parts, notes)


def _select(
    raw: Path, layout: str, archives: list[Listing], settings: PrepareSettings
) -> tuple[list[_Selection], tuple[str, ...], list[str], int]:
    """The pictures, their splits and classes, and the number of files that do not match the layout."""
    pattern = compiled(layout)
    split_folders: dict[str, int] = {}  # numbered in order of occurrence, like the classes
    class_folders: dict[str, int] = {}
    others: list[str] = []
    columns, ids, left_out = [], set(), 0
    for listing in archives:
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
        raise PicturesError(f"{raw}: nothing matches the layout {layout}; {lies}; fix `layout` in params.yaml")
    split_numbers = _split_numbers(raw, layout, split_folders)
    if settings.classes == "source":
        _check_no_class_vanished(raw, layout, archives, split_folders, class_folders)
    classes, class_numbers = _class_numbers(raw, layout, "class" in pattern.groupindex, class_folders, settings)
    if left_out:
        print(f"{raw}: {left_out} files are not in the layout {layout}: {shown}", flush=True)
    selections = [
        _Selection(listing, rows, split_numbers[np.array(splits)], class_numbers[np.array(labels)])
        for listing, rows, splits, labels in columns
        if rows
    ]
    splits = tuple(name for number, name in enumerate(PUBLISHED) if number in split_numbers)
    return selections, splits, classes, left_out


def _check_no_class_vanished(
    raw: Path, layout: str, archives: list[Listing], splits: Container[str], classes: Container[str]
) -> None:
    """Raise PicturesError for a class folder none of whose files matches the layout, and for an empty one.

    A nested copy of the whole tree, as the published flowers have it, is no class.
    """
    pattern = below_classes(layout)
    vanished: dict[str, list[str]] = {}
    for listing in archives if pattern else ():
        for name in (*listing.names, *(f"{folder}/" for folder in listing.folders)):
            match = pattern.fullmatch(name)
            if not match or match["class"] in classes or match.groupdict().get("split", NONE) not in splits:
                continue
            below = match["rest"].split("/")
            if below[0] not in classes and not any(part.startswith(".") for part in below):
                vanished.setdefault(match["class"], []).extend([name] if below[-1] else [])
    if vanished:
        folders = "; ".join(
            f"{name!r} ({f'{len(files)} files, such as {files[0]}' if files else 'empty'})"
            for name, files in sorted(vanished.items())[:NAMED]
        )
        raise PicturesError(
            f"{raw}: no file in these class folders is an image that matches the layout {layout}: {folders}; expected "
            f"one at least in each: convert the files to one of {NAMES}, correct `layout`, take the folders out, or "
            "list the classes in `classes`"
        )


def _split_numbers(raw: Path, layout: str, folders: dict[str, int]) -> np.ndarray:
    """The number in PUBLISHED of each folder."""
    if strange := sorted(folders.keys() - {*SPLITS, NONE}):
        raise PicturesError(
            f"{raw}: the layout {layout} finds splits named {first_names(strange)}, expected {', '.join(SPLITS)}; "
            "write those folders' names into `layout` in place of {split}, or rename them"
        )
    if not folders.keys() & {"train", NONE}:
        raise PicturesError(
            f"{raw}: the layout {layout} finds {first_names(sorted(folders))}, but no pictures in train"
        )
    return np.array([PUBLISHED.index(name or ALL) for name in folders])


def _class_numbers(
    raw: Path, layout: str, labelled: bool, folders: dict[str, int], settings: PrepareSettings
) -> tuple[list[str], np.ndarray]:
    """The names of the classes, and the label of each folder."""
    listed = settings.classes
    if not labelled and listed not in ("source", []):
        raise PicturesError(
            f"{raw}: the layout {layout} has no {{class}}, but `classes` names {first_names(listed)}; set it to []"
        )
    if not labelled or listed == []:
        return [], np.zeros(len(folders), np.int64)
    named = {folder: unicodedata.normalize("NFC", folder) for folder in folders}  # macOS writes NFD
    folder_of: dict[str, str] = {}
    for folder, name in named.items():
        if folder_of.setdefault(name, folder) != folder:
            raise PicturesError(
                f"{raw}: two class folders are both named {name}, written in different Unicode characters: "
                f"{folder_of[name]!a} and {folder!a}; put their images into one folder"
            )
    names = sorted(folder_of)
    if listed != "source":
        listed = [unicodedata.normalize("NFC", name) for name in listed]
        if strange := sorted(folder_of.keys() - set(listed)):
            raise PicturesError(
                f"{raw}: the layout {layout} finds folders that are not in `classes`: {first_names(strange)}; "
                "name them there, or write a layout that leaves them out"
            )
        if missing := [name for name in listed if name not in folder_of]:
            raise PicturesError(
                f"{raw}: has no pictures of {first_names(missing)} in `classes`; its folders are {first_names(names)}"
            )
        names = listed
    return list(names), np.array([names.index(name) for name in named.values()])


def _parts(
    raw: Path,
    selections: list[_Selection],
    target: PictureFormat,
    decoded: Path | None,
    unreadable: str,
    notes: dict[str, int],
) -> Iterator[Part]:
    problems, count = [], 0
    total = sum(len(selection.rows) for selection in selections)
    with (
        tqdm(total=total, desc=f"decoding {raw.name}", unit=" images", disable=None) as bar,
        decoded_pictures(decoded, target) as cache,
    ):
        for batch, (images, readable, failures) in decode_ahead(_batches(selections, target), target, cache):
            count += len(failures)
            problems += failures[: NAMED - len(problems)]
            splits, labels = np.array(batch.splits), np.array(batch.labels, np.int64)
            for number in np.unique(splits):
                rows = np.flatnonzero((splits == number) & readable)
                if len(rows):
                    ids = [batch.ids[row] for row in rows]
                    yield Part(PUBLISHED[number], ids, images[rows], labels[rows])
            bar.update(len(readable))
    notes["unreadable_dropped"] = count
    if count:
        named = "; ".join(problems) + ("; ..." if count > len(problems) else "")
        if unreadable == "stop":
            raise PicturesError(
                f"{raw}: {count} of {total} files cannot be read as pictures: {named}; "
                "fix them, or set unreadable in params.yaml to drop, which leaves them out"
            )
        print(f"{raw}: left out {count} of {total} files that cannot be read as pictures: {named}", flush=True)


def _batches(selections: list[_Selection], target: PictureFormat) -> Iterator[Batch]:
    """The files in batches, small enough that those waiting and their images need little memory."""
    most = min(BATCH, rows_at_a_time(target.height * target.width * target.channels))
    largest = target.pixels * PIXEL_BYTES + FILE_BYTES
    for listing, rows, splits, labels in selections:
        batch, size = Batch([], [], [], []), 0
        for number, file in enumerate(contents(listing, rows)):
            if file.left > largest:
                raise PicturesError(
                    f"{file.file}: {file.name}: has {file.left} bytes, more than the allowed {target.pixels} pixels "
                    f"can need; {RAISE_LIMIT}"
                )
            batch.ids.append(file.name)
            batch.splits.append(splits[number])
            batch.labels.append(labels[number])
            batch.files.append(file.read())
            size += len(batch.files[-1])
            if len(batch.files) == most or size >= BATCH_BYTES:
                yield batch
                batch, size = Batch([], [], [], []), 0
        if batch.files:
            yield batch
