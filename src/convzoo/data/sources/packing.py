"""Packs the picture files of a folder into one archive: the same bytes for the same pictures and names."""

import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from convzoo.data.image_formats import NAMES, is_image_name
from convzoo.errors import ConvzooError, disk_is_full
from convzoo.files import room_for
from convzoo.settings.sources import Limits
from convzoo.text import first_names

PACKED = "pictures.tar"
NAMED = 5  # files in a message


class PackingError(ConvzooError):
    """A folder without the pictures that params.yaml describes."""


def pack(origin: Path, layout: str, limits: Limits, folder: Path) -> None:
    """Write every picture file below the folder `origin` to pictures.tar in `folder`, and print what is left out.

    Names are relative to `origin` and sorted; hidden files and folders are left out. The archive contains only names
    and contents, so that a copy of the folder gives the same archive; folders without pictures are among the names, so
    that `prepare` can tell a class without pictures. Raises PackingError for a folder without
    pictures or with more than `limits`, a link that leads out of it, and a file that cannot be read.
    """
    origin = origin.resolve()
    pictures, others, empty = find_pictures(origin, limits)
    if not pictures:
        contents = f"; it has {summary(others)}" if others else ""
        raise PackingError(f"{origin}: has no pictures ({NAMES}), expected {layout}{contents}; put some there")
    packed = folder / PACKED
    with room_for(packed), tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in tqdm(sorted(pictures), desc=f"packing {origin.name}", unit=" files", disable=None):
            entry = tarfile.TarInfo(name)  # no time, owner or mode of the file
            try:
                with pictures[name].open("rb") as stream:
                    entry.size = os.fstat(stream.fileno()).st_size
                    archive.addfile(entry, stream)
            except OSError as error:
                if disk_is_full(error):
                    raise
                raise PackingError(
                    f"{pictures[name]}: cannot be packed ({error.strerror or error}), expected a file that can be "
                    "read; fix its permissions"
                ) from None
        for name in sorted(empty):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
    size = packed.stat().st_size
    left = f"; left out {summary(others)}" if others else ""
    print(f"{origin}: {len(pictures)} pictures packed, {size / 1e6:.1f} MB{left}", flush=True)


def find_pictures(origin: Path, limits: Limits) -> tuple[dict[str, Path], list[str], set[str]]:
    """The picture files by name, the names of the other files, and those of the folders without pictures."""
    pictures, others, empty, size = {}, [], set(), 0
    for parent, folders, files in os.walk(origin, onerror=_raise_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if Path(parent, name).is_symlink():
                raise PackingError(f"{Path(parent, name)}: is a link, expected a folder; put the folder itself there")
        if Path(parent) != origin:
            empty.add(Path(parent).relative_to(origin).as_posix())
        for file in (Path(parent, name) for name in files if not name.startswith(".")):
            name = file.relative_to(origin).as_posix()
            if not is_image_name(name):
                others.append(name)
                continue
            _check(file, name, origin)
            pictures[name] = file
            size += file.stat().st_size
            if len(pictures) > limits.files or size > limits.bytes:
                limit = f"files: {limits.files}" if len(pictures) > limits.files else f"bytes: {limits.bytes}"
                raise PackingError(
                    f"{origin}: holds more pictures than limits.{limit} in params.yaml allows; raise it there, or "
                    "take some out"
                )
    empty -= {parent.as_posix() for name in pictures for parent in Path(name).parents}
    return pictures, sorted(others), empty


def _check(file: Path, name: str, origin: Path) -> None:
    if file.is_symlink() and not file.resolve().is_relative_to(origin):
        raise PackingError(f"{file}: is a link that leads out of {origin}; put the picture itself there")
    if not file.is_file():
        raise PackingError(f"{file}: is not a file that can be read, expected one; take it out of the folder")
    if not name.isprintable():  # such as a name that is not UTF-8
        raise PackingError(f"{origin}: the file name {name!a} is not plain text, expected UTF-8; rename the file")


def _raise_unreadable(error: OSError) -> NoReturn:
    raise PackingError(f"{error.filename}: cannot be read ({error.strerror}); fix its permissions, or take it out")


def summary(names: list[str]) -> str:
    kinds = Counter(Path(name).suffix.lower() or "no ending" for name in names)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(NAMED))
    shown = first_names([f"{name!a}"[1:-1] for name in names], NAMED)
    return f"{len(names)} other file{'s' if len(names) > 1 else ''} ({counted}): {shown}"
