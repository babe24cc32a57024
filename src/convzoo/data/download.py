"""The raw files of a data set, with a note of where they came from."""

from pathlib import Path
from typing import Any

from convzoo.data.sources import archive, folder, kaggle, package, synthetic
from convzoo.files import new_folder, sha256_of, write_json
from convzoo.settings.sources import ArchiveSource, FolderSource, KaggleSource, PackageSource, Source, SyntheticSource

# What a reader of the files, or of the report, is told of a source that has it.
TOLD = ("layout", "limits", "handle", "version", "drawing", "seed")
# The formats of the kinds that have but one.
FORMATS = {"folder": "pictures", "synthetic": "arrays"}


def download(name: str, source: Source, target: Path) -> None:
    """Bring the files of the source `name` into the folder `target`, with source.json, which says what they are.

    Raises ConvzooError for a file that cannot be had, or is not the one that params.yaml describes.
    """
    with new_folder(target) as new:
        _bring(source, new)
        found = sorted(file for file in new.rglob("*") if file.is_file())
        told = source.model_dump()
        note: dict[str, Any] = {
            "name": name,
            "kind": source.kind,
            "format": told.get("format") or FORMATS[source.kind],
            "licence": source.licence,
            "homepage": told.get("homepage"),
            "files": {
                file.relative_to(new).as_posix(): {"sha256": sha256_of(file), "bytes": file.stat().st_size}
                for file in found
            },
        }
        write_json(new / "source.json", note | {key: told[key] for key in TOLD if key in told})


def _bring(source: Source, target: Path) -> None:
    match source:
        case ArchiveSource():
            archive.bring(source.files, target)
        case KaggleSource():
            kaggle.bring(source, target)
        case FolderSource():
            folder.bring(source, target)
        case SyntheticSource():
            synthetic.bring(source, target)
        case PackageSource():
            package.bring(source, target)
