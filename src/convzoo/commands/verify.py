"""Check who signed the files of a version.

Verifies the signature of model.onnx, export.json and parts/ with a public key. Instead of a version, you can name a
folder with these files and model.sig, such as one that --out wrote.
"""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convzoo.commands.shared import NETWORK_AT_ALIAS
from convzoo.errors import ConvzooError
from convzoo.files import new_folder
from convzoo.project import in_project
from convzoo.signing import FILE, verify
from convzoo.text import first_names

if TYPE_CHECKING:
    from convzoo.serving.sources import Release

EXAMPLES = (
    "convzoo verify mnist-classifier --key key.pub",
    "convzoo verify mnist-classifier@v3 --key key.pub --out exported/",
    "convzoo verify exported/mnist-classifier --key key.pub",
)


def command(
    name: Annotated[
        str,
        typer.Argument(help="A network, one of its versions, as in NETWORK@v3, or a folder.", **NETWORK_AT_ALIAS),
    ],
    key: Annotated[Path, typer.Option(metavar="FILE", help="The public key, a PEM file.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Copy what was verified to DIR/NETWORK, for convzoo serve --models DIR."),
    ] = None,
) -> None:
    """Print what was verified."""
    from convzoo.serving.sources import Folder, Registry, wanted  # the help should not wait for it

    def check(release: "Release") -> None:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            if release.fetch(folder) is None:
                raise ConvzooError(f"{name}: has no file, expected one; run: convzoo sync {release.network}")
            verify(folder, release.signature, key, f"{name}: {release.title}")
            print(f"{name}: {release.title} is what the owner of {key} signed")
            if out:
                _copy(folder, release, out / release.network)

    key = key.absolute()
    out = out.absolute() if out else None
    if Path(name).is_dir():
        releases = Folder(Path(name).absolute().parent).snapshot().releases.get(Path(name).absolute().name, {})
        return check(_existing(name, wanted(releases, None)))
    with in_project():
        network, _, alias = name.partition("@")
        release = wanted(Registry().snapshot().releases.get(network, {}), alias or None)
        check(_existing(name, release))


def _copy(folder: Path, release: "Release", target: Path) -> None:
    """Copy verified files and their signature to `target`, in place of an earlier copy.

    Raises ConvzooError if the folder holds anything else, such as the weights in models/NETWORK.
    """
    from convzoo.serving.sources import EXPORT, MODEL, PARTS

    existing = {file.name for file in target.iterdir()} if target.is_dir() else set()
    others = sorted(existing - {MODEL, EXPORT, PARTS, FILE})
    if others:
        raise ConvzooError(
            f"--out: {target} contains {first_names(others)}, expected no such folder, or an earlier copy of these "
            "files; choose another folder"
        )
    with new_folder(target) as temporary:
        shutil.copytree(folder, temporary, dirs_exist_ok=True)
        (temporary / FILE).write_text(release.signature or "", encoding="utf-8")
    print(f"copied to {target}")


def _existing(name: str, release: "Release | None") -> "Release":
    if release is None:
        raise ConvzooError(
            f"{name}: is neither a registered version nor a folder of exported files, expected one; see: convzoo models"
        )
    return release
