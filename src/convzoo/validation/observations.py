"""Tables of a data set's files, splits and classes."""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from convzoo.data.shards import INDEX, Index, ShardedImages, ShardError, problem_of
from convzoo.errors import first_line
from convzoo.files import sha256_of
from convzoo.text import first_names
from convzoo.validation.image_rows import AUGMENTED, NONE, PREPARED, SplitImages, read_manifest

SPLITS = (*PREPARED, AUGMENTED)
WHOLE = "prepared"  # in the column `split`: the data set as a whole

FILE_COLUMNS = ("dtype", "shape", "rows", "classes", "superclasses")  # each next to an expected_ column
META = ("meta.json", "train/meta.json")  # of the whole set, and of what a training may know


class LabelNames(NamedTuple):
    """The names of a data set's classes and superclasses."""

    classes: list[str] | None  # [] without labels, None if no file has them
    superclasses: list[str]
    superclass_of: list[int]  # of each class; -1 if it has none


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
    sharded = (folder / INDEX).is_file()
    rows = [
        *(_shards(folder, shape) if sharded else _arrays(folder, shape)),
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


def count_images(images: dict[str, SplitImages], least: dict[str, int]) -> pd.DataFrame:
    """A row per split, with the columns split, named, images, least (the required number) and brightest."""
    rows = [(split, split, len(part), least[split], part.brightest) for split, part in images.items()]
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


def _arrays(folder: Path, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    return [_array(folder / "images.npy", "uint8", shape), _array(folder / "labels.npy", "int64", ())]


def _shards(folder: Path, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """A row for the index, with what all shards hold together, and one for each shard."""
    try:
        index = Index.read(folder)
    except ShardError as error:
        return [_row(INDEX, f"a file that is no index ({first_line(error)})")]
    count = index.shape[0]
    row = _row(INDEX) | {"rows": str(count), "dtype": str(ShardedImages.dtype), "expected_dtype": "uint8"}
    row |= {"shape": str(index.shape), "expected_shape": str((count, *shape))}
    return [row, *(_row(shard["file"], _shard_problem(folder, shard)) for shard in index.shards)]


def _shard_problem(folder: Path, shard: dict[str, Any]) -> str:
    if problem := problem_of(folder, shard):
        return f"a file of another size ({problem})" if "bytes" in problem else problem
    return NONE if sha256_of(folder / shard["file"]) == shard["sha256"] else f"a file that is not as {INDEX} describes"


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
        return _row(file.name) | {"rows": str(len(read_manifest(file, split)))}
    except FileNotFoundError:
        return _row(file.name, "no such file")
    except (OSError, ValueError) as error:
        return _row(file.name, f"a file that is no manifest ({first_line(error)})")


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
