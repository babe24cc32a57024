"""The files of a server's log: DIR/NETWORK/DAY/NAME.parquet with a row for each image; days are those of UTC."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from convzoo.errors import ConvzooError, did_you_mean, first_line
from convzoo.shipping.reference import CLASS, CONFIDENCE, DIMENSIONS, ERROR

SUFFIX = ".parquet"
IMAGES = "images"  # the folder of a day with its images
DAY = "%Y-%m-%d"
STATISTICS = ("brightness", "contrast", "border", "detail")
FEATURES = tuple(f"feature_{number}" for number in range(1, DIMENSIONS + 1))
SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", tz="UTC")),  # at which the answer was ready
        ("operation", pa.string()),
        ("version", pa.int64()),  # none for a network that is served from a folder
        ("sha256", pa.string()),  # of model.onnx
        ("images", pa.int32()),  # in the request
        ("milliseconds", pa.float32()),  # that the answer to all of the request took
        ("image", pa.string()),  # the file in the folder IMAGES, if it is kept
        (CLASS, pa.string()),
        *((name, pa.float32()) for name in (CONFIDENCE, ERROR, *STATISTICS, *FEATURES)),
    ]
)


class Rows(NamedTuple):
    """The rows of one version, oldest first."""

    table: pa.Table
    others: dict[str, int]  # rows of other versions in the same time, by the beginning of their sha256

    def column(self, name: str) -> np.ndarray:
        """The values of a column, without the rows that have none."""
        return self.table[name].drop_null().to_numpy()


def table_of(columns: dict[str, Any], length: int) -> pa.Table:
    """A table of the log; columns that are not given are empty, and single values stand for all rows."""
    arrays = []
    for field in SCHEMA:
        value = columns.get(field.name)
        if isinstance(value, np.ndarray | list):
            arrays.append(pa.array(value, field.type))
        else:
            arrays.append(pa.array([value] * length, field.type))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def read_rows(folder: Path, network: str, sha256: str, since: datetime) -> Rows:
    """The rows of the version with this sha256 from `since` on.

    Raises ConvzooError if there is no log, no log of the network, a file cannot be read, or all rows are of other
    versions.
    """
    files = list(_files(folder, network, since))
    tables = [_read(file, since) for file in files]
    rows = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    shas = Counter(counts_of(rows["sha256"]))
    own = rows.filter(pc.equal(rows["sha256"], sha256)).sort_by("time")
    others = {other[:12]: count for other, count in shas.most_common() if other != sha256}
    if not len(own) and others:
        listed = ", ".join(f"{count} of {other}" for other, count in others.items())
        raise ConvzooError(
            f"{folder / network}: has no rows of the file with sha256 {sha256[:12]}, expected some since "
            f"{since:%Y-%m-%d %H:%M} UTC, but found {listed}; name the version that was served, as in {network}@v2"
        )
    return Rows(own, others)


def counts_of(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs."""
    return {entry["values"]: entry["counts"] for entry in column.value_counts().to_pylist()}


def _files(folder: Path, network: str, since: datetime) -> Iterator[Path]:
    if not folder.is_dir():
        raise ConvzooError(
            f"{folder}: there is no such folder, expected the log of a server; start one with: convzoo serve --log "
            f"{folder}, or name another folder: --log DIR"
        )
    if not (folder / network).is_dir():
        known = sorted(path.name for path in folder.iterdir() if path.is_dir())
        raise ConvzooError(
            f"{folder}: has no rows of {network}, {did_you_mean(network, known)}expected a folder of that name; it "
            f"has: {', '.join(known) or 'nothing yet'}"
        )
    for day in sorted(path for path in (folder / network).iterdir() if path.is_dir()):
        if day.name >= since.strftime(DAY):
            yield from sorted(file for file in day.glob(f"*{SUFFIX}") if not file.name.startswith("."))


def _read(file: Path, since: datetime) -> pa.Table:
    try:
        table = pq.ParquetFile(file).read()
        if table.schema.names != SCHEMA.names:
            raise ValueError(f"it has the columns {', '.join(table.schema.names)}")
        table = table.cast(SCHEMA)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ConvzooError(
            f"{file}: cannot be read ({first_line(error)}), expected rows that convzoo serve --log wrote; the server "
            "never leaves such a file, so check the disk, and move the file away to continue without its rows"
        ) from None
    return table.filter(pc.greater_equal(table["time"], pa.scalar(since.astimezone(UTC), SCHEMA.field("time").type)))
