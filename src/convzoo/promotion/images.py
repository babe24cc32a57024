"""Which images versions were chosen and measured on: digests of val and test, now and when a version was made."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from convzoo.errors import ConvzooError
from convzoo.files import project_root, read_json
from convzoo.lineage.record import locked_stages

SPLITS = ("val", "test")


class Images(NamedTuple):
    """A prepared data set: DVC's hash of its folder, and a digest over the files of each split."""

    whole: str
    val: str
    test: str


def images_on_disk(dataset: str) -> Images:
    """Those in data/prepared/DATASET. Raises ConvzooError where they are not what dvc.lock says, or not there."""
    folder = Path("data/prepared", dataset)
    files = [file for file in folder.rglob("*") if file.is_file()]
    found = _images({file.relative_to(folder).as_posix(): _md5(file) for file in files})
    locked = locked_stages().get(f"prepare@{dataset}")
    if not files or locked is None:
        raise ConvzooError(f"{folder}: is missing, expected what `prepare` makes; run: dvc repro validate")
    if found.whole != _prepared(locked):
        raise ConvzooError(f"{folder}: holds other files than dvc.lock says; run: dvc checkout, or dvc repro validate")
    return found


def images_of(descent: dict[str, Any], dataset: str, now: Images) -> Images | None:
    """Those that a version was made from, by its descent; None where neither it nor DVC's cache knows them any more."""
    locked = descent["stages"].get(f"prepare@{dataset}")
    if locked is None:
        return None
    whole = _prepared(locked)
    if whole == now.whole:
        return now
    listed = project_root() / ".dvc/cache/files/md5" / whole[:2] / whole[2:]
    return _images({row["relpath"]: row["md5"] for row in read_json(listed)}) if listed.is_file() else None


def _prepared(locked: dict[str, Any]) -> str:
    return locked["outs"][0]["md5"]


def _images(files: dict[str, str]) -> Images:
    """By the MD5 of each file of the folder; the hash of the whole is made as DVC makes it."""
    rows = [{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]
    whole = hashlib.md5(json.dumps(rows, sort_keys=True).encode()).hexdigest() + ".dir"
    digests = (
        hashlib.sha256(
            "\n".join(f"{name} {files[name]}" for name in sorted(files) if name.startswith(f"{split}/")).encode()
        )
        for split in SPLITS
    )
    return Images(whole, *(digest.hexdigest() for digest in digests))


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()
