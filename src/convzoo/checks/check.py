"""The stage `check`: validates params.yaml, and digests the code and the user's own files that stages depend on."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convzoo.checks.code import CODE, FAMILY_STAGES, code_file, stage_inputs
from convzoo.checks.folders import FileDigests
from convzoo.checks.modules import ModuleCache
from convzoo.checks.versions import version_warnings
from convzoo.errors import ConvzooError
from convzoo.files import project_root, write_json
from convzoo.settings.load import Params, read_params
from convzoo.settings.sources import FolderSource, source_settings
from convzoo.settings.weights import FileWeights, weights_settings
from convzoo.settings.whole import check_all
from convzoo.tracking.candidates import request_registrations

OWN_FILES = re.compile(r"^(source|file)-")  # how the names of files begin that `_own_files` yields
STAGES = ("download", "weights", "prepare", "augment", "validate", "report")  # the same for all families


def check() -> None:
    """Validate all of params.yaml, then bring data/code up to date: a file per stage and family, per source of images
    and per file of weights. Prints what changed since the last check, and for which stages. Makes the stage `register`
    run for an experiment that was applied (see `request_registrations`).

    A file is written only if its content changes, and one that is no longer due is removed. Raises SettingsError, and
    ConvzooError for code that is not valid Python and a locale without UTF-8; data/code is then as it was.
    """
    check_locale()
    params = read_params()
    check_all(params)
    due = due_files(params)
    before = {file: _stored(file) for file in CODE.glob("*.json")}
    for file, content in due.items():
        if before.get(file) != content:
            write_json(file, content)
    for file in before.keys() - due.keys():
        file.unlink()
    requested = request_registrations(params.values["networks"])
    for line in [*_changes(before, due), *requested, *version_warnings()]:
        print(line)


def due_files(params: Params) -> dict[Path, Any]:
    """The files of data/code, and what belongs in each. Raises ConvzooError for code that is not valid Python."""
    with ModuleCache() as cache:
        due = {code_file(*key): stage_inputs(*key, params, cache) for key in _stages(params)}
        cache.forget_others()
    digests = FileDigests()
    due |= dict(_own_files(params, digests))
    digests.save()
    return due


def check_locale() -> None:
    """Raise ConvzooError if Python expects anything but UTF-8 in names of files: some could not be read or shown."""
    encoding = sys.getfilesystemencoding()
    if encoding.replace("-", "").lower() != "utf8":
        raise ConvzooError(
            f"the locale has the encoding {encoding}, expected UTF-8; run: export LC_ALL=C.UTF-8 PYTHONUTF8=1"
        )


def _stages(params: Params) -> Iterator[tuple[str, str | None]]:
    yield from ((stage, None) for stage in STAGES)
    families = {network["family"] for network in params.values["networks"].values()}
    yield from ((stage, family) for family in sorted(families) for stage in FAMILY_STAGES)


def _own_files(params: Params, digests: FileDigests) -> Iterator[tuple[Path, Any]]:
    """What stands behind every data set and every block of weights; nothing if those are no files of the user's.

    Of files that are not there the last digest stays, so that results that are cached can be used without them.
    """
    for name, dataset in params.values["data"].items():
        source, file = source_settings(params, dataset["source"]), CODE / f"source-{name}.json"
        found = {}
        if isinstance(source, FolderSource):
            found = digests.folder(_place(source.path)) or _stored(file) or {}
        yield file, found
    for name in params.values["weights"]:
        weights, file = weights_settings(params, name), CODE / f"file-{name}.json"
        found = {}
        if isinstance(weights, FileWeights):
            found = digests.single(_place(weights.path)) or _stored(file) or {}
        yield file, found


def _place(path: str) -> Path:
    return project_root() / os.path.expanduser(path)  # noqa: PTH111 (Path raises for a home that is not known)


def _stored(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or not what a check wrote
        return None


def _changes(before: dict[Path, Any], due: dict[Path, Any]) -> list[str]:
    """A line for each module, package, folder or data set that changed, with the stages that run again for it."""
    stages: dict[str, list[str]] = {}
    for file, content in due.items():
        stored = before.get(file)
        if stored is None or stored == content:
            continue
        if "modules" in content:
            messages = list(_differences(stored, content))
        else:
            messages = [f"your files changed ({stored.get('files', 0)} before, {content.get('files', 0)} now)"]
        for message in dict.fromkeys(messages):
            stages.setdefault(message, []).append(OWN_FILES.sub(_stage_of, file.stem))
    return [
        f"{', '.join(names)} {'run' if len(names) > 1 else 'runs'} again: {message}"
        for message, names in sorted(stages.items())
    ]


def _stage_of(match: re.Match[str]) -> str:
    """The stage that reads files of the user's own, of which data/code has a digest."""
    return f"{'download' if match[1] == 'source' else 'weights'}@"


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for path in sorted(before["modules"].keys() | now["modules"].keys()):
        old, new = before["modules"].get(path), now["modules"].get(path)
        if old != new:
            yield f"{path} {'is new' if old is None else 'is no longer used' if new is None else 'changed'}"
    for package in sorted(before["versions"].keys() | now["versions"].keys()):
        old, new = before["versions"].get(package), now["versions"].get(package)
        if old != new:
            yield f"{package} {old or 'not used'} -> {new or 'not used'}"
    settings, earlier = now.get("settings", {}), before.get("settings", {})
    for path in (path for path in settings if settings[path] != earlier.get(path)):
        block = path.rpartition(".")[0]
        is_new = not any(other.startswith(f"{block}.") for other in earlier)
        yield f"{block} is new" if is_new else f"{path} changed"
