"""What a data set's arrays really hold, as tables: nothing here believes a manifest."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from convzoo.data.arrays import ROWS, load_split

PREPARED = ("train", "val", "test")
AUGMENTED = "augmented"
NONE = "none"  # in a text column: there is nothing to tell


def split_folder(root: Path, dataset: str, split: str) -> Path:
    """Where a split's arrays lie under the project folder `root`."""
    if split == AUGMENTED:
        return root / "data" / "augmented" / dataset
    return root / "data" / "prepared" / dataset / split


def observe_files(folder: Path, split: str, shape: tuple[int, int, int]) -> pd.DataFrame:
    """A row for each file of a split: what it is beside what it should be; index `train/images.npy`.

    Columns: split, named, rows, expected_rows (as many as images), dtype, expected_dtype, shape, expected_shape,
    problem (`none`, or why it cannot be read; the other columns then say nothing).
    """
    found = [
        _array(folder / "images.npy", "uint8", shape),
        _array(folder / "labels.npy", "int64", ()),
        _manifest_file(folder / "manifest.csv", split),
    ]
    images = found[0]["rows"]
    for row in found:
        row["expected_rows"] = row["rows"] if None in (images, row["rows"]) else images
    table = pd.DataFrame(found, index=[f"{split}/{row['named']}" for row in found])
    table.insert(0, "split", split)
    return table


def observe_images(folder: Path, split: str) -> pd.DataFrame:
    """A row for each image of a split whose files are sound; the index is the row in the arrays.

    Columns: split, id, sha256 (of the pixels), label, min, max, std (of the grey levels), manifest_sha256,
    manifest_label, and original (the id of a variant's original; `none` in a prepared split).
    """
    arrays = load_split(folder)
    digests, lowest, highest, spread = [], [], [], []
    for start in range(0, len(arrays.images), ROWS):
        pixels = np.ascontiguousarray(arrays.images[start : start + ROWS]).reshape(-1, np.prod(arrays.images.shape[1:]))
        digests += [hashlib.sha256(image).hexdigest() for image in pixels]
        lowest.append(pixels.min(axis=1))
        highest.append(pixels.max(axis=1))
        spread.append(_standard_deviation(pixels))
    manifest = _read_manifest(folder / "manifest.csv", split)
    return pd.DataFrame(
        {
            "split": split,
            "id": manifest["id"],
            "sha256": pd.Series(digests, dtype="str"),
            "label": arrays.labels,
            "min": np.concatenate(lowest or [np.empty(0, np.uint8)]),
            "max": np.concatenate(highest or [np.empty(0, np.uint8)]),
            "std": np.concatenate(spread or [np.empty(0)]).round(4),
            "manifest_sha256": manifest["sha256"],
            "manifest_label": pd.to_numeric(manifest["label"], errors="coerce").fillna(-1).astype("int64"),
            "original": manifest["original"] if split == AUGMENTED else NONE,
        }
    )


def relate(images: dict[str, pd.DataFrame]) -> None:
    """Add what only shows across splits to each table of `observe_images`.

    Columns: also_in (the other prepared splits with the same pixels; for variants val and test), and for variants
    original_split (where the original is, or `unknown`) and original_label.
    """
    prepared = {split: images[split] for split in PREPARED if split in images}
    for split, table in images.items():
        others = [name for name in prepared if name != split and (split, name) != (AUGMENTED, "train")]
        table["also_in"] = _holders(table["sha256"], {name: prepared[name]["sha256"] for name in others}, NONE)
    if AUGMENTED in images:
        variants = images[AUGMENTED]
        ids = {name: prepared[name]["id"] for name in prepared}
        variants["original_split"] = _holders(variants["original"], ids, "unknown")
        train = prepared["train"].drop_duplicates("id").set_index("id")["label"]
        # An original that is not in train is said once, by original_split.
        variants["original_label"] = variants["original"].map(train).fillna(variants["label"]).astype("int64")


def count_classes(images: dict[str, pd.DataFrame], classes: list[str]) -> pd.DataFrame:
    """A row for each class in each prepared split; index `train/0`.

    Columns: split, named, images, share (against an even split: 1 is even; null for a class without images).
    """
    rows = []
    for split in (name for name in PREPARED if name in images):
        labels = images[split]["label"].to_numpy()
        counts = [int(np.count_nonzero(labels == label)) for label in range(len(classes))]
        even = max(sum(counts), 1) / len(classes)
        for label, (name, count) in enumerate(zip(classes, counts, strict=True)):
            share = round(count / even, 4) if count else None
            rows.append({"split": split, "named": f"{label} '{name}'", "images": count, "share": share})
    columns = ["split", "named", "images", "share"]
    index = [f"{row['split']}/{row['named'].split()[0]}" for row in rows]
    return pd.DataFrame(rows, columns=columns, index=index).astype({"share": "float64"})


def _array(file: Path, dtype: str, shape: tuple[int, ...]) -> dict:
    row = {"named": file.name, "problem": NONE}
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return _unreadable(row, "no such file")
    except (OSError, ValueError, EOFError) as error:
        return _unreadable(row, f"a file that is cut short or no .npy ({str(error).splitlines()[0]})")
    rows = len(array) if array.ndim else 0
    row |= {"rows": str(rows), "dtype": str(array.dtype), "expected_dtype": dtype}
    return row | {"shape": str(array.shape), "expected_shape": str((rows, *shape))}


def _manifest_file(file: Path, split: str) -> dict:
    row = {"named": file.name, "problem": NONE}
    same = {"dtype": None, "expected_dtype": None, "shape": None, "expected_shape": None}  # a table has neither
    try:
        return row | {"rows": str(len(_read_manifest(file, split)))} | same
    except FileNotFoundError:
        return _unreadable(row, "no such file")
    except (OSError, ValueError) as error:
        return _unreadable(row, f"a file that is no manifest ({str(error).splitlines()[0]})")


def _unreadable(row: dict, problem: str) -> dict:
    nothing = dict.fromkeys(["rows", "dtype", "expected_dtype", "shape", "expected_shape"])
    return row | nothing | {"problem": problem}


def _read_manifest(file: Path, split: str) -> pd.DataFrame:
    columns = ["id", "sha256", "label"] + (["original"] if split == AUGMENTED else [])
    return pd.read_csv(file, dtype="str", keep_default_na=False, usecols=columns)


def _standard_deviation(pixels: np.ndarray) -> np.ndarray:
    """Of each row, from whole numbers, so that every machine gets the same digits."""
    wide = pixels.astype(np.uint32)
    mean = wide.sum(axis=1, dtype=np.int64) / pixels.shape[1]
    of_squares = (wide * wide).sum(axis=1, dtype=np.int64) / pixels.shape[1]
    return np.sqrt(np.maximum(of_squares - mean * mean, 0))


def _holders(values: pd.Series, splits: dict[str, pd.Series], nobody: str) -> pd.Series:
    """For each value the names of the splits that hold it."""
    sets = {name: set(held) for name, held in splits.items()}
    names = [", ".join(name for name, held in sets.items() if value in held) or nobody for value in values]
    return pd.Series(names, index=values.index, dtype="str")
