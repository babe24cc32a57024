"""Small archives in CIFAR's published binary form."""

import numpy as np

from convzoo.data.formats import cifar
from helpers.raw_sets import noise, note, settings, tar

LIMITS = {"files": 20, "bytes": 2_000_000, "pixels": 1024}
SOURCE = {"format": "cifar", "limits": LIMITS}
ROWS = 4  # images in a batch of CIFAR-10
TEN = [f"class {number}" for number in range(10)]
FINE, COARSE = [f"fine {number}" for number in range(100)], [f"coarse {number}" for number in range(20)]
PARENTS = [number * 7 % 20 for number in range(100)]  # for each fine class its superclass
TRAIN, TEST = [number * 3 % 100 for number in range(105)], [1, 2, 2]  # fine labels
COLOUR = settings(classes="source", height=32, width=32, channels=3)
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
BIN10, BIN100 = "cifar-10-batches-bin/", "cifar-100-binary/"


def pixels(seed, rows=ROWS):
    """Images as a record has them: red, green and blue planes."""
    return noise(rows, 3072, seed=seed)


def records(images, *labels):
    """The bytes of records: a byte from each list of labels, then the image."""
    return np.column_stack([*(np.array(column, np.uint8) for column in labels), images]).tobytes()


def lines(names):
    return "".join(f"{name}\n" for name in names).encode()


def ten(rows=ROWS):
    """The files of a small CIFAR-10; their order in the archive is another than that of the images."""
    files = {"batches.meta.txt": lines(TEN) + b"\n", "readme.html": b"<meta>"}
    for seed, name in reversed([*enumerate(BATCHES)]):
        files[f"{name}.bin"] = records(pixels(seed, rows), [(seed + row) % 10 for row in range(rows)])
    return {f"{BIN10}{name}": content for name, content in files.items()}


def hundred(fine=TRAIN, coarse=None, test=TEST):
    """The files of a small CIFAR-100, with these labels in train and test."""
    coarse = [PARENTS[label] for label in fine] if coarse is None else coarse
    return {
        f"{BIN100}train.bin": records(pixels(1, len(fine)), coarse, fine),
        f"{BIN100}test.bin": records(pixels(2, len(test)), [PARENTS[label] for label in test], test),
        f"{BIN100}fine_label_names.txt": lines(FINE),
        f"{BIN100}coarse_label_names.txt": lines(COARSE),
    }


def raw(folder, files):
    note(folder, **SOURCE)
    tar(folder / "cifar.tar.gz", files.items())
    return folder


def read(folder, wanted=COLOUR, limits=LIMITS):
    return cifar.read(folder, SOURCE | {"limits": limits}, wanted)
