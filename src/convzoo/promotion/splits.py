"""Digests of the val and test images, to compare those of a version with those on disk."""

from pathlib import Path
from typing import Any

from convzoo.data.arrays import digest, load_split
from convzoo.errors import ConvzooError
from convzoo.files import read_json

COMPARED = ("val", "test")
UNKNOWN = "unknown"


def current_splits(dataset: str) -> dict[str, str]:
    """The sha256 of val and test in data/prepared/DATASET, as recorded in meta.json.

    Raises ConvzooError if meta.json has no digests, and if the arrays differ from them.
    """
    folder = Path("data/prepared", dataset)
    meta = folder / "meta.json"
    recorded = read_json(meta).get("splits", {}) if meta.is_file() else {}
    for split in COMPARED:
        if split not in recorded:
            raise ConvzooError(
                f"{meta}: has no digest of {split}, expected those that `prepare` writes; run: convzoo repro validate"
            )
        if digest(load_split(folder / split)) != recorded[split]:
            raise ConvzooError(
                f"{folder / split}: holds other images or labels than meta.json describes, expected the same; run: "
                "dvc checkout, or convzoo repro validate"
            )
    return {split: recorded[split] for split in COMPARED}


def same_images(digests: list[str]) -> bool:
    """Whether all digests belong to the same images; MLflow stores only the beginning of a digest."""
    length = min(map(len, digests))
    return UNKNOWN not in digests and len({digest[:length] for digest in digests}) == 1


def verdict_on(dataset: str) -> dict[str, Any]:
    """The verdict of the data checks. Raises ConvzooError if there is none."""
    file = Path("data/validated", f"{dataset}.json")
    if not file.is_file():
        raise ConvzooError(f"{file}: is missing, expected the verdict of the data checks; run: convzoo repro validate")
    return read_json(file)
