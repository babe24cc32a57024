"""Trains a classifier: settings and checked data in, weights and their history out."""

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from lightning_fabric import Fabric
from PIL.Image import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from convzoo.data.arrays import load_split
from convzoo.data.batches import Images, shuffled
from convzoo.data.contact_sheet import contact_sheet, write_picture
from convzoo.data.pixels import to_floats
from convzoo.errors import ConvzooError
from convzoo.families.classifier.network import build
from convzoo.families.classifier.selection import judge
from convzoo.families.classifier.settings import TrainingSettings
from convzoo.files import new_file, new_folder, read_json, sha256_of, write_json
from convzoo.lineage.commits import keep
from convzoo.settings.compute import ComputeSettings
from convzoo.tracking.live import LiveRun
from convzoo.training import augmentation, machine, optimizers
from convzoo.training.checkpoints import Checkpoints
from convzoo.training.fingerprint import check_data, fingerprint
from convzoo.training.history import Progress, Row, write_history
from convzoo.training.schedules import factor

WHITENED = 5000  # train images whose patches whiten the stem


def train(network: str, settings: TrainingSettings, compute: ComputeSettings, profile: str) -> None:
    """Train `network` and write models/NETWORK/: weights.safetensors, architecture.json, history.csv,
    fingerprint.json and extra/.

    Goes on from the last checkpoint of the same training. Raises ConvzooError for data that were not validated as
    they are, for a device that is not there, and for a loss that is not finite.
    """
    prepared = Path("data/prepared", settings.data)
    splits = {
        "train": load_split(prepared / "train"),
        "augmented": load_split(Path("data/augmented", settings.data)),
        "val": load_split(prepared / "val"),
    }
    data = check_data(settings.data, Path("data/validated", f"{settings.data}.json"), splits)
    fabric = machine.start(compute, settings.seed)
    identity = fingerprint(settings.model_dump(), machine.resolved(compute), data)
    described = describe(settings, read_json(prepared / "train" / "meta.json"))
    images = Images([splits["train"], splits["augmented"]], fabric.device)
    val = Images([splits["val"]], fabric.device)

    if fabric.is_global_zero:
        keep(network, identity["fingerprint"])
    with (
        Checkpoints(network, identity["fingerprint"], leader=fabric.is_global_zero) as checkpoints,
        LiveRun(network, identity, {"convzoo.profile": profile}, enabled=fabric.is_global_zero) as run,
    ):
        weights, history = fit(network, settings, described, fabric, images, val, checkpoints, run)
        if fabric.is_global_zero:
            folder = Path("models", network)
            with new_folder(folder / "extra") as extra:
                write_picture(seen(images, settings), extra / "augmented_batch.png")
            write_json(folder / "fingerprint.json", identity)
            write_history(folder / "history.csv", history)
            with new_file(folder / "weights.safetensors") as temporary:
                save_file(weights, temporary)
            described["weights_sha256"] = sha256_of(folder / "weights.safetensors")
            write_json(folder / "architecture.json", described)
            checkpoints.remove()


def describe(settings: TrainingSettings, meta: dict) -> dict:
    """What architecture.json says: enough to build the network again, and to feed it."""
    height, width, channels = meta["shape"]
    arguments = {"channels": channels, "classes": len(meta["classes"]), "activation": settings.activation}
    if settings.architecture == "fast":
        arguments |= settings.fast.model_dump()
    else:
        arguments |= {"height": height, "width": width, **settings.reference.model_dump()}
    return {"family": "classifier", "architecture": settings.architecture, "arguments": arguments, **meta}


