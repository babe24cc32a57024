"""Logs the requests and answers of a server, in a thread that no request waits for."""

import contextlib
import logging
import os
import queue
import shutil
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from convzoo.errors import ConvzooError, DiskFullError, first_line
from convzoo.files import new_file
from convzoo.serving.limits import LogOptions
from convzoo.serving.metrics import WRITTEN
from convzoo.serving.served import Served
from convzoo.shipping.reference import CLASS, measure
from convzoo.watching.kept_images import KeptImages
from convzoo.watching.rows import DAY, SUFFIX, table_of

SECONDS = 10.0  # between two writes: what a kill loses at most
ROWS = 5000  # in a file, after which the next one begins; this many new rows are written at once
WAITING_BYTES = 64 * 2**20  # of images and answers in the queue; rows beyond it are dropped
CLOSING = 10.0  # seconds that a server waits at its end for rows that are not written yet
LOCK = ".lock"  # in the folder of every log
NICENESS = 10  # of the thread, so that requests come first
BUSY, FAILED = "busy", "failed"  # reasons why rows are dropped

log = logging.getLogger("convzoo.serve")


class Answer(NamedTuple):
    """An answered request that waits to be logged."""

    served: Served
    operation: str
    images: np.ndarray  # uint8 (N, H, W, C), as the network got them
    outputs: np.ndarray
    seconds: float
    time: datetime


@dataclass
class Part:
    """A file that is being filled: it is written again, as a whole, whenever there are new rows."""

    path: Path
    tables: list[pa.Table] = field(default_factory=list)
    new: int = 0  # rows that are not in the file

    @property
    def rows(self) -> int:
        return sum(map(len, self.tables))


