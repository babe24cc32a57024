"""Converts raw files to arrays: decoded, checked, deduplicated and split, with a manifest per split.

Images are read in parts, and stored in a temporary file until they are split. So memory stays under 120 MB plus 400
bytes per image (800 from a zip archive); random pixels in the size and layout of CIFAR's archives, 60,000 images,
peaked at 105 MB. Pictures of many millions of pixels take up to 10 bytes per pixel in each of at most
four threads.

An archive of 55,000 WebP files of 32x32 pixels takes 19 s of processor time and peaks at 105 MB. Half of the time is
decoding, on all threads; a third is reading and checking the tar headers, before anything is decoded. The second pass
through the archive, for the contents, takes 1 s: keeping the unpacked archive on the disk would save little.
"""

import hashlib
import math
from array import array
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.data.arrays import digest_header
from convzoo.data.formats import arrays, cifar, cifar100_pictures, idx, mlxtend, pictures
from convzoo.data.formats.parts import PUBLISHED, Part, Published, rows_at_a_time
from convzoo.data.manifest import COLUMNS, image_rows, open_rows
from convzoo.data.splits import Deduplicated, deduplicate, draw_split
from convzoo.data.writing import image_writer
from convzoo.errors import ConvzooError
from convzoo.files import new_folder, read_json, write_json
from convzoo.settings.data import PrepareSettings
from convzoo.text import first_names

Reader = Callable[..., Published]  # of a raw folder, source.json and PrepareSettings; of pictures also a cache
FORMATS: dict[str, tuple[Reader, set[str]]] = {  # the reader, and the keys that it needs in source.json
    "arrays": (arrays.read, set()),
    "cifar": (cifar.read, {"limits"}),
    "cifar100-pictures": (cifar100_pictures.read, {"layout", "limits"}),
    "idx": (idx.read, set()),
    "mlxtend": (mlxtend.read, set()),
    "pictures": (pictures.read, {"layout", "limits"}),
}
RANKS = np.array([0, 1, 2, 0])  # of PUBLISHED: a picture in two splits stays in the one with the higher rank
DIGEST = 32  # bytes of a sha256
NAMED = 5  # offending rows in a message


class PrepareError(ConvzooError):
    """Raw images that are not as params.yaml says."""


class ImageIndex(NamedTuple):
    """Id, label, split and digest of every image that was read; their pixels are in a file, in the same order."""

    ids: list[str]
    labels: np.ndarray  # int64 (N,)
    splits: np.ndarray  # int8 (N,), in PUBLISHED
    sha256: bytes  # of the pixels, DIGEST bytes per image

    def digest(self, row: int) -> bytes:
        return self.sha256[row * DIGEST : (row + 1) * DIGEST]


def prepare(
    dataset: str, settings: PrepareSettings, raw: Path, folder: Path, decoded: Path | None = None
) -> dict[str, int]:
    """Write the splits of a data set, their manifests and meta.json to `folder`; returns the counts in meta.json.

    The pixels of picture files are also kept in the file `decoded`, so that the next time only new files are decoded.
    No picture is in two splits or twice in one; the same raw files and settings give the same bytes. Raises
    PrepareError for images or labels that differ from the settings, and for label conflicts under the rule "stop".
    """
    source, read = _source(dataset, raw)
    published = read(raw, source, settings, *([decoded] if "layout" in source else []))
    classes = published.classes if settings.classes == "source" else settings.classes
    if len(classes) == 1:
        raise PrepareError(
            f"{dataset}: has a single class, {classes[0]!r}, expected two or more; is the path of its source one "
            "folder too high or too low, or its `layout` wrong? For networks that generate or reconstruct, which need "
            f"no labels, set data.{dataset}.prepare.classes to []"
        )
    shape = (settings.height, settings.width, settings.channels)
    with new_folder(folder) as new:
        pixels = new / "pixels"
        index = _collect(dataset, published, shape, len(classes), pixels)
        deduplicated = _deduplicate(index)
        if deduplicated.conflicts and settings.label_conflicts == "stop":
            raise PrepareError(_conflicts(dataset, deduplicated.conflicts, index))
        splits = _split(dataset, settings, deduplicated.kept, index, published.splits)
        _check_every_class(dataset, classes, index.labels, splits, published.splits)
        counts = {
            "read": len(index.ids),
            **published.notes,
            "duplicates_dropped": len(deduplicated.duplicates),
            "in_two_splits_dropped": len(deduplicated.in_two_splits),
            "label_conflicts_dropped": sum(map(len, deduplicated.conflicts)),
            **{split: len(rows) for split, rows in splits.items()},
        }
        levels, digests = _write_splits(new, pixels, shape, splits, index, settings)
        mean, std = _mean_and_std(levels)
        pixels.unlink()
        meta = {"dataset": dataset, "classes": classes, "shape": list(shape), "mean": mean, "std": std}
        meta["resize"] = settings.resize  # goes into the exported file, so that `predict` resizes in the same way
        hierarchy = {"superclasses": published.superclasses, "superclass_of": published.superclass_of}
        about = {"source": source, "counts": counts, "splits": digests}
        about |= hierarchy if classes and published.superclasses else {}
        write_json(new / "meta.json", meta | about)
        write_json(new / "train" / "meta.json", meta)  # all that a training may know: nothing about test
    return counts


