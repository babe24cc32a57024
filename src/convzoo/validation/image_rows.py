"""Tables of a data set's images, computed from their pixels without trusting a manifest."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from convzoo.data.arrays import digest_header, images_in_parts, load_split

PREPARED = ("train", "val", "test")
AUGMENTED = "augmented"
NONE = "none"  # in a text column: nothing to report
CHUNK_BYTES = 1 << 24  # of pixels in memory at a time
PART_ROWS = 200_000  # images that are checked together, which bounds the memory of a check
SHA256 = 32  # bytes


@dataclass(frozen=True)
class SplitImages:
    """What was observed of the images of a split whose files are readable and have the expected shapes."""

    split: str
    sha256: np.ndarray  # uint8 (N, 32), of the pixels
    std: np.ndarray  # float64 (N,), of the grey levels
    labels: np.ndarray  # int64 (N,)
    manifest: pd.DataFrame  # id, sha256, label and, of variants, original
    brightest: int | None  # grey level; None without images
    digest: str  # as convzoo.data.arrays.digest

    def __len__(self) -> int:
        return len(self.labels)


def observe_images(folder: Path, split: str) -> SplitImages:
    """The images of a split whose files passed their checks."""
    arrays = load_split(folder)
    size = int(np.prod(arrays.images.shape[1:]))
    digest = hashlib.sha256(digest_header(arrays.images.dtype, arrays.images.shape))
    sha256, std, brightest = bytearray(), [np.empty(0)], []
    step = max(1, CHUNK_BYTES // size)
    for part in images_in_parts(folder, step):
        pixels = np.ascontiguousarray(part).reshape(len(part), size)
        digest.update(pixels.data)
        for image in pixels:
            sha256 += hashlib.sha256(image).digest()
        brightest.append(int(pixels.max()))
        std.append(_standard_deviation(pixels))
    digest.update(digest_header(arrays.labels.dtype, arrays.labels.shape) + arrays.labels.tobytes())
    return SplitImages(
        split,
        np.frombuffer(bytes(sha256), np.uint8).reshape(-1, SHA256),
        np.concatenate(std).round(4),
        arrays.labels,
        read_manifest(folder / "manifest.csv", split),
        max(brightest, default=None),
        digest.hexdigest(),
    )


def parts_of(images: dict[str, SplitImages]) -> int:
    """In how many parts the images of a data set are checked."""
    return max(1, -(-sum(map(len, images.values())) // PART_ROWS))


def image_tables(images: dict[str, SplitImages]) -> Iterator[pd.DataFrame]:
    """A row per image, in tables of about PART_ROWS rows; all copies of an image are in the same table.

    Columns: split, named (the row in the split), id, sha256 (of the pixels), label, std (of the grey levels),
    manifest_sha256, manifest_label, and original (the id of a variant's original; `none` in a prepared split). And
    columns that compare splits, for prepared images: also_in (the other splits with the same pixels) and once (split
    and sha256, which must be unique). For variants: held_out_in (val or test, if they have the same pixels),
    original_split (the split of the original, or `unknown`) and original_label. For other images, each of these has a
    value that passes its check.
    """
    parts, originals = parts_of(images), _originals(images)
    for number in range(parts):
        tables = {}
        for split, observed in images.items():
            rows = np.flatnonzero(observed.sha256[:, :4].copy().view("<u4").ravel() % parts == number)
            tables[split] = _table(observed, rows)
            tables[split]["original_split"], tables[split]["original_label"] = "train", tables[split]["label"]
            if split == AUGMENTED and len(observed):
                tables[split][originals.columns] = originals.iloc[rows].reset_index(drop=True)
        yield _compared(tables)


def id_tables(images: dict[str, SplitImages]) -> Iterator[pd.DataFrame]:
    """Split, named and id of all images, in as many tables; all copies of an id are in the same one."""
    parts = parts_of(images)
    hashes = {
        split: pd.util.hash_pandas_object(observed.manifest["id"], index=False).to_numpy() % np.uint64(parts)
        for split, observed in images.items()
    }
    for number in range(parts):
        tables = []
        for split, observed in images.items():
            rows = np.flatnonzero(hashes[split] == number)
            ids = observed.manifest["id"].iloc[rows].reset_index(drop=True)
            tables.append(pd.DataFrame({"split": split, "named": rows, "id": ids}))
        yield pd.concat(tables, ignore_index=True)


def _table(observed: SplitImages, rows: np.ndarray) -> pd.DataFrame:
    """The columns of `image_tables` that need one split only."""
    manifest = observed.manifest.iloc[rows].reset_index(drop=True)
    return pd.DataFrame(
        {
            "split": observed.split,
            "named": rows,
            "id": manifest["id"],
            "sha256": pd.Series([digest.tobytes().hex() for digest in observed.sha256[rows]], dtype="str"),
            "label": observed.labels[rows],
            "std": observed.std[rows],
            "manifest_sha256": manifest["sha256"],
            "manifest_label": pd.to_numeric(manifest["label"], errors="coerce").fillna(-1).astype("int64"),
            "original": manifest["original"] if observed.split == AUGMENTED else NONE,
        }
    )


def _originals(images: dict[str, SplitImages]) -> pd.DataFrame:
    """The split and the label of each variant's original: original_split, original_label."""
    if AUGMENTED not in images or not len(images[AUGMENTED]):
        return pd.DataFrame({"original_split": [], "original_label": []})
    originals = images[AUGMENTED].manifest["original"]
    ids = {split: images[split].manifest["id"] for split in PREPARED if split in images}
    train = pd.Series(images["train"].labels, index=ids["train"])
    labels = originals.map(train[~train.index.duplicated()])
    # An original that is not in train is reported only once, by original_split.
    labels = labels.fillna(pd.Series(images[AUGMENTED].labels, index=originals.index)).astype("int64")
    return pd.DataFrame({"original_split": _holders(originals, ids, "unknown"), "original_label": labels})


def _compared(images: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The tables of all splits in one, with the columns of `image_tables` that compare their pixels."""
    prepared = {split: images[split] for split in PREPARED if split in images}
    for split, table in images.items():
        others = [name for name in prepared if name != split and (split, name) != (AUGMENTED, "train")]
        holders = _holders(table["sha256"], {name: prepared[name]["sha256"] for name in others}, NONE)
        variant = split == AUGMENTED
        table["also_in"], table["held_out_in"] = (NONE, holders) if variant else (holders, NONE)
        # Variants may be equal: half of those that are only flipped are.
        table["once"] = f"{split} " + (table["named"].astype("str") if variant else table["sha256"])
    return pd.concat(images.values(), ignore_index=True)


def read_manifest(file: Path, split: str) -> pd.DataFrame:
    """The columns of a manifest as texts. Raises OSError and ValueError."""
    columns = ["id", "sha256", "label"] + (["original"] if split == AUGMENTED else [])
    return pd.read_csv(file, dtype="str", keep_default_na=False, usecols=columns)


def _standard_deviation(pixels: np.ndarray) -> np.ndarray:
    """The standard deviation of each row, from integer sums, so that every machine gets the same digits."""
    mean = pixels.sum(axis=1, dtype=np.int64) / pixels.shape[1]
    of_squares = np.square(pixels, dtype=np.uint16).sum(axis=1, dtype=np.int64) / pixels.shape[1]
    return np.sqrt(np.maximum(of_squares - mean * mean, 0))


def _holders(values: pd.Series, splits: dict[str, pd.Series], nobody: str) -> pd.Series:
    """The names of the splits that contain each value, or `nobody`."""
    sets = {name: set(members) for name, members in splits.items()}
    names = [", ".join(name for name, members in sets.items() if value in members) or nobody for value in values]
    return pd.Series(names, index=values.index, dtype="str")
