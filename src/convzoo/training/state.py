"""Where a training stands between two epochs, and what happens at the end of one: the same for every family."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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


@dataclass
class TrainState:
    """What a checkpoint holds. Without `checkpoints` and `run`, nothing is saved and nothing is logged.

    A loop assigns `parts` and calls `restore` once, and `check_finite` and `end_epoch` after the steps of each epoch.
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

    def resume(self, parent: Parent | None = None) -> None:
        """Continue from the last checkpoint, if there is one, or else from that of the `parent`."""
        saved, origin = self.checkpoints.load() if self.checkpoints else None, ""
        if not saved and parent:
            saved, origin = parent.load(), f" from the checkpoint of {parent.described['fingerprint'][:16]}"
        if saved:
            for name, value in saved.items():
                setattr(self, name, value)
            print(f"resuming {self.network} at epoch {self.epoch + 1}{origin}", flush=True)

    def share(self, fabric: Fabric) -> None:
        """Give all processes of the training what that with rank 0 continues from."""
        names = ("epoch", "history", "best", "notes", "saved_parts")
        for name, value in fabric.broadcast({name: getattr(self, name) for name in names}).items():
            setattr(self, name, value)

    def restore(self) -> None:
        """Give the parts their state from the checkpoint, if the training was resumed."""
        if self.saved_parts:
            for part, saved in zip(self._present(), self.saved_parts, strict=True):
                part.load_state_dict(saved)
                if isinstance(part, Optimizer):
                    restore_layouts(getattr(part, "optimizer", part))  # the one inside Fabric's
            self.saved_parts = []

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
        self.epoch, self.history = row["epoch"], [*self.history, row]
        if self.checkpoints:
            kept = {name: getattr(self, name) for name in ("epoch", "history", "best", "notes")}
            self.checkpoints.save(kept | {"saved_parts": [part.state_dict() for part in self._present()]})
        if self.run:
            metrics = {name: value for name, value in row.items() if name != "epoch" and value is not None}
            self.run.log(self.epoch, metrics)
        progress.epoch(row)

    def _present(self) -> list[Part]:
        return [part for part in self.parts if part is not None]


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's weights and statistics, on its device."""
    return {name: value.detach().contiguous().clone() for name, value in network.state_dict().items()}
