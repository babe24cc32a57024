"""What a data set's files really hold, as tables: nothing here believes a manifest."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from convzoo.data.arrays import digest_header, load_split
from convzoo.errors import first_line

PREPARED = ("train", "val", "test")
AUGMENTED = "augmented"
WHOLE = "prepared"  # in the column `split`: of the data set as a whole
NONE = "none"  # in a text column: there is nothing to tell
CHUNK_BYTES = 1 << 24  # of pixels that are in memory at a time

FILE_COLUMNS = ("dtype", "shape", "rows", "classes", "superclasses")  # each beside the expected one
META = ("meta.json", "train/meta.json")  # of the whole set, and what a training may know
NAMED = 5  # classes in a text


class Names(NamedTuple):
    """What the numbers of a data set's labels stand for."""

    classes: list[str] | None  # [] without labels, None where no file tells
    superclasses: list[str]
    superclass_of: list[int]  # of each class; -1 where there is none


class Images(NamedTuple):
    """The images of a split whose files are sound."""

    table: pd.DataFrame
    brightest: int | None  # grey level; None without images
    digest: str  # as convzoo.data.arrays.digest


def split_folder(root: Path, dataset: str, split: str) -> Path:
    """Where a split's arrays lie under the project folder `root`."""
    if split == AUGMENTED:
        return root / "data" / "augmented" / dataset
    return root / "data" / "prepared" / dataset / split


def observe_files(folder: Path, split: str, shape: tuple[int, int, int]) -> pd.DataFrame:
    """A row for each file of a split: what it is beside what it should be; index `train/images.npy`.

    Columns: split, named (the file, and how many rows it has), problem (`none`, or why it cannot be read; the other
    columns then say nothing), and each of FILE_COLUMNS beside the expected one: rows is as many as images; classes and
    superclasses are of meta.json only, and differ where there is something to tell.
    """
    found = [
        _array(folder / "images.npy", "uint8", shape),
        _array(folder / "labels.npy", "int64", ()),
        _manifest_file(folder / "manifest.csv", split),
    ]
    images = found[0]["rows"]
    for row in found:
        row["expected_rows"] = row["rows"] if None in (images, row["rows"]) else images
    return _files(found, split)


def observe_meta(
    folder: Path, classes: list[str] | Literal["source"], shape: tuple[int, int, int]
) -> tuple[pd.DataFrame, Names]:
    """The rows of `observe_files` for the two files meta.json of a prepared set, and the names that hold for it.

    The names of the classes are those given, or with `source` those of meta.json.
    """
    found, held = [], []
    for name in META:
        try:
            held.append(_read_meta(folder / name))
            found.append(_row(name) | {"shape": held[-1]["shape"], "expected_shape": str(shape)})
        except FileNotFoundError:
            found.append(_row(name, "no such file"))
        except (OSError, ValueError) as error:
            found.append(_row(name, f"a file that is no meta.json ({first_line(error)})"))
    first = held[0] if held else {"classes": None, "superclasses": [], "superclass_of": []}
    expected = first["classes"] if classes == "source" else classes
    numbers = range(len(first["superclasses"]))
    for row, names in zip([row for row in found if row["problem"] == NONE], held, strict=True):
        row["classes"], row["expected_classes"] = _difference(names["classes"], expected)
        row["superclasses"], row["expected_superclasses"] = _holes(names, expected)
    known = [number if number in numbers else -1 for number in first["superclass_of"]]
    return _files(found, WHOLE), Names(expected, first["superclasses"], known)


