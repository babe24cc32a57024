"""Tables of the actual contents of a data set's files, recomputed without trusting a manifest."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from convzoo.data.arrays import digest_header, load_split
from convzoo.errors import first_line
from convzoo.text import first_names

PREPARED = ("train", "val", "test")
AUGMENTED = "augmented"
WHOLE = "prepared"  # in the column `split`: the data set as a whole
NONE = "none"  # in a text column: nothing to report
CHUNK_BYTES = 1 << 24  # of pixels in memory at a time

FILE_COLUMNS = ("dtype", "shape", "rows", "classes", "superclasses")  # each next to an expected_ column
META = ("meta.json", "train/meta.json")  # of the whole set, and of what a training may know


class LabelNames(NamedTuple):
    """The names of a data set's classes and superclasses."""

    classes: list[str] | None  # [] without labels, None if no file has them
    superclasses: list[str]
    superclass_of: list[int]  # of each class; -1 if it has none


class SplitImages(NamedTuple):
    """The images of a split whose files are readable and have the expected shapes."""

    table: pd.DataFrame
    brightest: int | None  # grey level; None without images
    digest: str  # as convzoo.data.arrays.digest


def split_folder(root: Path, dataset: str, split: str) -> Path:
    """The folder of a split's arrays under the project folder `root`."""
    if split == AUGMENTED:
        return root / "data" / "augmented" / dataset
    return root / "data" / "prepared" / dataset / split


def observe_files(folder: Path, split: str, shape: tuple[int, int, int]) -> pd.DataFrame:
    """A row per file of a split, with actual and expected properties; index `train/images.npy`.

    Columns: split, named (the file and its number of rows), problem (`none`, or why it cannot be read; the other
    columns are then empty), and each of FILE_COLUMNS with the expected value: as many rows as images; classes and
    superclasses only for meta.json, as texts that differ if there is a mistake.
    """
    rows = [
        _array(folder / "images.npy", "uint8", shape),
        _array(folder / "labels.npy", "int64", ()),
        _manifest_file(folder / "manifest.csv", split),
    ]
    images = rows[0]["rows"]
    for row in rows:
        row["expected_rows"] = row["rows"] if None in (images, row["rows"]) else images
    return _files(rows, split)


def observe_meta(
    folder: Path, classes: list[str] | Literal["source"], shape: tuple[int, int, int]
) -> tuple[pd.DataFrame, LabelNames]:
    """The rows of `observe_files` for the two files meta.json of a prepared set, and the set's label names.

    The names of the classes are `classes`, or those in meta.json if that is "source".
    """
    rows, metas = [], []
    for name in META:
        try:
            metas.append(_read_meta(folder / name))
            rows.append(_row(name) | {"shape": metas[-1]["shape"], "expected_shape": str(shape)})
        except FileNotFoundError:
            rows.append(_row(name, "no such file"))
        except (OSError, ValueError) as error:
            rows.append(_row(name, f"a file that is no meta.json ({first_line(error)})"))
    first = metas[0] if metas else {"classes": None, "superclasses": [], "superclass_of": []}
    expected = first["classes"] if classes == "source" else classes
    numbers = range(len(first["superclasses"]))
    for row, names in zip([row for row in rows if row["problem"] == NONE], metas, strict=True):
        row["classes"], row["expected_classes"] = _difference(names["classes"], expected)
        row["superclasses"], row["expected_superclasses"] = _missing_superclasses(names, expected)
    known = [number if number in numbers else -1 for number in first["superclass_of"]]
    return _files(rows, WHOLE), LabelNames(expected, first["superclasses"], known)


