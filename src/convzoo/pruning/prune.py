"""Removes what is old and no longer needed: in MLflow, in git, and in folders next to the pipeline's outputs."""

import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from convzoo.errors import ConvzooError
from convzoo.files import project_root
from convzoo.lineage.needed import Needed, needed, remove_snapshot, snapshots
from convzoo.promotion.ledger import read_ledger
from convzoo.tracking import store
from convzoo.tracking.live import tracking_is_off

VERSIONS, RUNS, SNAPSHOTS, CHECKPOINTS, CACHE = KINDS = ("versions", "runs", "snapshots", "checkpoints", "cache")
BY_AGE = KINDS[:-1]  # files in DVC's cache are removed at any age
CACHES = (".features/*", ".decoded/*")  # caches of stages: features of backbones, decoded pictures
DAY = 86_400  # seconds
# Keeps what the workspace, all commits and all of DVC's experiments need.
DVC_GC = ("gc", "--workspace", "--all-commits", "--all-experiments", "--force")


class Item(NamedTuple):
    """Something to remove."""

    kind: str
    name: str
    days: int  # its age
    remove: Callable[[], object]


def find_items(kinds: Sequence[str], days: int, now: float | None = None) -> list[Item]:
    """Items of these kinds that are older than `days` and not needed, in the order in which to remove them.

    Raises ConvzooError if tracking is off, because MLflow knows what is needed, and TrackingError if MLflow fails.
    """
    now = now or time.time()
    before = now - days * DAY
    items: list[Item] = []
    if {VERSIONS, RUNS, SNAPSHOTS} & {*kinds}:
        items += _tracked(kinds, needed(read_ledger()), before, now)
    if CHECKPOINTS in kinds:
        items += _checkpoints(before, now)
    return items


def collect_cache(dry_run: bool) -> None:
    """Remove the files in DVC's cache that no workspace, commit or experiment needs; DVC prints what it removes."""
    command = [sys.executable, "-m", "dvc", *DVC_GC, *(["--dry"] if dry_run else [])]
    if code := subprocess.run(command).returncode:
        raise ConvzooError(f"dvc gc ended with code {code}, expected 0; fix what it says above and run it again")


def _tracked(kinds: Sequence[str], stays: Needed, before: float, now: float) -> Iterator[Item]:
    """Versions, runs and snapshots."""
    if tracking_is_off():
        raise ConvzooError(
            "CONVZOO_TRACKING is off, expected MLflow, which knows what is needed; unset it, or run: convzoo prune "
            "checkpoints"
        )
    from convzoo.tracking import pruning  # imports MLflow, which takes seconds

    with store.failures_raised_as(f"{store.tracking_uri()}: cannot be searched"):
        client = store.use_store()
        old = pruning.find_old(client, stays, int(before * 1000))
    if VERSIONS in kinds:
        for version in old.versions:
            name, age = f"{version.name} version {version.version}", _days(version.creation_timestamp / 1000, now)
            yield Item(VERSIONS, name, age, lambda version=version: pruning.remove_version(client, version))
    still_used = set() if VERSIONS in kinds else {version.run_id for version in old.versions}
    removed = set()
    if RUNS in kinds:
        for run in old.runs:
            if run.info.run_id not in still_used:
                removed.add(run.info.run_id)
                age = _days((run.info.end_time or run.info.start_time) / 1000, now)
                name = f"{run.info.run_name} ({run.info.run_id})"
                yield Item(RUNS, name, age, lambda run=run: client.delete_run(run.info.run_id))
    if SNAPSHOTS in kinds:
        trainings = old.fingerprints | {
            run.data.tags.get(pruning.FINGERPRINT) for run in old.runs if run.info.run_id not in removed
        }
        running = {folder.name.rpartition("-")[2] for folder in _checkpoint_folders()}
        for fingerprint, commit, made in snapshots():
            if made < before and fingerprint not in trainings and fingerprint[:16] not in running:
                name = f"refs/convzoo/{fingerprint}"
                remove = lambda pair=(fingerprint, commit): remove_snapshot(*pair)  # noqa: E731 (as above)
                yield Item(SNAPSHOTS, name, _days(made, now), remove)


def _checkpoints(before: float, now: float) -> Iterator[Item]:
    """Checkpoints of stopped trainings, folders of stopped trials, and caches of stages."""
    root = project_root()
    others = (place for pattern in (".sweeps/*/*/", *CACHES) for place in sorted(root.glob(pattern)))
    for place in [*_checkpoint_folders(), *others]:
        files = _files(place)
        last = _last_change(files or [place])
        if last < before and not any(_is_locked(file) for file in files if file.name == "lock"):
            name = place.relative_to(root).as_posix()
            yield Item(CHECKPOINTS, name, _days(last, now), lambda place=place: _remove(place))


def _files(place: Path) -> list[Path]:
    """The file itself, or all files in the folder; does not follow links."""
    if place.is_file():
        return [place]
    found = [Path(folder, name) for folder, _, names in os.walk(place) for name in names]
    return [file for file in found if not file.is_symlink()]


def _last_change(files: Sequence[Path]) -> float:
    """When one of these files changed last, in seconds; infinity if one is being removed by another program."""
    try:
        return max(file.stat().st_mtime for file in files)
    except FileNotFoundError:
        return math.inf


def _remove(place: Path) -> None:
    place.unlink() if place.is_file() else shutil.rmtree(place)


def _checkpoint_folders() -> list[Path]:
    return sorted(project_root().glob(".checkpoints/*/"))


def _is_locked(file: Path) -> bool:
    """Whether a training is using the checkpoint folder with this lock file."""
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True


def _days(then: float, now: float) -> int:
    return int((now - then) / DAY)
