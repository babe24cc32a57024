"""CIFAR's python batches, inside their archive. Format: https://www.cs.toronto.edu/~kriz/cifar.html."""

import pickle
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple

import numpy as np

from convzoo.data.formats.members import Content, Limits, contents, listings
from convzoo.data.formats.parts import Part, Published, expect_published, numbered, rows_at_a_time
from convzoo.errors import ConvzooError
from convzoo.settings.data import PrepareSettings

SIDE, CHANNELS = 32, 3  # pixels; red, green and blue, one plane after the other
VALUES = CHANNELS * SIDE * SIDE
AGAIN = "bring the published archive"
RESERVING = pickle.BYTEARRAY8  # operations that take as much memory as they say they need


class CifarError(ConvzooError):
    """The archive does not hold the batches that it should."""


class Layout(NamedTuple):
    """Which files there are, and under which keys their values stand."""

    meta: str
    batches: dict[str, tuple[str, ...]]  # of each split
    names: tuple[str, ...]  # in meta: of classes, and of superclasses where there are some
    labels: tuple[str, ...]  # in the batches, likewise


CIFAR_10 = Layout(
    "batches.meta",
    {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)},
    ("label_names",),
    ("labels",),
)
CIFAR_100 = Layout(
    "meta",
    {"train": ("train",), "test": ("test",)},
    ("fine_label_names", "coarse_label_names"),
    ("fine_labels", "coarse_labels"),
)


class _Batch(NamedTuple):
    pixels: np.ndarray  # uint8 (N, VALUES)
    labels: list[np.ndarray]  # int64 (N,), of classes and superclasses


def read(raw: Path, source: dict[str, Any], settings: PrepareSettings) -> Published:
    """The images (N, 32, 32, 3) and labels of the splits "train" and "test", with the names of (fine) classes and
    superclasses. The archive is read as a whole.

    Raises CifarError for an archive without the published files or with other things in them, ArchiveError, and
    NamesError where `classes` is a list of other names.
    """
    layout, files = _files(raw, Limits(**source["limits"]))
    names = [_names(*files[layout.meta], key) for key in layout.names]
    expect_published(raw, settings, names[0])
    batches = {
        split: [_batch(*files[file], layout, names) for file in wanted] for split, wanted in layout.batches.items()
    }
    superclasses = names[1] if len(names) > 1 else []
    superclass_of = _superclass_of(raw, batches, *names) if superclasses else []
    return Published(names[0], superclasses, superclass_of, tuple(batches), _parts(batches), {})


def _files(raw: Path, limits: Limits) -> tuple[Layout, dict[str, tuple[str, dict[str, Any]]]]:
    """Of each published file how a message calls it, and what is in it."""
    found = listings(sorted(file for file in raw.rglob("*") if file.is_file() and file != raw / "source.json"), limits)
    there = [PurePosixPath(name).name for listing in found for name in listing.names]
    layout = CIFAR_10 if CIFAR_10.meta in there else CIFAR_100
    wanted = {layout.meta, *(name for names in layout.batches.values() for name in names)}
    if wrong := sorted(name for name in wanted if there.count(name) != 1):
        raise CifarError(
            f"{raw}: expected one file {wrong[0]} in the archive, as published, found {there.count(wrong[0])}; {AGAIN}"
        )
    files = {}
    for listing in found:
        rows = [row for row, name in enumerate(listing.names) if PurePosixPath(name).name in wanted]
        for content in contents(listing, rows):
            files[PurePosixPath(content.name).name] = f"{content.file}: {content.name}", _load(content)
    return layout, files


class _Array:
    """What a pickle says of a NumPy array; NumPy itself never sees it."""

    __slots__ = ("state",)

    def __init__(self, *_: object):
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Type:
    """What a pickle says of a NumPy type."""

    __slots__ = ("name",)

    def __init__(self, name: object, *_: object):
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass


# Python's own unpickler rather than C's: it holds a batch once instead of twice, and reserves no memory on a claim.
class _Unpickler(pickle._Unpickler):
    """Builds what CIFAR's batches are made of, and nothing else."""

    dispatch: ClassVar = {code: load for code, load in pickle._Unpickler.dispatch.items() if code not in RESERVING}

    def __init__(self, content: Content):
        super().__init__(content, encoding="bytes")
        self.where, self.left = f"{content.file}: {content.name}", content.left

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in (("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")):
            return _Array
        if (module, name) == ("numpy", "ndarray"):
            return _Array
        if (module, name) == ("numpy", "dtype"):
            return _Type
        if (module, name) == ("_codecs", "encode"):
            return self._encode
        raise CifarError(
            f"{self.where}: asks for {module}.{name}, which no batch of CIFAR needs and which may do harm; {AGAIN}"
        )

    def _encode(self, text: str, encoding: str) -> bytes:
        """How Python 3 writes bytes for Python 2."""
        self.left -= len(text)
        if encoding != "latin1" or self.left < 0:
            raise ValueError(f"{len(text)} characters in {encoding}")
        return text.encode("latin1")


