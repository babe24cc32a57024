"""What every training needs around its loop: validated data, checkpoints and a run, and files at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import Tensor

from convzoo.data.arrays import Split, load_split
from convzoo.data.shards import ShardedImages
from convzoo.errors import ConvzooError
from convzoo.files import new_entries, new_file, read_json, sha256_of, write_json
from convzoo.lineage.commits import keep
from convzoo.settings.compute import ComputeSettings
from convzoo.tracking.live import LiveRun
from convzoo.training import machine
from convzoo.training.checkpoints import Checkpoints
from convzoo.training.fingerprint import check_data, fingerprint
from convzoo.training.history import write_history
from convzoo.training.parents import parent_of
from convzoo.training.processes import ended_together
from convzoo.training.state import TrainState
from convzoo.training.transfers import to_host

# In the order in which they get their final names: architecture.json, which names all tensors by their sha256, is last.
OUTPUTS = ("extra", "fingerprint.json", "history.csv", "weights.safetensors", "architecture.json")


class TrainingData(NamedTuple):
    """The splits that a training may see, exactly as they were validated."""

    train: Split
    augmented: Split  # stored variants of train
    val: Split
    meta: dict[str, Any]  # meta.json of train
    digests: dict[str, str]  # of the splits, and the name of the data set
    order: dict[str, int]  # what the order of images in shards depends on; empty for arrays


class Workspace(NamedTuple):
    """What a training works with."""

    fabric: Fabric
    identity: dict[str, Any]  # what goes into fingerprint.json
    state: TrainState

    @contextmanager
    def results(self, architecture: dict[str, Any], weights: dict[str, Tensor]) -> Iterator[Path]:
        """Write models/NETWORK/ at the end of the block, in which extra/ is to be filled; then drop the checkpoint.

        Nothing gets its final name before everything is written. Only for the process with rank 0.
        """
        with new_entries(Path("models", self.state.network), OUTPUTS) as new:
            (new / "extra").mkdir()
            yield new / "extra"
            write_json(new / "fingerprint.json", self.identity)
            write_history(new / "history.csv", self.state.history)
            with new_file(new / "weights.safetensors") as temporary:
                save_file(to_host(weights), temporary)
            extra = sorted((new / "extra").glob("*.safetensors"))
            digests = {
                "weights_sha256": sha256_of(new / "weights.safetensors"),
                "extra_sha256": {file.name: sha256_of(file) for file in extra},
            }
            write_json(new / "architecture.json", architecture | digests)
        self.state.checkpoints.remove()


def load_data(dataset: str) -> TrainingData:
    """The splits of a data set. Raises ConvzooError if they are not those that were validated."""
    prepared = Path("data/prepared", dataset)
    splits = {
        "train": load_split(prepared / "train"),
        "augmented": load_split(Path("data/augmented", dataset)),
        "val": load_split(prepared / "val"),
    }
    digests = check_data(dataset, Path("data/validated", f"{dataset}.json"), splits)
    images, meta = splits["train"].images, read_json(prepared / "train" / "meta.json")
    order = {}
    if isinstance(images, ShardedImages):
        order = {"shard_block": images.block, "shard_window": images.window}
    return TrainingData(**splits, meta=meta, digests=digests, order=order)


@contextmanager
def open_workspace(
    network: str, params: dict[str, Any], data: TrainingData, compute: ComputeSettings, profile: str
) -> Iterator[Workspace]:
    """Start the device and the run of a training, and continue from the last checkpoint of the same one.

    `params` are all settings that can change the weights; `seed` among them. Raises ConvzooError for a device that this
    machine lacks, if the training is running elsewhere, for code that git does not track, if the processes of this
    training differ in what it depends on, and if one of them ends.
    """
    fabric = machine.start(compute, params["seed"])
    leader, parent = fabric.is_global_zero, None
    with ended_together(fabric, network):
        identity = fingerprint(params | data.order, machine.resolved(compute), data.digests)
        if leader:
            parent = parent_of(network, identity)
            if parent:
                identity = fingerprint(params | data.order, identity["compute"], data.digests, parent.described)
            keep(network, identity["fingerprint"])
        identity = _checked_identity(fabric, identity)
    tags = {"convzoo.profile": profile} | ({"convzoo.parent": parent.described["fingerprint"]} if parent else {})
    with (
        Checkpoints(network, identity["fingerprint"], leader) as checkpoints,
        LiveRun(network, identity, tags, enabled=leader) as run,
        ended_together(fabric, network),
    ):
        state = TrainState(network, checkpoints, run, keeps_steps=fabric.world_size == 1)
        if leader:
            checkpoints.describe(identity)
            state.resume(parent)
        state.share(fabric)
        yield Workspace(fabric, identity, state)


def _checked_identity(fabric: Fabric, identity: dict[str, Any]) -> dict[str, Any]:
    """The identity of the process with rank 0. Raises ConvzooError if that of this process has other parts."""
    common = fabric.broadcast(identity)
    for part in ("params", "compute", "data", "code", "versions"):
        theirs, ours = common[part], identity[part]
        differing = [name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name)]
        if differing:
            name = min(differing)
            raise ConvzooError(
                f"{part}.{name}: is {ours.get(name)} for process {fabric.global_rank}, expected {theirs.get(name)} as "
                "for process 0; give all machines the same params.yaml, data, code and packages, and set what is auto"
            )
    return common