def observe_images(folder: Path, split: str) -> Images:
    """A row for each image of a split whose files are sound, with the split's digest.

    Columns: split, named (the row in the arrays), id, sha256 (of the pixels), label, std (of the grey levels),
    manifest_sha256, manifest_label, and original (the id of a variant's original; `none` in a prepared split).
    """
    arrays = load_split(folder)
    count, size = len(arrays.images), int(np.prod(arrays.images.shape[1:]))
    digest = hashlib.sha256(digest_header(arrays.images.dtype, arrays.images.shape))
    sha256, spread, brightest = [], [np.empty(0)], []
    step = max(1, CHUNK_BYTES // size)
    for start in range(0, count, step):
        # Mapped anew each time: what was read through an earlier map no longer counts as memory.
        part = np.load(folder / "images.npy", mmap_mode="r")[start : start + step]
        pixels = np.ascontiguousarray(part).reshape(len(part), size)
        digest.update(pixels.data)
        sha256 += [hashlib.sha256(image).hexdigest() for image in pixels]
        brightest.append(int(pixels.max()))
        spread.append(_standard_deviation(pixels))
    digest.update(digest_header(arrays.labels.dtype, arrays.labels.shape) + arrays.labels.tobytes())
    manifest = _read_manifest(folder / "manifest.csv", split)
    table = pd.DataFrame(
        {
            "split": split,
            "named": np.arange(count),
            "id": manifest["id"],
            "sha256": pd.Series(sha256, dtype="str"),
            "label": arrays.labels,
            "std": np.concatenate(spread).round(4),
            "manifest_sha256": manifest["sha256"],
            "manifest_label": pd.to_numeric(manifest["label"], errors="coerce").fillna(-1).astype("int64"),
            "original": manifest["original"] if split == AUGMENTED else NONE,
        }
    )
    return Images(table, max(brightest, default=None), digest.hexdigest())


def relate(images: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """All tables of `observe_images` as one, with what only shows across splits.

    More columns of prepared images: also_in (the other splits with the same pixels) and once (of which there may be
    one only: split and sha256); of variants: held_out_in (val and test, where they have the same pixels),
    original_split (where the original is, or `unknown`) and original_label. Elsewhere they say what is well.
    """
    prepared = {split: images[split] for split in PREPARED if split in images}
    for split, table in images.items():
        others = [name for name in prepared if name != split and (split, name) != (AUGMENTED, "train")]
        holders = _holders(table["sha256"], {name: prepared[name]["sha256"] for name in others}, NONE)
        variant = split == AUGMENTED
        table["also_in"], table["held_out_in"] = (NONE, holders) if variant else (holders, NONE)
        # Variants may equal each other: half of those that are only flipped do.
        table["once"] = f"{split} " + (table["named"].astype("str") if variant else table["sha256"])
        table["original_split"], table["original_label"] = "train", table["label"]
    if AUGMENTED in images:
        variants = images[AUGMENTED]
        ids = {name: prepared[name]["id"] for name in prepared}
        variants["original_split"] = _holders(variants["original"], ids, "unknown")
        train = prepared["train"].drop_duplicates("id").set_index("id")["label"]
        # An original that is not in train is said once, by original_split.
        variants["original_label"] = variants["original"].map(train).fillna(variants["label"]).astype("int64")
    return pd.concat(images.values(), ignore_index=True)


def count_images(images: dict[str, Images], least: dict[str, int]) -> pd.DataFrame:
    """A row for each split, with the columns split, named, images, least (how many it must have) and brightest."""
    rows = [(split, split, len(found.table), least[split], found.brightest) for split, found in images.items()]
    return pd.DataFrame(rows, columns=["split", "named", "images", "least", "brightest"])


def count_classes(labels: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
    """A row for each class in each prepared split; index `train/0`.

    Columns: split, named, images, share (against an even split: 1 is even; null for a class without images).
    """
    rows = []
    for split, found in labels.items():
        counts = [int(np.count_nonzero(found == label)) for label in range(len(names))]
        even = max(sum(counts), 1) / len(names)
        for label, (name, count) in enumerate(zip(names, counts, strict=True)):
            share = round(count / even, 4) if count else None
            rows.append({"split": split, "named": f"{label} '{name}'", "images": count, "share": share})
    columns = ["split", "named", "images", "share"]
    index = [f"{row['split']}/{row['named'].split()[0]}" for row in rows]
    return pd.DataFrame(rows, columns=columns, index=index).astype({"share": "float64"})


def superclass_labels(labels: dict[str, np.ndarray], names: Names) -> dict[str, np.ndarray]:
    """The labels of each split as numbers of superclasses; -1 where there is none."""
    table = np.array([*names.superclass_of, -1], np.int64)
    last = len(names.superclass_of)
    return {split: table[np.where((found >= 0) & (found < last), found, last)] for split, found in labels.items()}


def _files(rows: list[dict], split: str) -> pd.DataFrame:
    table = pd.DataFrame(rows, index=[f"{split}/{row['named']}" for row in rows], dtype="object")
    table.insert(0, "split", split)
    counted = table["rows"].notna()
    table.loc[counted, "named"] += " (all " + table.loc[counted, "rows"] + " rows)"
    return table


def _row(named: str, problem: str = NONE) -> dict[str, Any]:
    """A file of which nothing is known yet."""
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
    """Shape (as text) and names. Raises OSError and ValueError."""
    held = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(held, dict) or not isinstance(held.get("shape"), list):
        raise ValueError("has no shape")
    found = {"classes": None, "superclasses": [], "superclass_of": []}
    found = {name: held.get(name, nothing) for name, nothing in found.items()}
    for name in ("classes", "superclasses"):
        if not isinstance(found[name], list) or not all(isinstance(entry, str) for entry in found[name]):
            raise ValueError(f"{name}: expected a list of names")
    if not isinstance(found["superclass_of"], list):
        raise ValueError("superclass_of: expected a list of numbers")
    return found | {"shape": str(tuple(held["shape"]))}


def _difference(found: list[str], expected: list[str]) -> tuple[str, str]:
    """Two texts that differ as the lists do, and say where."""
    if len(found) != len(expected):
        return f"{len(found)} names", f"{len(expected)} names"
    place = next((place for place, name in enumerate(found) if name != expected[place]), None)
    if place is None:
        return f"{len(found)} names", f"{len(expected)} names"
    return f"{place} '{found[place]}'", f"{place} '{expected[place]}'"


def _holes(names: dict[str, Any], classes: list[str]) -> tuple[str | None, str | None]:
    """Two texts that differ unless each class has one of the superclasses; None where there are no superclasses."""
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
    told = ", ".join(wrong[:NAMED]) + (", ..." if len(wrong) > NAMED else "")
    return told or f"0 to {last}", f"0 to {last}"


def _standard_deviation(pixels: np.ndarray) -> np.ndarray:
    """Of each row, from whole numbers, so that every machine gets the same digits."""
    mean = pixels.sum(axis=1, dtype=np.int64) / pixels.shape[1]
    of_squares = np.square(pixels, dtype=np.uint16).sum(axis=1, dtype=np.int64) / pixels.shape[1]
    return np.sqrt(np.maximum(of_squares - mean * mean, 0))


def _holders(values: pd.Series, splits: dict[str, pd.Series], nobody: str) -> pd.Series:
    """For each value the names of the splits that hold it."""
    sets = {name: set(held) for name, held in splits.items()}
    names = [", ".join(name for name, held in sets.items() if value in held) or nobody for value in values]
    return pd.Series(names, index=values.index, dtype="str")
