"""Small archives in CIFAR's published form, byte by byte as cPickle of Python 2 wrote them."""

import struct

import numpy as np

from convzoo.data.formats import cifar
from helpers.raw_sets import note, settings, tar

LIMITS = {"files": 20, "bytes": 2_000_000, "pixels": 1024}
SOURCE = {"format": "cifar", "limits": LIMITS}
ROWS = 4  # images of a batch
TEN = [f"class {number}" for number in range(10)]
FINE, COARSE = [f"fine {number}" for number in range(6)], ["coarse b", "coarse a"]
PARENTS = [1, 0, 0, 1, 1, 0]
COLOUR = settings(classes="source", height=32, width=32, channels=3)
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def text(value):
    """A string as Python 2 wrote it."""
    return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value


def python2(value):
    """What cPickle of Python 2 wrote for a value, protocol 2, without the frame around it."""
    if isinstance(value, bytes):
        return text(value)
    if isinstance(value, str):
        return text(value.encode())
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(python2, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(python2(key) + python2(item) for key, item in value.items()) + b"u"
    return array(value.tobytes(), python2(value.shape[0]) + python2(value.shape[1]) + b"\x86")


def array(values, shape, dtype=b"u1", module=b"numpy.core.multiarray"):
    """A NumPy array, protocol 2."""
    kind = (
        b"cnumpy\ndtype\n"
        + text(dtype)
        + b"K\x00K\x01\x87R(K\x03U\x01|NNNJ"
        + b"\xff" * 4
        + b"J"
        + b"\xff" * 4
        + b"K\x00tb"
    )
    empty = b"c" + module + b"\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return empty + b"(K\x01" + shape + kind + b"\x89" + (values if dtype == b"O8" else text(values)) + b"tb"


def framed(pickled):
    return b"\x80\x02" + pickled + b"."


def pixels(seed, rows=ROWS):
    return np.random.default_rng(seed).integers(0, 256, (rows, 3072), np.uint8)


def ten(write=python2):
    """The files of a small CIFAR-10, in the order of the published archive."""
    files = {
        name: {
            "batch_label": f"batch {name}",
            "labels": [(seed + row) % 10 for row in range(ROWS)],
            "data": pixels(seed),
            "filenames": [f"{name}_{row}.png" for row in range(ROWS)],
        }
        for seed, name in enumerate(BATCHES)
    }
    files["batches.meta"] = {"num_cases_per_batch": ROWS, "label_names": TEN, "num_vis": 3072}
    packed = {name: framed(write(value)) for name, value in files.items()} | {"readme.html": b"<meta>"}
    order = "data_batch_4 readme.html test_batch data_batch_3 batches.meta data_batch_2 data_batch_5 data_batch_1"
    return {f"cifar-10-batches-py/{name}": packed[name] for name in order.split()}


def hundred(parents=PARENTS, **changes):
    """The files of a small CIFAR-100; `changes` are made to train."""
    fine = {"train": [5, 0, 3, 2, 1, 4, 0, 3], "test": [1, 2, 2]}
    files = {
        split: {
            "filenames": ["x.png"] * len(labels),
            "fine_labels": labels,
            "coarse_labels": [parents[label] for label in labels],
            "data": pixels(len(labels), len(labels)),
        }
        for split, labels in fine.items()
    }
    files["train"] |= changes
    files["meta"] = {"fine_label_names": FINE, "coarse_label_names": COARSE}
    return {f"cifar-100-python/{name}": framed(python2(files[name])) for name in ("meta", "test", "train")} | {
        "cifar-100-python/file.txt~": b""
    }


def raw(folder, files):
    note(folder, **SOURCE)
    tar(folder / "cifar.tar.gz", files.items())
    return folder


def read(folder, wanted=COLOUR, limits=LIMITS):
    return cifar.read(folder, SOURCE | {"limits": limits}, wanted)