def _source(dataset: str, raw: Path) -> tuple[dict[str, Any], Reader]:
    """The contents of source.json, and the reader of its format."""
    try:
        source = read_json(raw / "source.json")
        reader, needed = FORMATS[source["format"]]
        if missing := sorted(needed - source.keys()):
            raise KeyError(*missing)
    except (OSError, ValueError, KeyError) as error:
        raise PrepareError(f"{raw}/source.json: {error!r}; rebuild it: convzoo repro -f download@{dataset}") from None
    return source, reader


def _collect(dataset: str, published: Published, shape: tuple[int, ...], classes: int, pixels: Path) -> ImageIndex:
    """Write the pixels of all images to the file `pixels`. Without classes all labels are zero."""
    ids, labels, splits, sha256 = [], array("q"), array("b"), bytearray()
    with pixels.open("wb") as out:
        for part in published.parts:
            _check(f"{dataset} {part.split}", shape, part)
            images = np.ascontiguousarray(part.images)
            out.write(images.data)
            ids += part.ids
            labels.frombytes((part.labels if classes else np.zeros_like(part.labels)).tobytes())
            splits.extend([PUBLISHED.index(part.split)] * len(images))
            for image in images:
                sha256 += hashlib.sha256(image.data).digest()
    if not ids:
        raise PrepareError(f"{dataset}: has no images; look at its source in params.yaml")
    index = ImageIndex(ids, np.frombuffer(labels, np.int64), np.frombuffer(splits, np.int8), bytes(sha256))
    for number, split in enumerate(PUBLISHED if classes else ()):
        _check_labels(f"{dataset} {split}", classes, index.labels[index.splits == number])
    return index


def _check(name: str, shape: tuple[int, ...], part: Part) -> None:
    if part.images.shape[1:] != shape or part.images.dtype != np.uint8:
        raise PrepareError(
            f"{name}: images are {part.images.dtype} of shape {part.images.shape[1:]}, expected uint8 of shape {shape} "
            "(height, width, channels in params.yaml)"
        )
    if not len(part.images) == len(part.ids) == len(part.labels):
        raise PrepareError(
            f"{name}: has {len(part.images)} images and {len(part.labels)} labels, expected one label per image"
        )


def _check_labels(name: str, classes: int, labels: np.ndarray) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        rows = ", ".join(f"{row} ({labels[row]})" for row in wrong[:NAMED])
        raise PrepareError(
            f"{name}: {len(wrong)} labels are not in 0 to {classes - 1}, in the rows (labels) {rows}; "
            "name every class in `classes` in params.yaml"
        )


