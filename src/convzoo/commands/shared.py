"""Arguments, options and output that several commands share."""

import itertools
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convzoo.cards.family import family_card
from convzoo.errors import ConvzooError
from convzoo.project import in_project
from convzoo.text import first_names

if TYPE_CHECKING:
    from convzoo.data.image_files import ImageReader
    from convzoo.shipping.model import Model


def complete_network(incomplete: str) -> list[str]:
    """The networks in params.yaml that start with `incomplete`, for the shell."""
    from convzoo.settings.load import read_params

    try:
        with in_project():
            return [name for name in read_params().values.get("networks", ()) if name.startswith(incomplete)]
    except ConvzooError:
        return []


NETWORK_AT_ALIAS: dict[str, Any] = {"metavar": "NETWORK[@ALIAS]", "autocompletion": complete_network}
Version = Annotated[
    str,
    typer.Argument(help="A network, or one of its versions, as in NETWORK@champion or NETWORK@v3.", **NETWORK_AT_ALIAS),
]
AnyModel = Annotated[
    str,
    typer.Argument(
        help="A network, one of its versions, as in NETWORK@champion or NETWORK@v3, or a file model.onnx.",
        **NETWORK_AT_ALIAS,
    ),
]
Network = Annotated[
    str, typer.Argument(metavar="NETWORK", help="A network in params.yaml.", autocompletion=complete_network)
]
Images = Annotated[list[Path], typer.Argument(metavar="PATH", help="Image files, or folders of image files.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="The reason to record in the ledger.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# The contact sheets in the folders that `sample` and `reconstruct` write, which are no images for another command.
SAMPLES_SHEET, FIRST_SAMPLE, RECONSTRUCTIONS_SHEET = "grid.png", "00000.png", "contact_sheet.png"


def print_result(result: Any, as_text: Callable[[Any], str], as_json: bool) -> None:
    """Print the result of a command, as text or as JSON."""
    print(json.dumps(result, indent=2) if as_json else as_text(result))


def model_file(name: str, command: str) -> Path:
    """The ONNX file that a user means: the file itself, or that of a network or version in the project.

    Prints to stderr what it is. Raises ConvzooError outside a project, and as `find_model` does, whose message proposes
    networks that `command` of TASKS can use.
    """
    if name.endswith(".onnx"):
        print(f"{name}: loaded as a file, not from the registry", file=sys.stderr)
        return Path(name)
    here = Path.cwd()
    with in_project() as folder:
        from convzoo.tracking.versions import find_model  # imports mlflow, which a file does not need

        model = find_model(name, lambda network: _family_command(network) in (command, None))
        print(model.title, file=sys.stderr)
        return model.file if folder == here else folder / model.file


def _family_command(network: str) -> str | None:
    """The command that networks of the family of `network` are for; None if params.yaml does not say it."""
    from convzoo.settings.load import block, read_params

    try:
        return family_card(block(read_params(), ("networks", network, "family"))).usage.partition(" ")[0]
    except ConvzooError:
        return None


def check_task(model: "Model", command: str) -> None:
    """Raises ConvzooError if a model is not for the command `command` of TASKS, with the one that it is for."""
    from convzoo.cards.tasks import TASKS, task_of  # imports onnxruntime, which not every command needs

    found = task_of(model)
    if found == command:
        return
    # An absolute path is that of a temporary copy.
    name = model.described.get("network", model.path.name if model.path.is_absolute() else model.path)
    expected = f"expected a network that {TASKS[command]}"
    if found:
        raise ConvzooError(f"{name}: {TASKS[found]}, {expected}; use: convzoo {found} {name}")
    family = model.described.get("family", "unknown")
    raise ConvzooError(
        f"{name}: takes {model.input} and returns {model.output} (family: {family}), {expected}; choose another network"
    )


def free_folder(name: str) -> Path:
    """A folder in the current one that does not exist: `name`, or `name` with a number."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(Path(free) for free in names if not os.path.lexists(free))


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The image files in `paths`, files or folders, without the contact sheets that convzoo wrote into folders.

    Prints to stderr what is left out.
    """
    from convzoo.data.image_files import images_in  # imports Pillow, as below

    files = list(images_in(paths))
    sheets = [file for file in files if file not in paths and _is_contact_sheet(file, files)]
    if sheets:
        names = first_names([str(sheet) for sheet in sheets])
        print(f"note: left out contact sheets: {names}; to include one, name the file itself", file=sys.stderr)
    return [file for file in files if file not in sheets]


def _is_contact_sheet(file: Path, files: Sequence[Path]) -> bool:
    """Whether a file is named as `convzoo sample` or `reconstruct` names a sheet, and its folder looks like theirs."""
    if file.name == SAMPLES_SHEET:
        return file.with_name(FIRST_SAMPLE) in files
    return file.name == RECONSTRUCTIONS_SHEET and any(other.parent == file.parent for other in files if other != file)


def image_reader(model: "Model") -> "ImageReader":
    """Reads image files as those were prepared that the model was trained on."""
    from convzoo.data.image_files import ImageReader  # imports Pillow, which not every command needs

    return ImageReader(*model.input.shape[1:], model.described.get("resize"))


def print_notes(reader: "ImageReader") -> None:
    """Print to stderr what the user should know about the images that were read."""
    for note in reader.notes():
        print(note, file=sys.stderr)