class RequestLog:
    """Writes a row for each image to DIR/NETWORK/DAY/NAME.parquet.

    A file gets its name when it is complete; while it is filled it is replaced by a longer one, at most SECONDS or
    ROWS rows later. `counts` are the rows by network and by what became of them: written, BUSY or FAILED. Raises
    ConvzooError if another server writes to the folder, or if it is not the folder of a log.
    """

    def __init__(self, options: LogOptions) -> None:
        folder = options.folder
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / LOCK).exists() and any(folder.iterdir()):  # old days will be removed from it
            raise ConvzooError(
                f"--log: {folder}: contains other files, expected a new folder or one that --log wrote; name another "
                "folder"
            )
        self.folder, self.days = folder.absolute(), options.days
        self._lock = FileLock(self.folder / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConvzooError(
                f"--log: {folder}: another server writes to this folder, expected one that is free; name another folder"
            ) from None
        self.counts: Counter[tuple[str, str]] = Counter()
        self._kept = KeptImages(self.folder, options.images) if options.images else None
        self._name = f"{datetime.now(UTC):%H%M%S}-{uuid.uuid4().hex[:8]}"  # no other server gives this name
        self._numbers, self._images = Counter[str](), 0  # of the files of each network, and of all images
        self._parts: dict[tuple[str, str], Part] = {}
        self._queue: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._guard = threading.Lock()  # of the counts and the bytes that wait
        self._bytes, self._troubled, self._closed = 0, set[str](), False
        self._clean()
        self._thread = threading.Thread(target=self._work, name="convzoo-log", daemon=True)
        self._thread.start()

    def offer(self, served: Served, operation: str, images: np.ndarray, outputs: np.ndarray, seconds: float) -> None:
        """Queue an answer for the log, or drop it if the queue is full. Returns at once; does not log samples."""
        if operation == "sample" or self._closed:
            return
        size = images.nbytes + outputs.nbytes
        with self._guard:
            if self._bytes and self._bytes + size > WAITING_BYTES:
                self.counts[served.network, BUSY] += len(images)
                return
            self._bytes += size
        self._queue.put(Answer(served, operation, images, outputs, seconds, datetime.now(UTC)))

    def close(self) -> None:
        """Write what is in the queue, for at most CLOSING seconds."""
        self._closed = True
        self._queue.put(None)
        self._thread.join(CLOSING)
        if self._thread.is_alive():
            log.warning("--log: %s: the last answers are not logged, because the disk is too slow", self.folder)
        self._lock.release()

    def counted(self) -> Counter[tuple[str, str]]:
        """A copy of `counts` as they are now."""
        with self._guard:
            return Counter(self.counts)

    def _work(self) -> None:
        if sys.platform == "linux":  # where each thread has a priority
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        due = time.monotonic() + SECONDS
        for answer in self._answers():
            if isinstance(answer, Answer):
                self._add(answer)
            now, new = time.monotonic(), sum(part.new for part in self._parts.values())
            if answer is None or now >= due or new >= ROWS:
                self._write()
                due = now + SECONDS

    def _answers(self) -> Iterator[Answer | str | None]:
        """The answers that were offered; "nothing" if none came for a while, and at the end None."""
        while True:
            try:
                answer = self._queue.get(timeout=SECONDS / 10)
            except queue.Empty:
                yield "nothing"
                continue
            yield answer
            if answer is None:
                return

    def _add(self, answer: Answer) -> None:
        network, images = answer.served.network, answer.images
        try:
            table = self._measure(answer)
        except Exception as error:  # of any kind: the client has its answer
            self._failed(network, len(images), f"cannot be measured: {first_line(error)}")
        else:
            day = answer.time.strftime(DAY)
            part = self._parts.get((network, day)) or self._parts.setdefault((network, day), self._part(network, day))
            part.tables.append(table)
            part.new += len(table)
        finally:
            with self._guard:
                self._bytes -= images.nbytes + answer.outputs.nbytes

    def _measure(self, answer: Answer) -> pa.Table:
        served, images = answer.served, answer.images
        features = served.watched.extractor.run(images) if served.watched else None
        outputs = None if answer.operation == "encode" else answer.outputs
        projection = served.watched.reference.projection if served.watched else np.empty((0, 0), np.float32)
        columns: dict[str, Any] = dict(measure(images, outputs, features, projection))
        if CLASS in columns:
            columns[CLASS] = [served.classes[index] for index in columns[CLASS]]
        about = {
            "time": answer.time,
            "operation": answer.operation,
            "version": served.release.version,
            "sha256": served.sha256,
            "images": len(images),
            "milliseconds": 1000 * answer.seconds,
            "image": self._keep(answer) if self._kept else None,
        }
        return table_of(about | columns, len(images))

    def _keep(self, answer: Answer) -> list[str | None]:
        """Keep the images; return their names, with None for those that could not be written."""
        network, day, names = answer.served.network, answer.time.strftime(DAY), []
        for image in answer.images:
            self._images += 1
            name: str | None = f"{self._name}-{self._images:07}.png"
            try:
                self._kept.keep(network, day, name, image, answer.time)
            except (OSError, DiskFullError) as error:
                self._warn(network, f"an image cannot be kept: {_reason(error)}")
                name = None
            names.append(name)
        return names

    def _part(self, network: str, day: str) -> Part:
        self._numbers[network] += 1
        return Part(self.folder / network / day / f"{self._name}-{self._numbers[network]:05}{SUFFIX}")

    def _write(self) -> None:
        """Write every file that has new rows, and remove old files."""
        today = datetime.now(UTC).strftime(DAY)
        for (network, day), part in list(self._parts.items()):
            if part.new:
                self._write_part(network, part)
            if not part.new and (part.rows >= ROWS or day != today):
                del self._parts[network, day]
        try:
            self._sweep()
        except OSError as error:
            self._warn("", f"old files cannot be removed: {first_line(error)}")

    def _write_part(self, network: str, part: Part) -> None:
        try:
            with new_file(part.path) as temporary, temporary.open("wb") as stream:
                pq.write_table(pa.concat_tables(part.tables), stream, compression="zstd")
                stream.flush()
                os.fsync(stream.fileno())
        except Exception as error:  # of any kind: the server continues
            self._warn(network, f"cannot be written: {_reason(error)}; tried again in {SECONDS:g} s")
            if part.new >= ROWS:  # or the memory would fill up
                while part.new:
                    dropped = len(part.tables.pop())
                    part.new -= dropped
                    self._count(network, FAILED, dropped)
            return
        self._count(network, WRITTEN, part.new)
        self._troubled.discard(network)
        part.new = 0

    def _sweep(self) -> None:
        if self._kept:
            self._kept.sweep()
        oldest = (datetime.now(UTC) - timedelta(days=self.days)).strftime(DAY)
        for day in self.folder.glob("*/????-??-??"):
            if day.name < oldest:
                shutil.rmtree(day)

    def _clean(self) -> None:
        """Remove half-written files of a server that was killed."""
        for pattern in ("*/*/.*.new", "*/*/*/.*.new"):
            for file in self.folder.glob(pattern):
                file.unlink(missing_ok=True)

    def _failed(self, network: str, rows: int, reason: str) -> None:
        self._warn(network, reason)
        self._count(network, FAILED, rows)

    def _count(self, network: str, outcome: str, rows: int) -> None:
        with self._guard:
            self.counts[network, outcome] += rows

    def _warn(self, network: str, reason: str) -> None:
        """Print a warning, once until the network's rows are written again."""
        if network not in self._troubled:
            log.warning("--log: %s: %s; /metrics counts the dropped rows", self.folder / network, reason)
        self._troubled.add(network)


def _reason(error: Exception) -> str:
    return "the disk is full" if isinstance(error, DiskFullError) else first_line(error)
