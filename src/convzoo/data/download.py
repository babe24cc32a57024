"""The raw files of a data set, with source.json, which says where they came from."""

from pathlib import Path
from typing import Any

from convzoo.data.sources import archive, folder, kaggle, package, synthetic
from convzoo.files import new_folder, sha256_of, write_json
from convzoo.settings.sources import ArchiveSource, FolderSource, KaggleSource, PackageSource, Source, SyntheticSource

# Settings that are copied to source.json if the source has them: for the readers of formats, and for the report.
RECORDED = ("layout", "limits", "handle", "version", "drawing", "seed")
# The formats of the kinds of source that have only one.
FORMATS = {"folder": "pictures", "synthetic": "arrays"}


def download(name: str, source: Source, target: Path) -> None:
    """Fetch the files of the source `name` into the folder `target`, and describe them in source.json there.

    Raises ConvzooError for a file that is not available, or is not the one that params.yaml describes.
    """
    with new_folder(target) as new:
        _fetch(source, new)
        files = sorted(file for file in new.rglob("*") if file.is_file())
        settings = source.model_dump()
        description: dict[str, Any] = {
            "name": name,
            "kind": source.kind,
            "format": settings.get("format") or FORMATS[source.kind],
            "licence": source.licence,
            "homepage": settings.get("homepage"),
            "files": {
                file.relative_to(new).as_posix(): {"sha256": sha256_of(file), "bytes": file.stat().st_size}
                for file in files
            },
        }
        write_json(new / "source.json", description | {key: settings[key] for key in RECORDED if key in settings})


def _fetch(source: Source, target: Path) -> None:
    match source:
        case ArchiveSource():
            archive.fetch(source.files, target)
        case KaggleSource():
            kaggle.fetch(source, target)
        case FolderSource():
            folder.fetch(source, target)
        case SyntheticSource():
            synthetic.fetch(source, target)
        case PackageSource():
            package.fetch(source, target)