def _load(content: Content) -> dict[str, Any]:
    where = f"{content.file}: {content.name}"
    try:
        values = _Unpickler(content).load()
        return {key if isinstance(key, str) else key.decode("ascii"): value for key, value in values.items()}
    except ConvzooError:
        raise
    except Exception as error:  # a damaged pickle can raise any kind
        raise CifarError(f"{where}: is no batch of CIFAR ({error!r}), expected what was published; {AGAIN}") from None


def _value(where: str, values: dict[str, Any], key: str, kind: type) -> Any:
    if not isinstance(values.get(key), kind):
        found = type(values[key]).__name__ if key in values else "nothing"
        raise CifarError(f"{where}: has {found} under {key}, expected {kind.__name__.strip('_').lower()}; {AGAIN}")
    return values[key]


def _names(where: str, values: dict[str, Any], key: str) -> list[str]:
    found = _value(where, values, key, list)
    names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in found]
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise CifarError(f"{where}: {key} is {names!r:.200}, expected different names; {AGAIN}")
    return names


def _batch(where: str, values: dict[str, Any], layout: Layout, names: list[list[str]]) -> _Batch:
    pixels = _pixels(where, _value(where, values, "data", _Array).state)
    columns = []
    for key, known in zip(layout.labels, names, strict=True):
        labels = _value(where, values, key, list)
        if len(labels) != len(pixels):
            raise CifarError(f"{where}: has {len(pixels)} images and {len(labels)} {key}, expected one each; {AGAIN}")
        wrong = [label for label in labels if type(label) is not int or not 0 <= label < len(known)]
        if wrong:
            raise CifarError(
                f"{where}: {len(wrong)} {key} are not in 0 to {len(known) - 1}, the first is {wrong[0]!r:.80}; {AGAIN}"
            )
        columns.append(np.array(labels, np.int64))
    return _Batch(pixels, columns)


def _pixels(where: str, state: object) -> np.ndarray:
    """The array that a state of ndarray's `__reduce__` describes, without asking NumPy to trust it."""
    try:
        _, shape, dtype, by_column, values = state
        count, width = shape
        kind = dtype.name if isinstance(dtype.name, str) else dtype.name.decode("ascii")
        fits = (kind, width, type(count), type(values)) == ("u1", VALUES, int, bytes)
        fits = fits and len(values) == count * width > 0
    except (TypeError, ValueError, AttributeError):
        fits = False
    if not fits:
        raise CifarError(f"{where}: data is not what it should be, expected uint8 of shape (N, {VALUES}); {AGAIN}")
    return np.frombuffer(values, np.uint8).reshape(count, width, order="F" if by_column else "C")


def _superclass_of(
    raw: Path, batches: dict[str, list[_Batch]], classes: list[str], superclasses: list[str]
) -> list[int]:
    """For each class the number of its superclass, from the labels of all images."""
    parents: list[set[int]] = [set() for _ in classes]
    for split in batches.values():
        for batch in split:
            for label, parent in set(zip(*(labels.tolist() for labels in batch.labels), strict=True)):
                parents[label].add(parent)
    for name, found in zip(classes, parents, strict=True):
        if len(found) != 1:
            within = ", ".join(superclasses[parent] for parent in sorted(found)) or "none"
            raise CifarError(f"{raw}: expected the class {name} in one superclass, its images are in {within}; {AGAIN}")
    return [found.pop() for found in parents]


def _parts(batches: dict[str, list[_Batch]]) -> Iterator[Part]:
    for split, found in batches.items():
        start = 0
        for pixels, labels in found:
            step = rows_at_a_time(VALUES)
            for row in range(0, len(pixels), step):
                planes = pixels[row : row + step].reshape(-1, CHANNELS, SIDE, SIDE)
                images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
                yield Part(split, numbered(split, start + row, len(images)), images, labels[0][row : row + step])
            start += len(pixels)
