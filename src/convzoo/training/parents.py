"""A checkpoint of another training that a training starts from: CONVZOO_CONTINUE_FROM names its fingerprint.

The other one differs in `compute`, such as the number of processes, so that its checkpoint is not found by itself.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from convzoo.errors import ConvzooError
from convzoo.files import project_root, read_json, sha256_of
from convzoo.settings.compute import CONTINUE_FROM
from convzoo.training.checkpoints import FOLDER, IDENTITY, Checkpoints

SHORTEST = 8  # digits of a fingerprint that are enough
BATCH_SIZE = "batch_size"  # the setting that may differ, since the number of processes must divide it


class Parent(NamedTuple):
    """Another training with a checkpoint."""

    network: str
    described: dict[str, Any]  # fingerprint, epoch and the sha256 of the checkpoint: what fingerprint.json records

    def load(self) -> dict[str, Any]:
        """The state in the checkpoint."""
        return _loaded(Checkpoints(self.network, self.described["fingerprint"]))


def parent_of(network: str, identity: Mapping[str, Any]) -> Parent | None:
    """The training that CONVZOO_CONTINUE_FROM names, if it is one of `network` and not the one of `identity` itself.

    Raises ConvzooError if there is no such checkpoint, if its training still runs, or if it differs from this one in
    more than `compute`, batch sizes, code and versions.
    """
    wanted = os.environ.get(CONTINUE_FROM, "")
    if not wanted:
        return None
    [folder] = matching(wanted)
    if folder.name.rpartition("-")[0] != network:
        return None
    theirs = read_json(folder / IDENTITY)
    if theirs["fingerprint"] == identity["fingerprint"]:
        return None
    checkpoints = Checkpoints(network, theirs["fingerprint"])
    try:
        with FileLock(folder / "lock", timeout=0):
            state, sha256 = _loaded(checkpoints), sha256_of(checkpoints.file)
    except Timeout:
        raise ConvzooError(
            f"{folder}: its training still runs, expected one that was stopped; stop it, or wait for it"
        ) from None
    for part in ("params", "data"):
        for key, (before, now) in _differences(theirs[part], identity[part]):
            is_batch_size = key.rpartition(".")[2] == BATCH_SIZE
            if not is_batch_size or state.get("step"):  # within an epoch, steps are those of its batches
                raise ConvzooError(
                    f"{part}.{key}: is {now}, but {before} in the training of {folder.name}, expected the same to "
                    "continue from it; set it back, or train from the start"
                )
    for part in ("compute", "code", "versions"):
        for key, (before, now) in _differences(theirs[part], identity[part]):
            print(f"{network}: continues with another {part}.{key}: {now} instead of {before}", flush=True)
    return Parent(network, {"fingerprint": theirs["fingerprint"], "epoch": state["epoch"], "checkpoint_sha256": sha256})


def matching(wanted: str) -> list[Path]:
    """The one folder with a checkpoint whose fingerprint starts with `wanted`; its name has 16 digits of that.

    Raises ConvzooError if there is none, and if there are several.
    """
    folders = [file.parent for file in sorted(project_root().glob(f"{FOLDER}/*/{IDENTITY}"))]
    folders = [folder for folder in folders if (folder / "last.safetensors").is_file()]
    found = [folder for folder in folders if folder.name.rpartition("-")[2] == wanted[:16]]
    if not found and len(wanted) >= SHORTEST:
        found = [folder for folder in folders if folder.name.rpartition("-")[2].startswith(wanted)]
    if len(found) != 1:
        known = ", ".join(folder.name for folder in folders) or "none here"
        raise ConvzooError(
            f"{wanted}: is the fingerprint of {len(found)} checkpoints, expected at least {SHORTEST} digits of one in "
            f"{FOLDER}/ ({known}); name one of them, or train from the start"
        )
    return found


def _loaded(checkpoints: Checkpoints) -> dict[str, Any]:
    state = checkpoints.load()
    if state is None:
        raise ConvzooError(f"{checkpoints.file}: is broken, expected a checkpoint; train from the start")
    return state


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """The keys, nested ones with dots, and the values that differ."""
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from ((f"{key}.{inner}", values) for inner, values in _differences(old, new))
        elif old != new:
            yield key, (old, new)
