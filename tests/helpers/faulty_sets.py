"""Small data sets for the data check: a clean one of noise in three classes, and the faults that break it."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np

from convzoo.settings.load import Params

HEIGHT, WIDTH = 6, 5
META = {"classes": ["cat", "dog", "owl"], "shape": [HEIGHT, WIDTH, 1]}
COARSE = {"superclasses": ["fur", "feathers"], "superclass_of": [0, 0, 1]}
COUNTS = {"train": 30, "val": 9, "test": 9}
BLOCK = {
    "source": "made-here",
    "prepare": {
        "seed": 0,
        "classes": ["cat", "dog", "owl"],
        "height": HEIGHT,
        "width": WIDTH,
        "channels": 1,
        "resize": "none",
        "unreadable": "stop",
        "split": "stratified",
        "val_fraction": 0.2,
        "test_fraction": 0.2,
        "label_conflicts": "stop",
        "storage": "arrays",
        "shards": {"bytes": 1 << 26, "window": 1 << 27},
    },
    "augment": {
        "seed": 0,
        "variants": 1,
        "rotation": 0.0,
        "shift": 0.0,
        "scale": 0.0,
        "crop": 1.0,
        "flip": False,
        "brightness": 0.0,
        "contrast": 0.0,
        "saturation": 0.0,
        "hue": 0.0,
        "pictured": 1,
    },
    "validate": {
        "min_images": {"train": 20, "val": 6, "test": 6},
        "min_class_share": 0.5,
        "min_contrast": 2.0,
        "rows_named": 5,
    },
}


def params(*datasets, **classes):
    """A params file with a block for each data set, and for those that have these classes."""
    others = {name: BLOCK | {"prepare": BLOCK["prepare"] | {"classes": names}} for name, names in classes.items()}
    return Params(Path("params.yaml"), {"data": dict.fromkeys(datasets, BLOCK) | others}, {})


def clean_set():
    """Three splits and a variant of each train image, the classes in turn; every image is another one."""
    generator = np.random.default_rng(0)

    def images(count):
        return generator.integers(0, 256, (count, HEIGHT, WIDTH, 1), dtype=np.uint8)

    made = {
        split: {
            "images": images(count),
            "labels": np.arange(count, dtype=np.int64) % 3,
            "ids": [f"{split}-{row:05d}" for row in range(count)],
        }
        for split, count in COUNTS.items()
    }
    train = made["train"]
    made["augmented"] = {
        "images": images(COUNTS["train"]),
        "labels": train["labels"].copy(),
        "ids": [f"{name}-v1" for name in train["ids"]],
        "originals": list(train["ids"]),
    }
    return made


def folder_of(root: Path, dataset: str, split: str) -> Path:
    """Where the arrays and the manifest of a split lie."""
    return (
        root
        / "data"
        / ("augmented" if split == "augmented" else "prepared")
        / dataset
        / ("" if split == "augmented" else split)
    )


def write_set(root, dataset, made, **meta):
    """Arrays, manifests and meta.json that agree, as a wrong `prepare` would leave them too."""
    for split, held in made.items():
        folder = folder_of(root, dataset, split)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "images.npy", held["images"])
        np.save(folder / "labels.npy", held["labels"])
        columns = {"id": held["ids"]} | ({"original": held["originals"]} if "originals" in held else {})
        columns["sha256"] = [hashlib.sha256(image.tobytes()).hexdigest() for image in held["images"]]
        columns["label"] = held["labels"].tolist()
        with (folder / "manifest.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=False))
    change_meta(folder_of(root, dataset, "train"), **META | meta)
    training = {key: value for key, value in (META | meta).items() if not key.startswith("superclass")}
    (folder_of(root, dataset, "train") / "meta.json").write_text(json.dumps(training))


def change_meta(train, **changes):
    """Other values in the meta.json of the set whose train split is the folder `train`."""
    file = train.parent / "meta.json"
    held = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(held | changes))


def keep(held, rows):
    """Only these rows are left of a split."""
    for key, values in held.items():
        held[key] = values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]


# Each breaks one split of a clean set, before it is written.


def narrow(held):
    held["images"] = held["images"][:, :, :-1]


def low(held):
    held["images"] = held["images"][:, :-1]


def coloured(held):
    held["images"] = np.repeat(held["images"], 3, axis=3)


def no_channels(held):
    held["images"] = held["images"][..., 0]


def floats(held):
    held["images"] = held["images"].astype(np.float32)


def short_labels(held):
    held["labels"] = held["labels"].astype(np.int32)


def blank(*rows):
    def blank_rows(held):
        for row in rows:
            held["images"][row] = row  # one grey level, another one for each row

    return blank_rows


def without_owls(held):
    keep(held, np.flatnonzero(held["labels"] != 2))


def one_dog_left(held):
    keep(held, np.flatnonzero((held["labels"] != 1) | (np.arange(len(held["labels"])) == 1)))


def labels_outside(held):
    held["labels"][[4, 5]] = [3, -1]


def only_five(held):
    keep(held, range(5))


def scaled_away(held):
    held["images"][:] = 0
    for row, image in enumerate(held["images"]):
        image.reshape(-1)[row : row + HEIGHT * WIDTH // 2] = 1


def train_image_in_row_2(held):
    held["images"][2] = clean_set()["train"]["images"][7]


def val_image_in_row_9(held):
    held["images"][9] = clean_set()["val"]["images"][0]


def originals_elsewhere(held):
    held["originals"][5:8] = ["test-00002", "val-00000", "train-99999"]


def another_label(held):
    held["labels"][0] = 2


def twice(held):
    held["images"][3] = held["images"][1]


def nothing_left(held):
    keep(held, range(0))


# Each breaks a file of one split, after it was written.


def cut_pixels(folder):
    file = folder / "images.npy"
    file.write_bytes(file.read_bytes()[:-7])


def cut_header(folder):
    file = folder / "labels.npy"
    file.write_bytes(file.read_bytes()[:20])


def remove_manifest(folder):
    (folder / "manifest.csv").unlink()


def drop_column(folder):
    file = folder / "manifest.csv"
    file.write_text(file.read_text().replace("sha256", "md5"))


def drop_a_label(folder):
    np.save(folder / "labels.npy", np.load(folder / "labels.npy")[:-1])


def change_a_pixel(folder):
    images = np.load(folder / "images.npy")
    images[4, 0, 0, 0] ^= 255
    np.save(folder / "images.npy", images)


def change_a_label(folder):
    labels = np.load(folder / "labels.npy")
    labels[4] = (labels[4] + 1) % 3
    np.save(folder / "labels.npy", labels)


def remove_meta(folder):
    (folder.parent / "meta.json").unlink()


def break_training_meta(folder):
    (folder / "meta.json").write_text('{"classes": ["cat", 1, "owl"], "shape": [6, 5, 1]}')


def two_names(folder):
    change_meta(folder, classes=["cat", "dog"])


def rename_a_class(folder):
    (folder / "meta.json").write_text(json.dumps(META | {"classes": ["cat", "hund", "owl"], "shape": [6, 5, 3]}))


def hole_in_superclasses(folder):
    change_meta(folder, superclasses=["fur", "feathers"], superclass_of=[0, 2])


def nobody_in_scales(folder):
    change_meta(folder, superclasses=["fur", "feathers", "scales"], superclass_of=[0, 0, 1])


AFTERWARDS = {
    *(cut_pixels, cut_header, remove_manifest, drop_column, drop_a_label, change_a_pixel, change_a_label),
    *(remove_meta, break_training_meta, two_names, rename_a_class, hole_in_superclasses, nobody_in_scales),
}