def observe_images(folder: Path, split: str) -> SplitImages:
    """A row per image of a split whose files passed their checks, with the split's digest.

    Columns: split, named (the row in the arrays), id, sha256 (of the pixels), label, std (of the grey levels),
    manifest_sha256, manifest_label, and original (the id of a variant's original; `none` in a prepared split).
    """
    arrays = load_split(folder)
    count, size = len(arrays.images), int(np.prod(arrays.images.shape[1:]))
    digest = hashlib.sha256(digest_header(arrays.images.dtype, arrays.images.shape))
    sha256, std, brightest = [], [np.empty(0)], []
    step = max(1, CHUNK_BYTES // size)
    for start in range(0, count, step):
        # A new memory map each time: what was read through an earlier map no longer counts as memory.
        part = np.load(folder / "images.npy", mmap_mode="r")[start : start + step]
        pixels = np.ascontiguousarray(part).reshape(len(part), size)
        digest.update(pixels.data)
        sha256 += [hashlib.sha256(image).hexdigest() for image in pixels]
        brightest.append(int(pixels.max()))
        std.append(_standard_deviation(pixels))
    digest.update(digest_header(arrays.labels.dtype, arrays.labels.shape) + arrays.labels.tobytes())
    manifest = _read_manifest(folder / "manifest.csv", split)
    table = pd.DataFrame(
        {
            "split": split,
            "named": np.arange(count),
            "id": manifest["id"],
            "sha256": pd.Series(sha256, dtype="str"),
            "label": arrays.labels,
            "std": np.concatenate(std).round(4),
            "manifest_sha256": manifest["sha256"],
            "manifest_label": pd.to_numeric(manifest["label"], errors="coerce").fillna(-1).astype("int64"),
            "original": manifest["original"] if split == AUGMENTED else NONE,
        }
    )
    return SplitImages(table, max(brightest, default=None), digest.hexdigest())


def combine_splits(images: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """All tables of `observe_images` in one, with columns that compare splits.

    For prepared images: also_in (the other splits with the same pixels) and once (split and sha256, which must be
    unique). For variants: held_out_in (val or test, if they have the same pixels), original_split (the split of the
    original, or `unknown`) and original_label. For other images, each column has a value that passes its check.
    """
    prepared = {split: images[split] for split in PREPARED if split in images}
    for split, table in images.items():
        others = [name for name in prepared if name != split and (split, name) != (AUGMENTED, "train")]
        holders = _holders(table["sha256"], {name: prepared[name]["sha256"] for name in others}, NONE)
        variant = split == AUGMENTED
        table["also_in"], table["held_out_in"] = (NONE, holders) if variant else (holders, NONE)
        # Variants may be equal: half of those that are only flipped are.
        table["once"] = f"{split} " + (table["named"].astype("str") if variant else table["sha256"])
        table["original_split"], table["original_label"] = "train", table["label"]
    if AUGMENTED in images:
        variants = images[AUGMENTED]
        ids = {name: prepared[name]["id"] for name in prepared}
        variants["original_split"] = _holders(variants["original"], ids, "unknown")
        train = prepared["train"].drop_duplicates("id").set_index("id")["label"]
        # An original that is not in train is reported only once, by original_split.
        variants["original_label"] = variants["original"].map(train).fillna(variants["label"]).astype("int64")
    return pd.concat(images.values(), ignore_index=True)


def count_images(images: dict[str, SplitImages], least: dict[str, int]) -> pd.DataFrame:
    """A row per split, with the columns split, named, images, least (the required number) and brightest."""
    rows = [(split, split, len(part.table), least[split], part.brightest) for split, part in images.items()]
    return pd.DataFrame(rows, columns=["split", "named", "images", "least", "brightest"])


def count_classes(labels: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
    """A row per class and prepared split; index `train/0`.

    Columns: split, named, images, share (relative to an even distribution, 1; null for a class without images).
    """
    rows = []
    for split, numbers in labels.items():
        counts = [int(np.count_nonzero(numbers == label)) for label in range(len(names))]
        even = max(sum(counts), 1) / len(names)
        for label, (name, count) in enumerate(zip(names, counts, strict=True)):
            share = round(count / even, 4) if count else None
            rows.append({"split": split, "named": f"{label} '{name}'", "images": count, "share": share})
    columns = ["split", "named", "images", "share"]
    index = [f"{row['split']}/{row['named'].split()[0]}" for row in rows]
    return pd.DataFrame(rows, columns=columns, index=index).astype({"share": "float64"})


def superclass_labels(labels: dict[str, np.ndarray], names: LabelNames) -> dict[str, np.ndarray]:
    """The superclass numbers of each split's labels; -1 for a label without superclass."""
    table = np.array([*names.superclass_of, -1], np.int64)
    last = len(names.superclass_of)
    return {
        split: table[np.where((numbers >= 0) & (numbers < last), numbers, last)] for split, numbers in labels.items()
    }


def _files(rows: list[dict], split: str) -> pd.DataFrame:
    table = pd.DataFrame(rows, index=[f"{split}/{row['named']}" for row in rows], dtype="object")
    table.insert(0, "split", split)
    counted = table["rows"].notna()
    table.loc[counted, "named"] += " (all " + table.loc[counted, "rows"] + " rows)"
    return table


def _row(named: str, problem: str = NONE) -> dict[str, Any]:
    """The row of a file whose properties are not known yet."""
    columns = [f"{kind}{name}" for name in FILE_COLUMNS for kind in ("", "expected_")]
    return {"named": named, "problem": problem} | dict.fromkeys(columns)


def _array(file: Path, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return _row(file.name, "no such file")
    except (OSError, ValueError, EOFError) as error:
        return _row(file.name, f"a file that is cut short or no .npy ({first_line(error)})")
    rows = len(array) if array.ndim else 0
    row = _row(file.name) | {"rows": str(rows), "dtype": str(array.dtype), "expected_dtype": dtype}
    return row | {"shape": str(array.shape), "expected_shape": str((rows, *shape))}


def _manifest_file(file: Path, split: str) -> dict[str, Any]:
    try:
        return _row(file.name) | {"rows": str(len(_read_manifest(file, split)))}
    except FileNotFoundError:
        return _row(file.name, "no such file")
    except (OSError, ValueError) as error:
        return _row(file.name, f"a file that is no manifest ({first_line(error)})")


def _read_manifest(file: Path, split: str) -> pd.DataFrame:
    columns = ["id", "sha256", "label"] + (["original"] if split == AUGMENTED else [])
    return pd.read_csv(file, dtype="str", keep_default_na=False, usecols=columns)


def _read_meta(file: Path) -> dict[str, Any]:
    """The shape (as text) and names in a meta.json. Raises OSError and ValueError."""
    meta = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(meta, dict) or not isinstance(meta.get("shape"), list):
        raise ValueError("has no shape")
    defaults = {"classes": None, "superclasses": [], "superclass_of": []}
    names = {name: meta.get(name, default) for name, default in defaults.items()}
    for name in ("classes", "superclasses"):
        if not isinstance(names[name], list) or not all(isinstance(entry, str) for entry in names[name]):
            raise ValueError(f"{name}: expected a list of names")
    if not isinstance(names["superclass_of"], list):
        raise ValueError("superclass_of: expected a list of numbers")
    return names | {"shape": str(tuple(meta["shape"]))}


def _difference(actual: list[str], expected: list[str]) -> tuple[str, str]:
    """Two texts that are equal if the lists are, and otherwise show their first difference."""
    if len(actual) != len(expected):
        return f"{len(actual)} names", f"{len(expected)} names"
    place = next((place for place, name in enumerate(actual) if name != expected[place]), None)
    if place is None:
        return f"{len(actual)} names", f"{len(expected)} names"
    return f"{place} '{actual[place]}'", f"{place} '{expected[place]}'"


def _missing_superclasses(names: dict[str, Any], classes: list[str]) -> tuple[str | None, str | None]:
    """Two texts that are equal if each class has one of the superclasses; None if there are no superclasses."""
    table, last = names["superclass_of"], len(names["superclasses"]) - 1
    if not table and last < 0:
        return None, None
    if len(table) > len(classes):
        return f"{len(table)} entries in superclass_of", f"{len(classes)}, one for each class"
    entries = dict(enumerate(table)) | dict.fromkeys(range(len(table), len(classes)), "nothing")
    wrong = [
        f"{entry} for class {label} '{classes[label]}'"
        for label, entry in entries.items()
        if entry not in range(last + 1)
    ]
    return first_names(wrong) or f"0 to {last}", f"0 to {last}"


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
