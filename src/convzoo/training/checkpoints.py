"""Checkpoints: what a stopped training continues from, tensors as safetensors and the rest as JSON in the same file."""

import json
import shutil
import sys
from types import TracebackType
from typing import Any, Self

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from convzoo.errors import ConvzooError, DiskFullError
from convzoo.files import new_file, project_root, write_json
from convzoo.training.transfers import to_host

FOLDER = ".checkpoints"  # in the project's root folder
IDENTITY = "fingerprint.json"


class Checkpoints:
    """The last checkpoint of one training, in a folder named by its fingerprint that one process at a time may use."""

    def __init__(self, network: str, fingerprint: str, leader: bool = True) -> None:
        """If a training has several processes, only the `leader` locks, writes and reads."""
        self.leader = leader
        self.network = network
        self.folder = project_root() / FOLDER / f"{network}-{fingerprint[:16]}"
        self.file = self.folder / "last.safetensors"
        self.lock = FileLock(self.folder / "lock")
        self.epoch = self.step = 0  # that are finished in the checkpoint: epochs, and steps of the next one

    def __enter__(self) -> Self:
        if not self.leader:
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            raise ConvzooError(
                f"{self.network}: another process is training it ({self.folder} is locked), expected one at a time; "
                "wait for it or stop it"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.leader and isinstance(error, KeyboardInterrupt | DiskFullError):
            message = "no epoch was finished; `convzoo repro` starts from the beginning"
            if self.step:
                message = f"step {self.step} of epoch {self.epoch + 1} is kept; `convzoo repro` continues from there"
            elif self.epoch:
                message = f"epoch {self.epoch} is kept; `convzoo repro` continues from there"
            print(f"{self.network}: stopped; {message}", file=sys.stderr, flush=True)
        self.lock.release()

    def save(self, state: dict[str, Any]) -> None:
        """Write `state`: its `epoch`, perhaps `step`, and nested dicts and lists of tensors, numbers and text."""
        if not self.leader:
            return
        tensors: dict[str, torch.Tensor] = {}
        packed = _packed(to_host(state), tensors)
        with new_file(self.file) as temporary:
            save_file(tensors, temporary, metadata={"state": json.dumps(packed, sort_keys=True)})
        self.epoch, self.step = state["epoch"], state.get("step", 0)

    def describe(self, identity: dict[str, Any]) -> None:
        """Write what identifies the training next to its checkpoint, for a training that continues from it."""
        write_json(self.folder / IDENTITY, identity)

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last, or None. A broken file counts as none; a message says so."""
        if not self.file.exists():
            return None
        try:
            with safe_open(self.file, framework="pt") as stored:
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a mapping)
                state = _unpacked(json.loads(stored.metadata()["state"]), tensors)
                self.epoch, self.step = state["epoch"], state.get("step", 0)
                return state
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            print(
                f"{self.network}: the checkpoint {self.file} is broken ({error}), expected a whole one; the training "
                "starts from the beginning"
            )
            return None

    def remove(self) -> None:
        """Remove the checkpoint, once the results have their final names."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.release()


def _packed(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """`value` with each tensor moved to `tensors` and its name in its place; dicts as lists of pairs, to keep keys."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"pairs": [[key, _packed(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_packed(item, tensors) for item in value]
    return value


def _unpacked(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _unpacked(item, tensors) for key, item in value["pairs"]}
    if isinstance(value, list):
        return [_unpacked(item, tensors) for item in value]
    return value
