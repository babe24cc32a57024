"""The images in a server's log, limited in age and disk space."""

import contextlib
import io
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from convzoo.files import new_file
from convzoo.serving.limits import ImageBounds
from convzoo.watching.rows import IMAGES

BLOCK = 4096  # bytes: a file takes whole blocks of the disk


class KeptImages:
    """The folders NETWORK/DAY/images of a log; only this process writes and removes files in them."""

    def __init__(self, folder: Path, bounds: ImageBounds) -> None:
        self.folder, self.bounds = folder, bounds
        found = [(file.stat(), file) for file in folder.glob(f"*/*/{IMAGES}/*") if file.is_file()]
        found.sort(key=lambda entry: (entry[0].st_mtime, entry[1].name))
        self._kept = deque((file, stat.st_mtime, _blocks(stat.st_size)) for stat, file in found)
        self._bytes = sum(size for _, _, size in self._kept)

    def keep(self, network: str, day: str, name: str, image: np.ndarray, now: datetime) -> None:
        """Write an image, uint8 (H, W, 1 or 3), as PNG. Raises OSError."""
        file = self.folder / network / day / IMAGES / name
        stream = io.BytesIO()
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(stream, "PNG")
        with new_file(file) as temporary:
            temporary.write_bytes(stream.getbuffer())
        size = _blocks(stream.tell())
        self._kept.append((file, now.timestamp(), size))
        self._bytes += size

    def sweep(self, now: datetime | None = None) -> None:
        """Remove the oldest images until both bounds hold."""
        oldest = ((now or datetime.now(UTC)) - timedelta(days=self.bounds.days)).timestamp()
        while self._kept and (self._bytes > self.bounds.bytes or self._kept[0][1] < oldest):
            file, _, size = self._kept.popleft()
            file.unlink(missing_ok=True)
            self._bytes -= size
            with contextlib.suppress(OSError):  # the folder has other images
                file.parent.rmdir()


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
