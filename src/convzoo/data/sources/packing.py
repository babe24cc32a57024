"""The picture files of a folder as one archive: the same bytes for the same pictures under the same names."""

import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from convzoo.errors import ConvzooError, disk_is_full
from convzoo.files import room_for
from convzoo.settings.sources import Limits

PACKED = "pictures.tar"
ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp")
NAMED = 5  # files in a message


class PackingError(ConvzooError):
    """A folder that does not hold the pictures that params.yaml describes."""


def pack(place: Path, layout: str, limits: Limits, folder: Path) -> None:
    """Write every picture file below the folder `place` to pictures.tar in `folder`, and say what was left out.

    Their names are relative to `place` and sorted; hidden files and folders are left out. Of the files nothing but
    name and content is kept, so that a copy gives the same archive. Raises PackingError for a folder without
    pictures or with more than `limits`, a link that leads out of it, and what cannot be read.
    """
    place = place.resolve()
    pictures, others = _find(place, limits)
    if not pictures:
        found = f"; it has {_listed(others)}" if others else ""
        raise PackingError(
            f"{place}: has no pictures ({', '.join(ending[1:] for ending in ENDINGS)}), expected {layout}{found}; "
            "put some there"
        )
    packed = folder / PACKED
    with room_for(packed), tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in tqdm(sorted(pictures), desc=f"packing {place.name}", unit=" files", disable=None):
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
                    "read; mend its rights"
                ) from None
    size = packed.stat().st_size
    left = f"; left out {_listed(others)}" if others else ""
    print(f"{place}: {len(pictures)} pictures packed, {size / 1e6:.1f} MB{left}", flush=True)


def _find(place: Path, limits: Limits) -> tuple[dict[str, Path], list[str]]:
    """The picture files by name, and the names of the other files."""
    pictures, others, size = {}, [], 0
    for parent, folders, files in os.walk(place, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if Path(parent, name).is_symlink():
                raise PackingError(f"{Path(parent, name)}: is a link, expected a folder; put the folder itself there")
        for file in (Path(parent, name) for name in files if not name.startswith(".")):
            name = file.relative_to(place).as_posix()
            if not name.lower().endswith(ENDINGS):
                others.append(name)
                continue
            _check(file, name, place)
            pictures[name] = file
            size += file.stat().st_size
            if len(pictures) > limits.files or size > limits.bytes:
                limit = f"files: {limits.files}" if len(pictures) > limits.files else f"bytes: {limits.bytes}"
                raise PackingError(
                    f"{place}: holds more pictures than limits.{limit} in params.yaml allows; raise it there, or "
                    "take some out"
                )
    return pictures, sorted(others)


def _check(file: Path, name: str, place: Path) -> None:
    if file.is_symlink() and not file.resolve().is_relative_to(place):
        raise PackingError(f"{file}: is a link that leads out of {place}; put the picture itself there")
    if not file.is_file():
        raise PackingError(f"{file}: is not a file that can be read, expected one; take it out of the folder")
    if not name.isprintable():  # also a name that is no UTF-8
        raise PackingError(f"{place}: the file name {name!a} is not plain text, expected UTF-8; rename the file")


def _unreadable(error: OSError) -> NoReturn:
    raise PackingError(f"{error.filename}: cannot be read ({error.strerror}); mend its rights, or take it out")


def _listed(names: list[str]) -> str:
    kinds = Counter(Path(name).suffix.lower() or "no ending" for name in names)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(NAMED))
    shown = ", ".join(f"{name!a}"[1:-1] for name in names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return f"{len(names)} other file{'s' if len(names) > 1 else ''} ({counted}): {shown}"
