"""The raw files of a data set, with a note of where they came from."""

from pathlib import Path

from convzoo.data.sources import archive, package
from convzoo.files import new_folder, sha256_of, write_json
from convzoo.settings.sources import ArchiveSource, Source


def download(name: str, source: Source, folder: Path) -> None:
    """Bring the files of the source `name` into `folder`, with source.json, which says what they are.

    Raises ConvzooError for a file that cannot be had, or is not the one that params.yaml describes.
    """
    with new_folder(folder) as new:
        if isinstance(source, ArchiveSource):
            archive.bring(source.files, new)
        else:
            package.bring(source, new)
        found = sorted(file for file in new.rglob("*") if file.is_file())
        write_json(
            new / "source.json",
            {
                "name": name,
                "kind": source.kind,
                "format": source.format,
                "licence": source.licence,
                "homepage": source.homepage,
                "files": {
                    file.relative_to(new).as_posix(): {"sha256": sha256_of(file), "bytes": file.stat().st_size}
                    for file in found
                },
            },
        )
