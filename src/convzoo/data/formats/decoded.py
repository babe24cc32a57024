"""Keeps the pixels of picture files between runs of `prepare`, so that only new files are decoded."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL
from PIL import features

from convzoo.data import image_formats
from convzoo.data.formats import decoding
from convzoo.data.formats.decoding import PictureFormat
from convzoo.files import sha256_of

CODE = (decoding.__file__, image_formats.__file__)  # files that determine the pixels
LIBRARIES = ("jpg", "zlib", "libtiff", "webp", "avif")
TABLE = "CREATE TABLE IF NOT EXISTS pictures (key BLOB PRIMARY KEY, sha256 BLOB NOT NULL, pixels BLOB NOT NULL)"


class DecodedPictures:
    """Pixels by the content of their picture file, in a SQLite file.

    It is a cache: a damaged file, or pixels that are not those that were stored, count as missing; and if nothing can
    be stored, the pictures are decoded as if there were no cache. `problem` then says why, and what to do.
    """

    def __init__(self, file: Path, target: PictureFormat) -> None:
        self.shape = (target.height, target.width, target.channels)
        self.salt = _salt(target)
        self.problem = ""
        self.database: sqlite3.Connection | None = None
        try:
            self.database = _opened(file)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def find(self, files: Sequence[bytes]) -> tuple[list[bytes], dict[int, np.ndarray]]:
        """The keys of picture files, and by row the pixels uint8 (H, W, C) of those that are known."""
        keys = [hashlib.sha256(self.salt + file).digest() for file in files]
        known = {}
        try:
            for row, key in enumerate(keys if self.database else ()):
                found = self.database.execute("SELECT sha256, pixels FROM pictures WHERE key = ?", (key,)).fetchone()
                if found and hashlib.sha256(found[1]).digest() == found[0]:
                    known[row] = np.frombuffer(found[1], np.uint8).reshape(self.shape)
                self.database.execute("INSERT OR IGNORE INTO used VALUES (?)", (key,))
        except (ValueError, sqlite3.Error) as error:
            self._give_up(error)
        return keys, known

    def add(self, pictures: Iterator[tuple[bytes, np.ndarray]]) -> None:
        """Store pixels uint8 (H, W, C) under their keys."""
        if not self.database:
            return
        rows = ((key, hashlib.sha256(pixels.data).digest(), pixels.data) for key, pixels in pictures)
        try:
            self.database.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", rows)
            self.database.commit()
        except sqlite3.Error as error:
            self._give_up(error)

    def remove_unused(self) -> None:
        """Remove the pictures that `find` was not asked for."""
        try:
            if self.database:
                self.database.execute("DELETE FROM pictures WHERE key NOT IN (SELECT key FROM used)")
                self.database.commit()
                self.database.execute("PRAGMA incremental_vacuum")
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        if self.database:
            self.database.close()
            self.database = None

    def _give_up(self, error: Exception) -> None:
        advice = "remove it"
        if isinstance(error, OSError | sqlite3.OperationalError):  # the disk is full, the file is locked: it is intact
            advice = "make sure that it can be written and nothing else uses it, and that there is room"
        self.problem = self.problem or f"({error}); {advice}"
        self.close()


@contextmanager
def decoded_pictures(file: Path | None, target: PictureFormat) -> Iterator[DecodedPictures | None]:
    """The cache in `file`. At the end, pictures that were not asked for are removed, unless there was an error."""
    if file is None:
        yield None
        return
    cache = DecodedPictures(file, target)
    try:
        yield cache
        cache.remove_unused()
    finally:
        cache.close()
        if cache.problem:
            print(f"{file}: decoded pictures are not kept for the next run {cache.problem}", flush=True)


def _salt(target: PictureFormat) -> bytes:
    """A digest of everything but the picture file on which its pixels depend."""
    versions = [PIL.__version__, *(features.version(library) for library in LIBRARIES)]
    parts = [target._replace(remedy=""), versions, [sha256_of(Path(file)) for file in CODE]]
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def _opened(file: Path) -> sqlite3.Connection:
    """The database in `file`; one that is damaged is replaced by an empty one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _connected(file)
    except sqlite3.OperationalError:  # locked, or the disk is full: the file may be intact
        raise
    except sqlite3.DatabaseError:
        for suffix in ("", "-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        return _connected(file)


def _connected(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file)
    try:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(TABLE)
        database.execute("CREATE TEMP TABLE used (key BLOB PRIMARY KEY) WITHOUT ROWID")
        database.commit()
    except sqlite3.Error:
        database.close()
        raise
    return database