def fit(
    network: str,
    settings: TrainingSettings,
    described: dict,
    fabric: Fabric,
    images: Images,
    val: Images,
    checkpoints: Checkpoints,
    run: LiveRun,
) -> tuple[dict[str, Tensor], list[Row]]:
    """The training itself: the weights that are kept, and a history row for each epoch.

    All that is random in an epoch comes from the seed and the epoch's number, so that a training that goes on after a
    stop ends with the same bits as one that never stopped.
    """
    batch_size = min(settings.batch_size, len(images))
    steps_per_epoch = len(images) // batch_size
    steps = steps_per_epoch * settings.epochs
    mean, std = (torch.tensor(described[name], device=fabric.device) for name in ("mean", "std"))

    body = build(described["architecture"], described["arguments"]).to(fabric.device)
    if getattr(body, "whitening", False):
        body.whiten(to_floats(images.take(torch.arange(min(WHITENED, len(images)))), mean, std))
    average = None
    if settings.ema_decay:
        decay = get_ema_multi_avg_fn(settings.ema_decay)
        average = AveragedModel(body, multi_avg_fn=decay, use_buffers=True)
    model, *optimized = fabric.setup(body, *optimizers.build(body, settings))

    epoch, history, best = 0, [], {}
    state = checkpoints.load()
    if state:
        epoch, history, best = state["epoch"], state["history"], state["best"]
        body.load_state_dict(state["weights"])
        for optimizer, saved in zip(optimized, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if average:
            average.load_state_dict(state["average"])
        print(f"resuming {network} at epoch {epoch + 1}", flush=True)

    progress = Progress(network, settings.epochs, steps_per_epoch, quiet=not fabric.is_global_zero)
    while epoch < settings.epochs:
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
        torch.manual_seed(settings.seed * 1_000_003 + epoch)  # dropout
        losses, hits = [], torch.zeros((), device=fabric.device)
        model.train()
        for number, index in enumerate(shuffled(len(images), batch_size, generator)):
            share = factor(settings.schedule, epoch * steps_per_epoch + number, steps, settings.warmup)
            optimizers.set_rates(optimized, share)
            batch = augmented(images, index, epoch, settings, generator)
            mine = slice(fabric.global_rank, None, fabric.world_size)
            x, labels = to_floats(batch, mean, std)[mine], images.labels[index.to(fabric.device)][mine]

            logits = model(x).float()
            loss = F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
            fabric.backward(loss)
            for optimizer in optimized:
                optimizer.step()
                optimizer.zero_grad()
            if average:
                average.update_parameters(body)

            losses.append(loss.detach())
            hits += (logits.argmax(1) == labels).sum()
            progress.step()

        epoch += 1
        losses = fabric.all_reduce(torch.stack(losses))
        stop_if_not_finite(network, losses, epoch, steps_per_epoch, checkpoints)
        seen_images = steps_per_epoch * batch_size
        val_loss, val_accuracy = judge(fabric, average.module if average else body, val, mean, std)
        row = {
            "epoch": epoch,
            "learning_rate": settings.learning_rate * share,
            "train_loss": losses.mean().item(),
            "train_accuracy": fabric.all_reduce(hits, reduce_op="sum").item() / seen_images,
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
        }
        history.append(row)
        if settings.keep == "last" or val_accuracy > max((old["val_accuracy"] for old in history[:-1]), default=-1):
            best = {name: value.clone() for name, value in (average.module if average else body).state_dict().items()}
        checkpoints.save(
            {
                "epoch": epoch,
                "history": history,
                "best": best,
                "weights": body.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimized],
                "average": average.state_dict() if average else {},
            }
        )
        run.log(epoch, {name: value for name, value in row.items() if name != "epoch"})
        progress.epoch(row)
    progress.close()
    return {name: value.cpu().contiguous() for name, value in best.items()}, history


def augmented(
    images: Images, index: Tensor, epoch: int, settings: TrainingSettings, generator: torch.Generator
) -> Tensor:
    """The images at `index` as the network sees them in `epoch`: (B, H, W, C), 0 to 255."""
    flipped = augmentation.flips(settings.flip, index, epoch, len(images), settings.seed, generator)
    batch = augmentation.shift_and_flip(images.take(index), flipped, settings.shift, generator)
    if settings.rotation or settings.scale:
        batch = augmentation.rotate_and_scale(batch, settings.rotation, settings.scale, generator)
    if settings.cutout:
        batch = augmentation.cutout(batch, settings.cutout, generator)
    return batch


def stop_if_not_finite(network: str, losses: Tensor, epoch: int, steps: int, checkpoints: Checkpoints) -> None:
    """Raises ConvzooError, with the step and the last good checkpoint, where a loss of the epoch is not finite."""
    broken = (~losses.isfinite()).nonzero()
    if len(broken):
        step = (epoch - 1) * steps + broken[0].item() + 1
        kept = f"epoch {epoch - 1} is kept in {checkpoints.file}" if epoch > 1 else "no epoch was finished"
        raise ConvzooError(
            f"{network}: the loss is not finite at step {step} (epoch {epoch}); {kept}; lower learning_rate"
        )


def seen(images: Images, settings: TrainingSettings, rows: int = 6, columns: int = 12) -> Image:
    """A picture of augmented images as the network meets them in its first epoch."""
    generator = torch.Generator().manual_seed(settings.seed)
    index = torch.randperm(len(images), generator=generator)[: rows * columns]
    batch = augmented(images, index, 0, settings, generator).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return contact_sheet([batch[start : start + columns] for start in range(0, len(batch), columns)])
