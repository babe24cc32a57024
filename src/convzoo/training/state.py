"""Where a training stands, and what happens in and at the end of an epoch: the same for every family."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from convzoo.errors import ConvzooError
from convzoo.tracking.live import LiveRun
from convzoo.training.averaging import MovingAverage
from convzoo.training.checkpoints import Checkpoints
from convzoo.training.history import Row
from convzoo.training.optimizers import restore_layouts
from convzoo.training.parents import Parent
from convzoo.training.progress import Progress

Part = nn.Module | MovingAverage | Optimizer
Tally = Tensor | list[Tensor]  # what a loop adds up over the steps of an epoch, or collects

STEP_SECONDS = 600  # between two checkpoints in an epoch: what a kill costs at most; shorter epochs have none


@dataclass
class TrainState:
    """What a checkpoint holds. Without `checkpoints` and `run`, nothing is saved and nothing is logged.

    A loop assigns `parts` and calls `restore` once; in each epoch it calls `begin_epoch`, `begin_step` before each step
    from `step` on, and `check_finite` and `end_epoch` after the last one.
    """

    network: str
    checkpoints: Checkpoints | None = None
    run: LiveRun | None = None
    epoch: int = 0  # epochs that are finished
    history: list[Row] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)  # weights of the best epoch so far: the result
    notes: dict[str, Any] = field(default_factory=dict)  # whatever else a family carries from epoch to epoch
    parts: list[Part | None] = field(default_factory=list)  # what is trained, and with what
    saved_parts: list[dict[str, Any]] = field(default_factory=list)  # their state in the checkpoint
    step: int = 0  # steps of the current epoch that were done before the training was resumed
    tallies: list[Tally] = field(default_factory=list)  # of the current epoch
    generators: dict[str, Tensor] = field(default_factory=dict)  # states of torch's own, by its module
    keeps_steps: bool = True  # a checkpoint in an epoch is of one process alone: others have other tallies
    saved_at: float = field(default_factory=time.monotonic)

    def resume(self, parent: Parent | None = None) -> None:
        """Continue from the last checkpoint, if there is one, or else from that of the `parent`."""
        saved, origin = self.checkpoints.load() if self.checkpoints else None, ""
        if not saved and parent:
            saved, origin = parent.load(), f" from the checkpoint of {parent.described['fingerprint'][:16]}"
        if saved:
            for name, value in saved.items():
                setattr(self, name, value)
            where = place(self.epoch + 1, self.step)
            print(f"resuming {self.network} at {where}{origin}", flush=True)

    def share(self, fabric: Fabric) -> None:
        """Give all processes of the training what that with rank 0 continues from."""
        names = ("epoch", "history", "best", "notes", "saved_parts", "step", "tallies", "generators")
        for name, value in fabric.broadcast({name: getattr(self, name) for name in names}).items():
            setattr(self, name, value)
        if not fabric.is_global_zero:  # of a sum over the processes, rank 0 holds all that came before
            self.tallies = [torch.zeros_like(one) if isinstance(one, Tensor) else one for one in self.tallies]

    def restore(self) -> None:
        """Give the parts their state from the checkpoint, if the training was resumed."""
        if self.saved_parts:
            for part, saved in zip(self._present(), self.saved_parts, strict=True):
                part.load_state_dict(saved)
                if isinstance(part, Optimizer):
                    restore_layouts(getattr(part, "optimizer", part))  # the one inside Fabric's
            self.saved_parts = []

    def begin_epoch(self, *tallies: Tally) -> list[Tally]:
        """Return the empty `tallies` of an epoch, or those of its first `step` steps if it was resumed in the middle.

        To be called after the generators are seeded. The loop adds to the tallies in place.
        """
        if self.step:
            tallies = tuple(_moved(tally, self._device()) for tally in self.tallies)
            for name, state in self.generators.items():
                getattr(torch, name).set_rng_state(state)
        self.tallies = list(tallies)
        return self.tallies

    def begin_step(self, done: int) -> None:
        """Save a checkpoint of the first `done` steps of the epoch, if the last one is older than STEP_SECONDS."""
        if not (self.checkpoints and self.keeps_steps and done > self.step):
            return
        if time.monotonic() - self.saved_at >= STEP_SECONDS:
            device = self._device().type
            modules = ["random"] if device == "cpu" else ["random", device]
            generators = {name: getattr(torch, name).get_rng_state() for name in modules}
            self._save(step=done, tallies=self.tallies, generators=generators)

    def check_finite(self, losses: Mapping[str, Tensor]) -> None:
        """Raise ConvzooError, with the step and the last checkpoint, if a loss of the current epoch is not finite.

        `losses` has, by the setting to lower, a loss (S,) for each step, or for each n-th one.
        """
        steps = max(map(len, losses.values()))
        broken = []
        for setting, values in losses.items():
            rows = (~values.isfinite()).nonzero()
            if len(rows):
                broken.append(((rows[0].item() + 1) * (steps // len(values)), setting))
        if broken:
            step, setting = min(broken)
            kept = "no epoch is kept"
            if self.epoch and self.checkpoints:
                kept = f"epoch {self.epoch} is kept in {self.checkpoints.file}"
            where = f"step {step} of epoch {self.epoch + 1}"
            raise ConvzooError(f"{self.network}: the loss is not finite at {where}; {kept}; lower {setting}")

    def is_best(self, row: Row, metric: str, lower: bool = False) -> bool:
        """Whether `metric` is better in `row` than in all earlier epochs, of the same phase if rows name one."""
        earlier = [old[metric] for old in self.history if old.get("phase") == row.get("phase")]
        earlier = [value for value in earlier if value is not None]
        if lower:
            return not earlier or row[metric] < min(earlier)
        return not earlier or row[metric] > max(earlier)

    def end_epoch(self, row: Row, progress: Progress) -> None:
        """Add the row to the history, save a checkpoint, and log and show what was measured."""
        self.epoch, self.history, self.step = row["epoch"], [*self.history, row], 0
        if self.checkpoints:
            self._save()
        if self.run:
            metrics = {name: value for name, value in row.items() if name != "epoch" and value is not None}
            self.run.log(self.epoch, metrics)
        progress.epoch(row)

    def _save(self, **inside: Any) -> None:
        kept = {name: getattr(self, name) for name in ("epoch", "history", "best", "notes")} | inside
        self.checkpoints.save(kept | {"saved_parts": [part.state_dict() for part in self._present()]})
        self.saved_at = time.monotonic()

    def _device(self) -> torch.device:
        network = next(part for part in self.parts if isinstance(part, nn.Module))
        return next(network.parameters()).device

    def _present(self) -> list[Part]:
        return [part for part in self.parts if part is not None]


def place(epoch: int, step: int) -> str:
    """Return `epoch 3`, or `epoch 3, step 121` after 120 steps of it, for messages."""
    return f"epoch {epoch}, step {step + 1}" if step else f"epoch {epoch}"


def _moved(tally: Tally, device: torch.device) -> Tally:
    return tally.to(device) if isinstance(tally, Tensor) else [value.to(device) for value in tally]


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's weights and statistics, on its device."""
    return {name: value.detach().contiguous().clone() for name, value in network.state_dict().items()}
