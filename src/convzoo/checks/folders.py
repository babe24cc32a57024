"""Files of the user's own that stages read: DVC does not watch them, so the stage `check` digests them."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from convzoo.data.image_formats import is_image_name
from convzoo.files import new_file, project_root, sha256_of

CACHE = Path(".digests", "files.json")  # in the project's folder; may be deleted at any time
SETTLED = 2  # seconds; a file written more recently may change again without a new time
UNREADABLE = "cannot be read"
EMPTY = "has no pictures"  # a folder


class FileDigests:
    """The sha256 of files, computed again only if size or time of a file differ from what was seen before."""

    def __init__(self) -> None:
        self.file = project_root() / CACHE
        try:
            self.known: dict[str, list] = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none yet, or broken: everything is read once
            self.known = {}
        self.seen: dict[str, list] = {}

    def folder(self, place: Path) -> dict[str, Any] | None:
        """Number and common sha256 of what `packing.pack` packs: pictures and folders without any, names included.

        None if there is no such folder.
        """
        if not place.is_dir():
            return None
        found, empty = {}, set()
        for parent, folders, files in os.walk(place):
            folders[:] = [name for name in folders if not name.startswith(".")]
            if Path(parent) != place:
                empty.add(Path(parent).relative_to(place))
            for file in (Path(parent, name) for name in files if not name.startswith(".")):
                if is_image_name(file.name):
                    found[_hex(file.relative_to(place))] = self.digest(file)
                    empty.difference_update(file.relative_to(place).parents)
        content = found | {_hex(folder): EMPTY for folder in empty}
        text = json.dumps(content, sort_keys=True)
        return {"files": len(found), "sha256": hashlib.sha256(text.encode()).hexdigest()}

    def single(self, file: Path) -> dict[str, Any] | None:
        """The sha256 of one file; None if it is not there."""
        return {"files": 1, "sha256": self.digest(file)} if file.is_file() else None

    def digest(self, file: Path) -> str:
        """The sha256 of a file, or a remark in its place: the stage that needs the file says what is wrong with it."""
        try:
            status, name = file.stat(), _hex(file.absolute())
            state = [status.st_size, status.st_mtime_ns]
            known = self.known.get(name, [])
            found = known[2] if known[:2] == state else sha256_of(file)
        except OSError:
            return UNREADABLE
        if time.time_ns() - status.st_mtime_ns > SETTLED * 10**9:
            self.seen[name] = [*state, found]
        return found

    def save(self) -> None:
        """Keep what was seen for the next check, and forget files that are gone."""
        if self.seen != self.known:
            with new_file(self.file) as temporary:
                temporary.write_text(json.dumps(self.seen), encoding="utf-8")


def _hex(path: Path) -> str:
    """A path as JSON can hold it, whatever bytes are in it."""
    return os.fsencode(path).hex()