def _deduplicate(index: ImageIndex) -> Deduplicated:
    """Keep every picture once: the copy in test, otherwise the one in val, otherwise the first."""
    ranks = RANKS[index.splits]
    # Few images have a digest that begins like another's, and only these can be copies: the others need no dictionary.
    _, inverse, counts = np.unique(
        np.frombuffer(index.sha256, np.uint64)[:: DIGEST // 8], return_inverse=True, return_counts=True
    )
    alone = counts[inverse] == 1
    order = np.argsort(-ranks, kind="stable")
    order = order[~alone[order]]
    result = deduplicate([index.digest(row) for row in order], index.labels[order], ranks[order] > 0)
    kept, duplicates, in_two_splits = (np.sort(order[rows]) for rows in result[:3])
    kept = np.sort(np.concatenate([np.flatnonzero(alone), kept]))
    return Deduplicated(
        kept, duplicates, in_two_splits, sorted(sorted(order[rows].tolist()) for rows in result.conflicts)
    )


def _conflicts(dataset: str, conflicts: list[list[int]], index: ImageIndex) -> str:
    examples = "; ".join(
        ", ".join(f"{index.ids[row]} as {index.labels[row]}" for row in rows) for rows in conflicts[:NAMED]
    )
    more = f"; and {len(conflicts) - NAMED} more pictures" if len(conflicts) > NAMED else ""
    return (
        f"{dataset}: the same picture has more than one label: {examples}{more}; "
        f"fix the source, or set data.{dataset}.prepare.label_conflicts to drop, which leaves all copies out"
    )


def _split(
    dataset: str, settings: PrepareSettings, kept: np.ndarray, index: ImageIndex, published: tuple[str, ...]
) -> Mapping[str, np.ndarray]:
    """The rows of each split, ascending. Splits that the source lacks are drawn from its train images."""
    labels, ranks = index.labels, RANKS[index.splits[kept]]
    train, val, test = (kept[ranks == rank] for rank in range(3))
    if "test" not in published:
        rest, drawn = draw_split("test", labels[train], (index.digest(row) for row in train), settings)
        train, test = train[rest], train[drawn]
    if "val" not in published:
        rest, drawn = draw_split("val", labels[train], (index.digest(row) for row in train), settings)
        train, val = train[rest], train[drawn]
    splits = {"train": train, "val": val, "test": test}
    for split, rows in splits.items():
        if not len(rows):
            raise PrepareError(
                f"{dataset}: no image is left for {split} ({len(kept)} kept of {len(labels)} read); "
                f"look at val_fraction and test_fraction in data.{dataset}.prepare"
            )
    return splits


def _check_every_class(
    dataset: str, classes: list[str], labels: np.ndarray, splits: Mapping[str, np.ndarray], published: tuple[str, ...]
) -> None:
    """Raise PrepareError if a split has no image of a class, which neither a training nor a metric can do without."""
    counts = {split: np.bincount(labels[rows], minlength=len(classes)) for split, rows in splits.items()}
    for split, images in counts.items() if classes else ():
        missing = np.flatnonzero(images == 0)
        if len(missing):
            kept = sum(counts.values())
            names = first_names([f"{classes[label]} ({kept[label]})" for label in missing])
            fraction = f"raise {split}_fraction in data.{dataset}.prepare, " * (split not in (*published, "train"))
            raise PrepareError(
                f"{dataset}: {split} has no image of {names} (in brackets: images of the class in all splits), "
                f"expected one at least of every class; add images, {fraction}or take the class out"
            )


def _write_splits(
    folder: Path,
    pixels: Path,
    shape: tuple[int, ...],
    splits: Mapping[str, np.ndarray],
    index: ImageIndex,
    settings: PrepareSettings,
) -> tuple[np.ndarray, dict[str, str]]:
    """Write each split's images, labels and manifest.

    Returns the counts of each level in train, int64 (C, 256), and the digest of each split as `arrays.digest` computes
    it.
    """
    target = np.full(len(index.ids), -1, np.int8)
    levels = np.zeros((shape[-1], 256), np.int64)
    hashes = {}
    with ExitStack() as stack:
        source = stack.enter_context(pixels.open("rb"))
        files = []
        for number, (split, rows) in enumerate(splits.items()):
            target[rows] = number
            (folder / split).mkdir()
            out = stack.enter_context(image_writer(folder / split, (len(rows), *shape), settings))
            hashes[split] = hashlib.sha256(digest_header(np.dtype(np.uint8), (len(rows), *shape)))
            manifest = stack.enter_context(open_rows(folder / split / "manifest.csv", COLUMNS))
            files.append((out, hashes[split], manifest))
        step = rows_at_a_time(math.prod(shape))
        for start in range(0, len(index.ids), step):
            images = np.frombuffer(source.read(step * math.prod(shape)), np.uint8).reshape(-1, *shape)
            for number, (out, hashed, manifest) in enumerate(files):
                local = np.flatnonzero(target[start : start + step] == number)
                rows, chosen = local + start, images[local]
                out.write(chosen, index.labels[rows])
                hashed.update(chosen.data)
                digests = [index.digest(row).hex() for row in rows]
                manifest.writerows(image_rows([index.ids[row] for row in rows], digests, chosen, index.labels[rows]))
                if number == 0:
                    for channel in range(shape[-1]):
                        levels[channel] += np.bincount(chosen[..., channel].ravel(), minlength=256)
    for split, rows in splits.items():
        labels = index.labels[rows]
        hashes[split].update(digest_header(labels.dtype, labels.shape) + labels.tobytes())
    return levels, {split: hashed.hexdigest() for split, hashed in hashes.items()}


def _mean_and_std(levels: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, as shares of 255, from exact counts of the 256 levels."""
    values = np.arange(256) / 255
    means, stds = [], []
    for counts in levels:
        shares = counts / counts.sum()
        mean = float(shares @ values)
        means.append(round(mean, 6))
        stds.append(round(float(np.sqrt(shares @ (values - mean) ** 2)), 6))
    return means, stds
