"""Preparing data: decoding picture files by the code of the stage `prepare`, and the cost of the stage `validate`."""

import contextlib
import io
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.inference import alternated
from convzoo.data.arrays import load_split
from convzoo.data.formats.decoding import PictureFormat, decode
from convzoo.data.formats.threads import THREADS
from convzoo.settings.load import Params

# How each kind of file is written here, by Pillow.
FORMATS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WEBP": {"lossless": True},
}
PICTURES = 256
TASK = 16  # pictures per task of a thread


def encoded(images: np.ndarray, kind: str) -> list[bytes]:
    """Images uint8 (N, H, W, 1 or 3) as picture files of this kind."""
    files = []
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(stream, kind, **FORMATS[kind])
        files.append(stream.getvalue())
    return files


def measure_decoding(params: Params, repeats: int, seconds: float) -> list[dict[str, Any]]:
    """For each data set and kind of file: images per second of one thread and of all, and the bytes of a file."""
    rows = []
    for dataset in params.values["data"]:
        train = load_split(Path("data/prepared", dataset, "train")).images
        images = np.array(train[:PICTURES])
        height, width, channels = images.shape[1:]
        target = PictureFormat(height, width, channels, "none", height * width, "")
        for kind in FORMATS:
            files = encoded(images, kind)
            tasks = [files[start : start + TASK] for start in range(0, len(files), TASK)]
            work = partial(_decode_all, target=target)
            with ThreadPoolExecutor(THREADS) as pool:
                turns = alternated(
                    {
                        "one": lambda tasks=tasks, work=work: [work(task) for task in tasks],
                        "all": lambda tasks=tasks, work=work, pool=pool: list(pool.map(work, tasks)),
                    },
                    repeats,
                    seconds,
                )
            speeds = {name: len(files) / statistics.median(values) for name, values in turns.items()}
            row = {"dataset": dataset, "side": height, "kind": kind, "bytes": sum(map(len, files)) / len(files)}
            rows.append(row | {"one_thread": speeds["one"], "all_threads": speeds["all"], "threads": THREADS})
    return rows


def _decode_all(files: list[bytes], target: PictureFormat) -> list[np.ndarray]:
    return [decode(data, target) for data in files]


def measure_validation(params: Params) -> dict[str, Any]:
    """The seconds of one run of `validate`, without imports, over all data sets, and the number of images."""
    from convzoo.validation.validate import validate

    images = 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "data").mkdir()
        for folder in ("prepared", "augmented"):
            (root / "data" / folder).symlink_to(Path("data", folder).resolve())
            images += sum(len(np.load(file, mmap_mode="r")) for file in Path("data", folder).rglob("images.npy"))
        began = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            validate(params, root)
        seconds = time.perf_counter() - began
    return {"images": images, "seconds": seconds, "milliseconds_per_image": seconds / images * 1000}
