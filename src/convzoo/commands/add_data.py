"""Add your own images and a classifier to params.yaml.

The folder has one folder of images per class. All images are read first; params.yaml is written only if they can be
used. The values come from profiles/templates/own-images.yaml; edit them in params.yaml afterwards as you like.
"""

import re
import unicodedata
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from convzoo.commands.profile import PROFILES, merged
from convzoo.data.survey import Survey, survey
from convzoo.errors import SettingsError
from convzoo.files import new_file
from convzoo.settings.blocks import with_blocks
from convzoo.settings.data import prepare_settings
from convzoo.settings.load import PARAMS, Params, read_params
from convzoo.settings.sources import source_settings
from convzoo.settings.types import NAME
from convzoo.settings.whole import check_all

EXAMPLES = ("convzoo add-data ../photos", "convzoo add-data ../photos --name pets")

TEMPLATE = PROFILES / "templates/own-images.yaml"
MIN_SHARE = 0.9  # of the images that are there
MAX_CLASS_SHARE = 0.5  # of an even distribution


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Has a folder of images for each class.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name of the data set. Default: that of the folder.")
    ] = None,
    drop_unreadable: Annotated[
        bool, typer.Option("--drop-unreadable", help="Leave out images that cannot be read.")
    ] = False,
) -> None:
    """Print what was found, what was added, and what to run next."""
    name = _valid_name(folder, name)
    found, added = add_data(folder, name, "drop" if drop_unreadable else "stop")
    images = sum(found.classes.values())
    print(f"{folder}: {images:,} images in {len(found.classes)} classes: {_counted(found.classes)}")
    print(f"splits: {_counted(found.splits)}")
    for note in found.notes:
        print(note)
    print(f"added to {PARAMS}: {', '.join(added)}")
    print(f"next: convzoo repro register@{name}-classifier")


def add_data(folder: Path, name: str, unreadable: str) -> tuple[Survey, list[str]]:
    """Add the blocks of a data set and a classifier to params.yaml; returns what is in the folder and the blocks.

    Raises SettingsError for a name that is in use and for blocks that are not valid, and SurveyError and PackingError
    for images that cannot be used; params.yaml then stays as it was.
    """
    before = read_params()
    check_all(before)
    blocks = TEMPLATE.read_text(encoding="utf-8").replace("NAME", name)
    values = YAML(typ="safe").load(blocks)
    added = [f"{section}.{key}" for section, keys in values.items() for key in keys]
    for section, keys in values.items():
        for key in keys:
            if key in before.values[section]:
                raise SettingsError(f"{section}.{key}: is in {PARAMS} already; choose another name with --name")

    given = {"sources": {f"{name}-folder": {"path": folder.as_posix()}}}
    given |= {"data": {name: {"prepare": {"unreadable": unreadable}}}}
    blocks, _ = merged(blocks, _as_yaml(given), str(TEMPLATE))
    template = Params(TEMPLATE, YAML(typ="safe").load(blocks), {})
    found = survey(source_settings(template, f"{name}-folder"), prepare_settings(template, name))
    blocks, _ = merged(blocks, _as_yaml(_limits(name, found, template)), str(TEMPLATE))

    with PARAMS.open(encoding="utf-8", newline="") as stream:
        text = with_blocks(stream.read(), blocks)
    with new_file(PARAMS) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
        check_all(read_params(temporary)._replace(file=PARAMS))
    return found, added


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{key} {count:,}" for key, count in counts.items())


def _valid_name(folder: Path, name: str | None) -> str:
    """The name given, or one made from the folder's. Raises SettingsError if it cannot be a name in params.yaml."""
    made = name if name is not None else _as_name(folder.resolve().name)
    if NAME.fullmatch(made):
        return made
    expected = "expected small letters, digits and hyphens"
    if name is None:
        raise SettingsError(f"{folder}: its name cannot be that of a data set, {expected}; give one with --name")
    suggestion = _as_name(name)
    raise SettingsError(f"--name: got '{name}', {expected}; {f'try {suggestion}' if suggestion else 'choose another'}")


def _as_name(text: str) -> str:
    """The text with its letters and digits as those of a name and hyphens between them; empty if it has none."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _limits(name: str, found: Survey, template: Params) -> dict[str, Any]:
    """The limits in params.yaml: wide enough for a folder that grows, and narrow enough to notice a loss of images."""
    source = template.values["sources"][f"{name}-folder"]["limits"]
    counted = {"files": found.files, "bytes": found.bytes}
    checks = {
        "min_images": {split: max(1, int(count * MIN_SHARE)) for split, count in found.splits.items()},
        "min_class_share": min(MAX_CLASS_SHARE, round(found.rarest / 2, 2)),
    }
    return {
        "sources": {f"{name}-folder": {"limits": {key: max(source[key], 2 * counted[key]) for key in counted}}},
        "data": {name: {"validate": checks}},
    }


def _as_yaml(values: dict[str, Any]) -> str:
    yaml, text = YAML(typ="safe", pure=True), StringIO()
    yaml.default_flow_style, yaml.width = False, 10_000  # a long path stays on its line
    yaml.dump(values, text)
    return text.getvalue()
