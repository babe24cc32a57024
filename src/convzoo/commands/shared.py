"""Arguments, options and output that several commands share."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convzoo.errors import ConvzooError

if TYPE_CHECKING:
    from convzoo.data.image_files import ImageReader
    from convzoo.shipping.model import Model

Version = Annotated[
    str, typer.Argument(metavar="NETWORK[@ALIAS]", help="A network, or one of its versions by alias or number (@v3).")
]
Network = Annotated[str, typer.Argument(help="A network in params.yaml.")]
Images = Annotated[list[Path], typer.Argument(metavar="PATH", help="Image files, or folders of image files.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="The reason to record in the ledger.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def print_result(result: Any, as_text: Callable[[Any], str], as_json: bool) -> None:
    """Print the result of a command, as text or as JSON."""
    print(json.dumps(result, indent=2) if as_json else as_text(result))


def model_file(name: str) -> Path:
    """The file of the model that NETWORK[@ALIAS] stands for; prints to stderr which one it is.

    Raises ConvzooError as `find_model` does.
    """
    from convzoo.tracking.versions import find_model  # imports mlflow, which not every command needs

    model = find_model(name)
    print(model.title, file=sys.stderr)
    return model.file


def image_reader(model: "Model") -> "ImageReader":
    """Reads image files as those were prepared that the model was trained on."""
    from convzoo.data.image_files import ImageReader  # imports Pillow, which not every command needs

    return ImageReader(*model.input.shape[1:], model.described.get("resize"))


def print_notes(reader: "ImageReader") -> None:
    """Print to stderr what the user should know about the images that were read."""
    for note in reader.notes():
        print(note, file=sys.stderr)


def wrong_model(model: "Model", expected: str) -> ConvzooError:
    """The error for a model that is not what a command needs; `expected` says what, as in "a classifier"."""
    # An absolute path is that of a temporary copy.
    file = model.path.name if model.path.is_absolute() else model.path
    return ConvzooError(
        f"{model.described.get('network', file)}: expected {expected}, got {model.input} to {model.output} "
        f"(family: {model.described.get('family', 'unknown')}); choose another network"
    )
